package config

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sallyport/gateway/egress"
	"sallyport/gateway/sandbox"
	"sallyport/gateway/upstream"
)

// launcher starts the processes of one server. Immutable.
type launcher struct {
	name    string
	server  *Server
	environ map[string]string
	state   string // the gateway's own directory, which no sandbox shows

	sandboxes *sandbox.Launcher
	log       *slog.Logger
}

// start is an upstream.StartFunc.
func (l *launcher) start(ctx context.Context, env map[string]string, stdin, stdout, stderr *os.File) (upstream.Child, error) {
	if err := l.server.implied.missing; err != nil {
		return nil, err
	}
	all := l.server.environment()
	for name, value := range env {
		all[name] = value
	}
	if l.server.Sandbox.Type == sandboxNone {
		l.log.Warn("started without a sandbox: it has all rights of the gateway, its keys and its record among them",
			slog.String("server", l.name), slog.String("command", l.server.implied.program))
		return startBare(l.bare(all), stdin, stdout, stderr)
	}
	if l.server.Sandbox.Type == sandboxContainer {
		return l.startContainer(all, stdin, stdout, stderr)
	}
	if err := l.server.makeCache(); err != nil {
		return nil, err
	}
	rules, err := l.rules(ctx)
	if err != nil {
		return nil, err
	}
	p, err := l.sandboxes.Start(l.spec(all), stdin, stdout, stderr, l.log)
	if err != nil {
		return nil, err
	}
	if proxy := p.Proxy(); proxy != nil {
		// It ends with the process, whose end closes the listener.
		go func() {
			err := egress.Serve(context.Background(), proxy, rules, egress.Options{Log: l.log, Name: l.name})
			if err != nil && !errors.Is(err, net.ErrClosed) {
				l.log.Warn("egress ended", slog.String("server", l.name), slog.Any("error", err))
			}
		}()
	}
	return p, nil
}

// spec is what the server may do. Of the gateway's own directory it sees nothing, whatever it may
// read, but for caches of packages that it was given.
func (l *launcher) spec(env map[string]string) sandbox.Spec {
	m, box := l.server.implied, l.server.Sandbox
	spec := sandbox.Spec{Name: l.name, Command: m.program, Args: l.server.Args, Env: env, Dir: m.dir,
		Egress: len(m.egress) > 0 || len(m.registries) > 0, Hide: []string{l.state},
		Limits: sandbox.Limits{MemoryBytes: int64(box.Memory), TmpBytes: int64(box.Tmp), FileBytes: int64(box.FileSize),
			Processes: box.Processes, Files: box.Files, CPUSeconds: int(box.CPUTime.Std().Seconds())}}
	for _, list := range []struct {
		paths []string
		to    *[]string
		write bool
	}{{m.read, &spec.Read, false}, {m.write, &spec.Write, true}} {
		for _, path := range list.paths {
			if strings.HasPrefix(path, filepath.Join(l.state, cacheDir)+"/") {
				spec.Own = append(spec.Own, sandbox.Own{Path: path, Write: list.write})
			} else {
				*list.to = append(*list.to, path)
			}
		}
	}
	return spec
}

// bare is the command of a server without a sandbox. Even then it gets no more of the gateway's
// environment than others: the gateway's secrets are in there.
func (l *launcher) bare(env map[string]string) *exec.Cmd {
	cmd := exec.Command(l.server.implied.program, l.server.Args...)
	cmd.Dir = l.server.implied.dir
	if cmd.Dir == "" {
		cmd.Dir = l.environ["HOME"]
	}
	cmd.Env = []string{}
	for _, name := range []string{"PATH", "HOME", "TMPDIR", "LANG"} {
		if value, ok := l.environ[name]; ok {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	for name, value := range env {
		cmd.Env = append(cmd.Env, name+"="+value) // the last of a name counts
	}
	return cmd
}

// resolveTimeout bounds looking a registry's addresses up before a start.
const resolveTimeout = 5 * time.Second

// rules is what a process may reach. A registry that the machine's own settings name may lie on
// a private address, which a name alone does not open; so its addresses of this moment are added,
// but for those where a cloud keeps its secrets, and this machine's own unless it is named.
func (l *launcher) rules(ctx context.Context) (egress.Rules, error) {
	entries := append([]string{}, l.server.implied.egress...)
	ctx, cancel := context.WithTimeout(ctx, resolveTimeout)
	defer cancel()
	for _, registry := range l.server.implied.registries {
		host, port, err := net.SplitHostPort(registry)
		if err != nil {
			continue // it was made by JoinHostPort
		}
		addresses, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
		if err != nil {
			l.log.Warn("package registry not found", slog.String("server", l.name), slog.String("host", host), slog.Any("error", err))
			continue
		}
		for _, a := range addresses {
			if mayBeRegistry(host, a.Unmap()) {
				entries = append(entries, net.JoinHostPort(a.Unmap().String(), port))
			}
		}
	}
	return egress.ParseRules(entries)
}

func mayBeRegistry(host string, a netip.Addr) bool {
	return !a.IsLinkLocalUnicast() && !a.IsUnspecified() && !a.IsMulticast() && a.Zone() == "" && (!a.IsLoopback() || host == "localhost" || host == a.String())
}

// makeCache makes the directory that a package runner writes, before a process starts.
func (s *Server) makeCache() error {
	if s.implied.cache == "" {
		return nil
	}
	if err := os.MkdirAll(filepath.Clean(s.implied.cache), 0o700); err != nil {
		return fmt.Errorf("make the cache of packages: %w", err)
	}
	return nil
}
