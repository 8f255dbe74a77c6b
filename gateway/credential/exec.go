package credential

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sallyport/internal/strictjson"
)

// ExecConfig says which command prints a secret.
type ExecConfig struct {
	// Command is the program, an absolute path, and its arguments. There is no shell.
	Command []string
	Dir     string        // working directory; default: the gateway's
	Env     []string      // its whole environment, NAME=value
	Timeout time.Duration // after this it is killed, with all it has started; default 10 s
	// MaxAge is how long a secret is used of which the command does not say when it expires.
	// Default 5 min.
	MaxAge time.Duration
	// PerPrincipal runs the command for each principal, whom it finds in the variables
	// SALLYPORT_SUBJECT and SALLYPORT_ISSUER. For the gateway's own requests both are empty.
	PerPrincipal bool
	Log          *slog.Logger // default: discard
}

type command struct {
	named
	cfg  ExecConfig
	kept *kept
}

// Exec returns the secret that a command prints: one line that is the secret, or a JSON object
// {"token": …} with "expires_in" (seconds) or "expiry" (RFC 3339). It is kept until it expires
// and no longer; the command runs again when four fifths of that time have passed and somebody
// asks. What it writes to stderr goes to the log, bounded; what it prints never does.
//
// Get fails when the command fails, runs too long, prints nothing, over 64 KiB or something
// else, and for a while after that without running it again.
func Exec(cfg ExecConfig) (Source, error) {
	if len(cfg.Command) == 0 || !filepath.IsAbs(cfg.Command[0]) {
		return nil, errors.New("credential: command is missing, or is not an absolute path")
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.MaxAge <= 0 {
		cfg.MaxAge = 5 * time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
	c := &command{named: named("credential of command " + cfg.Command[0]), cfg: cfg}
	c.kept = newKept(c.run, cfg.Timeout+time.Second, cfg.Log)
	return c, nil
}

func (c *command) Get(ctx context.Context, who Who) (Secret, error) {
	if !c.cfg.PerPrincipal {
		who = Who{}
	}
	return c.kept.get(ctx, who)
}

func (c *command) Refused(who Who, refused Secret) {
	if !c.cfg.PerPrincipal {
		who = Who{}
	}
	c.kept.refused(who, refused)
}

// Forget implements [Leaser].
func (c *command) Forget(who Who) {
	if c.cfg.PerPrincipal {
		c.kept.forget(who)
	}
}

// maxComplaint bounds what is logged of one run's stderr, in bytes.
const maxComplaint = 2 << 10

func (c *command) run(ctx context.Context, who Who) (Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	name := c.cfg.Command[0]
	cmd := exec.CommandContext(ctx, name, c.cfg.Command[1:]...)
	cmd.Dir, cmd.Env = c.cfg.Dir, append([]string{}, c.cfg.Env...)
	if c.cfg.PerPrincipal {
		cmd.Env = append(cmd.Env, "SALLYPORT_SUBJECT="+who.Subject, "SALLYPORT_ISSUER="+who.Issuer)
	}
	stdout, stderr := &bounded{most: maxSecret}, &bounded{most: maxComplaint}
	cmd.Stdout, cmd.Stderr = stdout, stderr
	killWithChildren(cmd)
	cmd.WaitDelay = time.Second // a child that holds the pipes open is not waited for
	err := cmd.Run()
	if said := strings.TrimSpace(string(bytes.ToValidUTF8(stderr.kept.Bytes(), []byte("\uFFFD")))); said != "" {
		c.cfg.Log.Info("credential command says", slog.String("command", name), slog.String("stderr", said))
	}
	switch {
	case ctx.Err() != nil:
		return Secret{}, fmt.Errorf("credential command %s did not end within %v and was killed", name, c.cfg.Timeout)
	case err != nil:
		return Secret{}, fmt.Errorf("credential command %s: %w; what it wrote to stderr is in the log", name, err)
	case stdout.over:
		return Secret{}, fmt.Errorf("credential command %s printed over %d bytes; it must print the secret and nothing else", name, maxSecret)
	}
	secret, err := parseOutput(stdout.kept.Bytes(), time.Now(), c.cfg.MaxAge)
	if err != nil {
		return Secret{}, fmt.Errorf("credential command %s: what it printed %w", name, err)
	}
	warnShort(c.cfg.Log, c.named, secret.Value)
	return secret, nil
}

// parseOutput reads what a command has printed.
func parseOutput(out []byte, now time.Time, maxAge time.Duration) (Secret, error) {
	out = bytes.TrimSpace(out)
	if len(out) == 0 || out[0] != '{' {
		if err := checkValue(string(out)); err != nil {
			return Secret{}, err
		}
		return Secret{Value: string(out), Expires: now.Add(maxAge)}, nil
	}
	if strictjson.Check(out, strictjson.Limits{}) != nil {
		return Secret{}, errors.New("is no sound JSON")
	}
	var said struct {
		Token  string `json:"token"`
		In     *int64 `json:"expires_in"`
		Expiry string `json:"expiry"`
	}
	if json.Unmarshal(out, &said) != nil { // its error may quote the value
		return Secret{}, errors.New(`is no object with a string "token", and "expires_in" (a whole number of seconds) or "expiry" (a string)`)
	}
	if err := checkValue(said.Token); err != nil {
		return Secret{}, fmt.Errorf(`has a "token" that %w`, err)
	}
	secret := Secret{Value: said.Token, Expires: now.Add(maxAge)}
	switch {
	case said.In != nil && said.Expiry != "":
		return Secret{}, errors.New(`has both "expires_in" and "expiry"`)
	case said.In != nil:
		life, err := lifeOf(*said.In)
		if err != nil {
			return Secret{}, err
		}
		secret.Expires = now.Add(life)
	case said.Expiry != "":
		at, err := time.Parse(time.RFC3339, said.Expiry)
		if err != nil {
			return Secret{}, errors.New(`has an "expiry" that is no time such as 2026-01-02T15:04:05Z`)
		}
		secret.Expires = at
	}
	if !secret.Expires.After(now) {
		return Secret{}, errors.New("has expired already")
	}
	return secret, nil
}

// longestLife is the most that a secret is kept without asking again.
const longestLife = 24 * time.Hour

func lifeOf(seconds int64) (time.Duration, error) {
	if seconds <= 0 {
		return 0, fmt.Errorf(`has "expires_in": %d; it must be over 0`, seconds)
	}
	return time.Duration(min(seconds, int64(longestLife/time.Second))) * time.Second, nil
}

// bounded keeps the first bytes that are written to it and swallows the rest. Its buffer is not
// embedded: that would bring a ReadFrom, which io.Copy prefers to Write.
type bounded struct {
	kept bytes.Buffer
	most int
	over bool
}

func (b *bounded) Write(p []byte) (int, error) {
	room := b.most - b.kept.Len()
	b.over = b.over || len(p) > room
	b.kept.Write(p[:min(len(p), room)])
	return len(p), nil
}
