package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"

	"sallyport/gateway/admin"
	"sallyport/gateway/agent"
	"sallyport/gateway/config"
	"sallyport/gateway/shim"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/pop"
)

// runFlags are what `run` can be told.
type runFlags struct {
	connectFlags
	box     string // profile; "" is no box
	read    []string
	write   []string
	allow   []string
	env     []string
	logFile string
}

// plainBox is what --sandbox stands for without a profile.
const plainBox = "general"

func (a *app) newRun() *cobra.Command {
	f := &runFlags{connectFlags: connectFlags{as: "run"}}
	cmd := &cobra.Command{Use: "run --role ROLE [flags] -- CMD [ARG...]", Short: "Make a grant, run a command with it, and end it with the command", Args: someCommand,
		Long: "Makes a grant for one task, runs CMD, and completes the grant when CMD ends, however it ends:\n\n" +
			"  sallyport run --role reader --tools 'files.read_*' --ttl 45m --task JIRA-1234 -- claude\n\n" +
			"What CMD starts as `sallyport connect URL` uses that grant. The key is in this process alone:\n" +
			"CMD gets a socket, and no token.\n\n" +
			"With --sandbox CMD runs in a box: it sees the working folder, which it may change, and of HOME\n" +
			"what its profile names; it reaches the gateway and the hosts of --allow. --sandbox=claude is\n" +
			"the profile of Claude Code. What it tries in vain is logged.\n\n" +
			"Exits as CMD does."}
	f.shared(cmd)
	fl := cmd.Flags()
	fl.StringVar(&f.from, "from", "socket", "`SOURCE` of tokens, as of connect")
	fl.StringVar(&f.url, "url", "", "`URL` of the gateway's /mcp; default: what the gateway at the socket says")
	fl.StringVar(&f.logFile, "log", "", "`FILE` to log to; default: standard error, or a file where that is a terminal")
	fl.StringVar(&f.box, "sandbox", "", "run CMD in a box, of a `PROFILE`: "+plainBox+" or "+strings.Join(agent.Profiles(), ", "))
	fl.Lookup("sandbox").NoOptDefVal = plainBox
	fl.StringArrayVar(&f.read, "read", nil, "`PATH` that it may read and execute in the box; may be given again")
	fl.StringArrayVar(&f.write, "write", nil, "`PATH` that it may change in the box; may be given again")
	fl.StringArrayVar(&f.allow, "allow", nil, "`HOST:PORT` that it may reach from the box; may be given again")
	fl.StringArrayVar(&f.env, "env", nil, "`NAME` of a variable to hand into the box, or NAME=VALUE; may be given again")
	cmd.RunE = func(cmd *cobra.Command, args []string) error { return a.runCommand(cmd, f, args) }
	return cmd
}

func someCommand(_ *cobra.Command, args []string) error {
	if len(args) == 0 {
		return errUsage{"which command? Write it behind --, as in `sallyport run --role reader -- claude`"}
	}
	return nil
}

// task is one `run` under way.
type task struct {
	f      *runFlags
	log    *slog.Logger
	source closingSource
	key    *pop.Key
	tls    *tls.Config
	public string // URL of the gateway, without a path
	digest func() (string, error)

	mu    sync.Mutex            // guards shims
	shims map[string]*shim.Shim // by path of the endpoint
}

