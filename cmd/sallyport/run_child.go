package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"sallyport/gateway/admin"
	"sallyport/gateway/agent"
	"sallyport/gateway/config"
	"sallyport/gateway/sandbox"
)

// graceTime is how long a command has to end after it was asked to.
const graceTime = 10 * time.Second

// child is a command that runs.
type child interface {
	Signal(syscall.Signal) error
	Kill()
	Wait() error
}

// bareChild is one without a box.
type bareChild struct{ *exec.Cmd }

func (c bareChild) Signal(s syscall.Signal) error {
	if (s == syscall.SIGINT || s == syscall.SIGQUIT) && ofTerminal() {
		return nil // whoever pressed the key has signalled the command as well
	}
	return c.Process.Signal(s)
}

func (c bareChild) Kill() { _ = c.Process.Kill() }

// runBare runs the command as it is, beside a relay in a directory of its own.
func (a *app) runBare(ctx context.Context, t *task, argv []string, id string) error {
	socket, err := relaySocket()
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(filepath.Dir(socket)) }()
	ln, err := admin.Listen(socket, 0o600)
	if err != nil {
		return err
	}
	defer t.relay(ctx, ln)()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	for name, value := range a.env {
		cmd.Env = append(cmd.Env, name+"="+value)
	}
	for name, value := range relayed(id, socket) {
		cmd.Env = append(cmd.Env, name+"="+value) // the last of a name counts
	}
	taken, giveBack := takeSignals()
	defer giveBack()
	if err := cmd.Start(); err != nil {
		return err
	}
	return await(ctx, bareChild{cmd}, taken)
}

// relaySocket is the path of a socket in a new directory. Where the temporary directory has a longer
// path than a socket's may be, as a test's or a CI job's can have, the directory is in /tmp.
func relaySocket() (string, error) {
	const name, shortest = "relay.sock", "/tmp"
	dir, err := os.MkdirTemp("", "sallyport-run-")
	if err != nil {
		return "", err
	}
	if socket := filepath.Join(dir, name); len(socket) <= admin.MaxPath {
		return socket, nil
	}
	if err := os.Remove(dir); err != nil {
		return "", err
	}
	dir, err = os.MkdirTemp(shortest, "sallyport-run-")
	return filepath.Join(dir, name), err
}

// relayed are the variables by which what runs below finds this process.
func relayed(id, address string) map[string]string {
	return map[string]string{envGrant: id, envSocket: address, envRelay: "1"}
}

// relay serves clients at l until the function that it returns is called.
func (t *task) relay(ctx context.Context, l net.Listener) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan struct{})
	r := &agent.Relay{Log: t.log, Serve: t.serve}
	go func() {
		defer close(done)
		_ = r.Run(ctx, l) // it has no other end than its listener's
	}()
	return func() { cancel(); <-done }
}

// newBox is the box of the command, checked.
func (a *app) newBox(f *runFlags, folder, program string, args []string) (*agent.Box, error) {
	c := agent.BoxConfig{Profile: f.box, Args: args, Folder: folder, Home: a.env["HOME"], Allow: f.allow, Env: f.env, Environ: a.env,
		Set: relayed("", "tcp:"+sandbox.RelayAddr), Terminal: agent.IsTerminal(os.Stdin) && agent.IsTerminal(os.Stdout)}
	if f.box == plainBox {
		c.Profile = ""
	}
	var err error
	if c.Command, err = filepath.Abs(program); err != nil {
		return nil, err
	}
	for _, list := range []struct {
		from []string
		to   *[]string
	}{{f.read, &c.Read}, {f.write, &c.Write}} {
		for _, path := range list.from {
			abs, err := filepath.Abs(path)
			if err != nil {
				return nil, err
			}
			*list.to = append(*list.to, abs)
		}
	}
	c.Self = self()
	var sockets []string
	if socket, err := a.socketPath(f.from); err == nil {
		sockets = append(sockets, socket)
	}
	cfg, err := a.load()
	switch {
	case err == nil:
		c.Hide, c.Keep = cfg.Own()
		c.Hide = append(c.Hide, sockets...)
	case a.file != "" || a.env[config.EnvPrefix+"CONFIG"] != "":
		// What the gateway's own files are is not known, so they could not be kept from the agent.
		return nil, err
	default: // who has no configuration here has no state here
		c.Hide = sockets
	}
	b, err := agent.NewBox(c)
	if err != nil {
		return nil, errUsage{err.Error()}
	}
	return b, nil
}

