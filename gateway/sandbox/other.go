//go:build !linux

package sandbox

import (
	"errors"
	"log/slog"
	"net"
	"os"
	"runtime"
	"syscall"
)

// Process is a program that runs in a sandbox; there is none on this system.
type Process struct{}

func part() Part {
	return Part{Name: "Linux", Detail: "the mechanisms are Linux's, and this is " + runtime.GOOS,
		Cure: "run the gateway on Linux, or in a Linux virtual machine"}
}

// Reexecuted reports whether this process is the helper. It never is.
func Reexecuted() bool { return false }

// Main is the helper; there is none.
func Main() { os.Exit(1) }

// Start fails: the mechanisms are Linux's.
func Start(s Spec, _, _, _ *os.File, _ *slog.Logger) (*Process, error) {
	return nil, errors.Join(s.Check(), Check().Missing())
}

// Launcher starts programs as Start does.
type Launcher struct{}

// Start is [Start].
func (l *Launcher) Start(s Spec, stdin, stdout, stderr *os.File, log *slog.Logger) (*Process, error) {
	return Start(s, stdin, stdout, stderr, log)
}

// Close does nothing.
func (l *Launcher) Close() {}

// Check reports that the mechanisms are Linux's.
func Check() Report { return Report{Parts: []Part{part()}} }

// Wait fails.
func (p *Process) Wait() error { return errors.New("not running") }

// Kill does nothing.
func (p *Process) Kill() {}

// Pid is 0.
func (p *Process) Pid() int { return 0 }

// Signal fails.
func (p *Process) Signal(syscall.Signal) error { return errors.New("not running") }

// Relay is nil.
func (p *Process) Relay() net.Listener { return nil }

// Proxy is nil.
func (p *Process) Proxy() net.Listener { return nil }