func (a *app) runCommand(cmd *cobra.Command, f *runFlags, args []string) error {
	if err := errors.Join(a.checkRun(f), asked(cmd, f.tools)); err != nil {
		return err
	}
	program, err := exec.LookPath(args[0])
	if err != nil {
		hint := ""
		if f.box == plainBox {
			hint = "; a profile of the box is written --sandbox=" + args[0]
		}
		return errUsage{fmt.Sprintf("%s: not found on the PATH, or not a program%s", args[0], hint)}
	}
	folder, err := os.Getwd()
	if err != nil {
		return err
	}
	t := &task{f: f, shims: map[string]*shim.Shim{}}
	logged, err := a.openLog(f)
	if err != nil {
		return err
	}
	defer func() { a.closeLog(logged) }()
	t.log = slog.New(slog.NewTextHandler(logged, &slog.HandlerOptions{Level: slog.LevelWarn}))
	if err := a.prepare(cmd.Context(), t, folder); err != nil {
		return err
	}
	defer t.source.close(cmd.Context())
	var b *agent.Box
	if f.box != "" {
		if b, err = a.newBox(f, folder, program, args[1:]); err != nil {
			return err
		}
		defer func() {
			if err := b.Close(); err != nil {
				t.log.Warn("clear away what guarded the repository", slog.Any("error", err))
			}
		}()
	}
	id, err := a.grantOf(cmd.Context(), t)
	if err != nil {
		return err
	}
	a.sayGrant(cmd.Context(), t, id)
	if b != nil {
		err := a.runBoxed(cmd.Context(), t, b, id)
		for _, line := range b.Left() {
			a.say("%s", line)
		}
		return err
	}
	return a.runBare(cmd.Context(), t, append([]string{program}, args[1:]...), id)
}

func (a *app) checkRun(f *runFlags) error {
	if a.env[envRelay] != "" {
		return errUsage{"this runs below `sallyport run` already, whose command cannot make a grant of its own; give the outer one what is needed"}
	}
	for name, given := range map[string]bool{"read": len(f.read) > 0, "write": len(f.write) > 0, "allow": len(f.allow) > 0, "env": len(f.env) > 0} {
		if given && f.box == "" {
			return errUsage{"--" + name + " says what may be seen from a box, and there is none: add --sandbox"}
		}
	}
	if f.from != "socket" && !strings.HasPrefix(f.from, "socket:") && f.url == "" {
		return errUsage{"--from " + strings.SplitN(f.from, ":", 2)[0] + " needs the gateway's URL (--url https://…/mcp)"}
	}
	return nil
}

// prepare finds out where the gateway is and what the agent's files are, before anything is asked
// for.
func (a *app) prepare(ctx context.Context, t *task, folder string) error {
	f := t.f
	if f.url == "" {
		public, err := a.askPublicURL(ctx, f)
		if err != nil {
			return err
		}
		f.url = public + "/mcp"
	}
	u, err := url.Parse(f.url)
	if err != nil || u.Host == "" || !identity.IsResource(u.Path) {
		return errUsage{fmt.Sprintf("--url %s: want the URL of a gateway's /mcp", f.url)}
	}
	t.public = u.Scheme + "://" + u.Host
	if len(f.measure) > 0 {
		m, err := a.measurer(folder, f.measure)
		if err != nil {
			return err
		}
		found, err := m.Measure()
		if err != nil {
			return err
		}
		for _, pattern := range m.Unmatched(found) {
			a.say("--measure %s matches no file; one that comes later counts as a change", pattern)
		}
		t.digest = m.Digest
	}
	if t.key, err = pop.NewKey(); err != nil {
		return err
	}
	if t.tls, err = f.tls(); err != nil {
		return err
	}
	t.source, err = a.source(&f.connectFlags, t.tls, t.log)
	return err
}

// askPublicURL asks the gateway at the socket where it is.
func (a *app) askPublicURL(ctx context.Context, f *runFlags) (string, error) {
	path, err := a.socketPath(f.from)
	if err != nil {
		return "", err
	}
	client := admin.Dial(path)
	defer func() { _ = client.Close() }()
	me, err := client.Whoami(ctx)
	if errors.Is(err, admin.ErrNoServer) {
		return "", fmt.Errorf("%w: is `sallyport serve` running, with the state that --config names? For a gateway on another machine say where it is (--url) and where its tokens come from (--from)", err)
	}
	return me.PublicURL, err
}