// self are the paths of this program, as a client may be told to run it.
func self() (paths []string) {
	if path, err := os.Executable(); err == nil {
		paths = append(paths, path)
	}
	if path, err := exec.LookPath("sallyport"); err == nil {
		if path, err = filepath.Abs(path); err == nil {
			paths = append(paths, path)
		}
	}
	return paths
}

// runBoxed runs the command in its box.
func (a *app) runBoxed(ctx context.Context, t *task, b *agent.Box, id string) error {
	b.Spec.Env[envGrant] = id
	stdin, stdout, stderr := os.Stdin, os.Stdout, os.Stderr
	var term *agent.Terminal
	if b.Spec.Terminal {
		var err error
		if term, err = agent.NewTerminal(os.Stdin, os.Stdout); err != nil {
			return err
		}
		defer func() { _ = term.Close() }()
		stdin, stdout = term.Agent(), term.Agent()
		if agent.IsTerminal(os.Stderr) {
			stderr = term.Agent()
		}
	}
	taken, giveBack := takeSignals()
	defer giveBack()
	p, err := b.Start(ctx, stdin, stdout, stderr, t.log)
	if err != nil {
		return err
	}
	defer t.relay(ctx, p.Relay())()
	if term != nil {
		term.Started()
	}
	return await(ctx, p, taken)
}

// signals are those that are passed on.
var signals = []os.Signal{syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP, syscall.SIGQUIT, syscall.SIGUSR1, syscall.SIGUSR2}

// takeSignals has this process hear the signals, in place of ending by them.
func takeSignals() (taken <-chan os.Signal, giveBack func()) {
	c := make(chan os.Signal, 8)
	signal.Reset(signals...)
	signal.Notify(c, signals...)
	return c, func() { signal.Stop(c) }
}

// await waits for the command, passes signals on, and returns its exit status.
func await(ctx context.Context, c child, taken <-chan os.Signal) error {
	done := make(chan error, 1)
	go func() { done <- c.Wait() }()
	var tooLate <-chan time.Time
	for {
		select {
		case err := <-done:
			return statusOf(err)
		case <-ctx.Done():
			c.Kill()
			ctx = context.WithoutCancel(ctx)
		case <-tooLate:
			c.Kill()
		case s := <-taken:
			_ = c.Signal(s.(syscall.Signal)) // one that has ended needs none
			if s == syscall.SIGTERM || s == syscall.SIGHUP {
				tooLate = time.After(graceTime)
			}
		}
	}
}

// ofTerminal reports whether this process is one of those that a terminal's keys signal.
func ofTerminal() bool {
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer func() { _ = tty.Close() }()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}

// statusOf is the exit status of a command as an error of ours.
func statusOf(err error) error {
	ended, ok := errors.AsType[*exec.ExitError](err)
	if !ok {
		return err
	}
	if ws, ok := ended.Sys().(syscall.WaitStatus); ok && ws.Signaled() {
		return errStatus(128 + int(ws.Signal()))
	}
	return errStatus(max(ended.ExitCode(), 1))
}

// openLog opens what is logged to. A terminal is the command's: nothing is written across it.
func (a *app) openLog(f *runFlags) (io.Writer, error) {
	path := f.logFile
	if path == "" && !agent.IsTerminal(os.Stderr) {
		return a.talk, nil
	}
	if path == "" {
		base := a.env["XDG_STATE_HOME"]
		if base == "" {
			base = filepath.Join(a.env["HOME"], ".local", "state")
		}
		path = filepath.Join(base, "sallyport", "runs", fmt.Sprintf("%s-%d.log", time.Now().Format("20060102-150405"), os.Getpid()))
		if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
			return nil, fmt.Errorf("log: %w; name a file (--log)", err)
		}
	}
	file, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("log: %w; name another file (--log)", err)
	}
	return file, nil
}

// closeLog says where to look, where there is something to be seen.
func (a *app) closeLog(w io.Writer) {
	file, ok := w.(*os.File)
	if !ok || file == a.talk {
		return
	}
	info, err := file.Stat()
	_ = file.Close() // what could be written is written
	if err == nil && info.Size() == 0 {
		_ = os.Remove(file.Name())
	} else {
		a.say("what went wrong, and what the command tried in vain, is in %s", file.Name())
	}
}
