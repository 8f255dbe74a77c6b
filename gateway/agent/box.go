package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sallyport/gateway/egress"
	"sallyport/gateway/sandbox"
)

// BoxConfig is what a person asked for, and what is known of the machine. Command, Folder and
// Environ are required; all paths are absolute.
type BoxConfig struct {
	Profile  string            // one of [Profiles]; "" is the general one
	Command  string            // the agent's program
	Args     []string          // without the program
	Folder   string            // where it works, and may change everything
	Home     string            // the person's; of it nothing is shown but what is named. "": the box has one of its own
	Self     []string          // this program, as paths that a client may run it by
	Read     []string          // beside the profile's
	Write    []string          // beside the folder and the profile's
	Allow    []string          // hosts, as package egress reads them
	Env      []string          // names of variables to hand in, or NAME=VALUE
	Environ  map[string]string // the person's environment
	Set      map[string]string // variables that are set whatever it holds
	Hide     []string          // never shown: the gateway's state and its socket
	Keep     []string          // never changed, where they can be seen: the gateway's configuration and policies
	Terminal bool              // stdin is a terminal that is made for the agent
}

// Box is what an agent gets to see and reach.
type Box struct {
	Spec  sandbox.Spec
	Rules egress.Rules

	folder string
	before survey   // of the folder, when the box was made
	unseen error    // why there is no survey
	marker *os.File // the commondir of the folder's repository, which no box removes while another counts on it
}

// agentLimits are wider than a server's: an agent compiles, and works for days.
var agentLimits = sandbox.Limits{MemoryBytes: 8 << 30, TmpBytes: 2 << 30, FileBytes: 8 << 30, Processes: 4096, Files: 16384, CPUSeconds: 7 * 24 * 3600}

// NewBox returns the box of c, to be closed. It makes the folder that its profile writes below HOME,
// and in a repository .git/hooks where there are none and .git/commondir, which Close removes. The
// error says what cannot be had, and what to ask for instead.
func NewBox(c BoxConfig) (*Box, error) {
	p, ok := profiles[c.Profile]
	if !ok {
		return nil, fmt.Errorf("no profile is called %q; there are: %s", c.Profile, strings.Join(Profiles(), ", "))
	}
	var err error
	if c.Folder, err = filepath.EvalSymlinks(c.Folder); err != nil {
		return nil, fmt.Errorf("working folder: %w", err)
	}
	if c.Home != "" {
		if c.Home, err = filepath.EvalSymlinks(c.Home); err != nil {
			return nil, fmt.Errorf("HOME: %w", err)
		}
	}
	if err := c.check(); err != nil {
		return nil, err
	}
	env, err := c.environment(p)
	if err != nil {
		return nil, err
	}
	allow, err := p.hosts(c.Environ)
	if err != nil {
		return nil, err
	}
	rules, err := egress.ParseRules(slices.Concat(allow, c.Allow))
	if err != nil {
		return nil, err
	}
	marker, err := prepareGit(c.Folder)
	if err != nil {
		return nil, err
	}
	guarded, inner := guard(c.Folder, c.Keep)
	b := &Box{folder: c.Folder, marker: marker, Rules: rules, Spec: sandbox.Spec{Name: filepath.Base(c.Command), Command: c.Command, Args: c.Args, Env: env, Dir: c.Folder, Home: c.Home,
		Read: slices.Concat(c.Self, guarded, c.Read), Write: slices.Concat([]string{c.Folder}, inner, c.Write), Hide: c.Hide, Limits: agentLimits,
		Egress: true, Relay: true, Loopback: true, Terminal: c.Terminal}}
	if c.Home != "" {
		if err := p.show(c.Home, c.Folder, &b.Spec); err != nil {
			return nil, errors.Join(err, b.Close())
		}
	}
	if err := b.Spec.Check(); err != nil {
		return nil, errors.Join(err, b.Close())
	}
	b.before, b.unseen = look(c.Folder)
	return b, nil
}

// check refuses what would show the whole of HOME, in words for who asked.
func (c BoxConfig) check() error {
	var errs []error
	refuse := func(what, path, instead string) {
		errs = append(errs, fmt.Errorf("%s %s %s", what, path, instead))
	}
	const whole = "holds your whole HOME, and a box shows nothing of it but what is named"
	if c.Home != "" && within(c.Home, c.Folder) {
		refuse("the working folder", c.Folder, whole+"; change into the folder of your project")
	}
	if within("/tmp", c.Folder) {
		refuse("the working folder", c.Folder, "is what a box has of its own; change into the folder of your project")
	}
	for _, path := range c.Hide {
		if real, err := filepath.EvalSymlinks(path); err == nil && (within(real, c.Folder) || within(c.Folder, real)) {
			refuse("the working folder", c.Folder, "and "+path+", which is the gateway's own, are one within the other; change into the folder of your project")
		}
	}
	for flag, paths := range map[string][]string{"--read": c.Read, "--write": c.Write} {
		for _, path := range paths {
			if real, err := filepath.EvalSymlinks(path); err == nil && c.Home != "" && within(c.Home, real) {
				refuse(flag, path, whole+"; name folders below it")
			}
		}
	}
	return errors.Join(errs...)
}

// within reports whether path is dir or below it.
func within(path, dir string) bool {
	return path == dir || strings.HasPrefix(path, strings.TrimSuffix(dir, "/")+"/")
}

// environment is what the agent gets of the person's environment.
func (c BoxConfig) environment(p *profile) (map[string]string, error) {
	env := map[string]string{}
	for name, value := range c.Environ {
		if p.hands(name) {
			env[name] = value
		}
	}
	maps.Copy(env, p.set)
	for _, entry := range c.Env {
		name, value, given := strings.Cut(entry, "=")
		if !given {
			if value, given = c.Environ[name]; !given {
				return nil, fmt.Errorf("--env %s: there is no such variable here; set it, or write NAME=VALUE", name)
			}
		}
		env[name] = value
	}
	maps.Copy(env, c.Set)
	return env, nil
}

// advice says how a host is reached from the box.
func advice(target string) string {
	return fmt.Sprintf("give `sallyport run` --allow %s; the gateway is reached by `sallyport connect`", target)
}

// Start runs the agent in its box with the three descriptors, serves its way out until it has
// ended, and logs what it tried in vain.
func (b *Box) Start(ctx context.Context, stdin, stdout, stderr *os.File, log *slog.Logger) (*sandbox.Process, error) {
	p, err := sandbox.Start(b.Spec, stdin, stdout, stderr, log)
	if err != nil {
		return nil, err
	}
	if l := p.Proxy(); l != nil {
		go func() {
			// It ends with the process, whose end closes the listener.
			err := egress.Serve(ctx, l, b.Rules, egress.Options{Log: log, Name: b.Spec.Name, Advice: advice})
			if err != nil && !errors.Is(err, net.ErrClosed) {
				log.Warn("egress ended", slog.Any("error", err))
			}
		}()
	}
	return p, nil
}