// socketPath is where the gateway on this machine is asked.
func (a *app) socketPath(from string) (string, error) {
	if _, path, _ := strings.Cut(from, ":"); path != "" {
		return path, nil
	}
	if path := a.env[envSocket]; path != "" {
		return path, nil
	}
	cfg, err := a.load()
	if err != nil {
		return "", err
	}
	return reachable(cfg), nil
}

// reachable is the gateway's socket that this user may use: the one in the state directory is the
// gateway's own user's, and admin.socket is for all.
func reachable(cfg *config.Config) string {
	_, err := os.Lstat(cfg.Socket())
	return oneOf(cfg, err)
}

// oneOf decides by what came of looking for the one in the state directory.
func oneOf(cfg *config.Config, err error) string {
	if errors.Is(err, fs.ErrPermission) && cfg.Admin.Socket != "" {
		return cfg.Admin.Socket
	}
	return cfg.Socket()
}

// grantOf makes the grant, with the first token, and says so.
func (a *app) grantOf(ctx context.Context, t *task) (string, error) {
	ask := shim.SourceAsk{JKT: t.key.JKT(), Proof: func(method, url, nonce string) (string, error) {
		return t.key.Proof(method, url, "", nonce, time.Now())
	}}
	if t.digest != nil {
		var err error
		if ask.Measured, err = t.digest(); err != nil {
			return "", err
		}
	}
	token, err := t.source.Token(ctx, ask)
	if err != nil {
		return "", told(err)
	}
	if token.Grant == "" {
		return "", errors.New("the gateway gave a token without a grant")
	}
	return token.Grant, nil
}

// sayGrant tells the person what there is now.
func (a *app) sayGrant(ctx context.Context, t *task, id string) {
	if s, ok := t.source.(*socketSource); ok {
		if found, err := s.client.List(ctx, grant.Filter{ID: id}); err == nil && len(found) == 1 {
			a.say("grant %s for %s until %s", id, strings.Join(found[0].Roles, ", "), found[0].Expires.Local().Format("2006-01-02 15:04"))
			return
		}
	}
	a.say("grant %s", id)
}

// serve carries one client of the relay.
func (t *task) serve(ctx context.Context, endpoint string, in io.Reader, out io.Writer) {
	s, err := t.shim(endpoint)
	if err != nil {
		t.log.Error("a client below this run cannot be served", slog.Any("error", err))
		agent.Refuse(in, out, err)
		return
	}
	_ = s.Serve(ctx, in, out) // it has said what went wrong
}

// shim returns the one for an endpoint of this run's gateway, "" being all of it.
func (t *task) shim(endpoint string) (*shim.Shim, error) {
	at := t.f.url
	if endpoint != "" {
		u, err := url.Parse(endpoint)
		if err != nil || !identity.IsResource(u.Path) || !sameOrigin(u.Scheme+"://"+u.Host, t.public) {
			return nil, fmt.Errorf("the grant of this run is for %s/mcp and /mcp/SERVER, and its client wants to go elsewhere: correct the URL of `sallyport connect`", t.public)
		}
		at = t.public + u.Path
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if s := t.shims[at]; s != nil {
		return s, nil
	}
	s, err := shim.New(shim.Config{URL: at, Source: t.source, Key: t.key, TLS: t.tls, Measure: t.digest, Log: t.log})
	if err == nil {
		t.shims[at] = s
	}
	return s, err
}

// sameOrigin compares two URLs without a path. All names of the loopback are one host.
func sameOrigin(a, b string) bool {
	one, err1 := url.Parse(a)
	other, err2 := url.Parse(b)
	loopback := func(host string) bool {
		ip := net.ParseIP(host)
		return strings.EqualFold(host, "localhost") || ip != nil && ip.IsLoopback()
	}
	return err1 == nil && err2 == nil && one.Scheme == other.Scheme && one.Port() == other.Port() &&
		(strings.EqualFold(one.Hostname(), other.Hostname()) || loopback(one.Hostname()) && loopback(other.Hostname()))
}
