package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"sync"

	"golang.org/x/sys/unix"
)

// Terminal is a terminal that is made for an agent and joined to the person's. The agent can set
// it, be interrupted by it and read from it like any other, and has no descriptor of the person's.
type Terminal struct {
	ours, agents *os.File
	in, out      *os.File // the person's
	before       *unix.Termios
	resized      chan os.Signal
	copied       chan struct{}
	started      bool
	once         sync.Once
}

// IsTerminal reports whether f is a terminal.
func IsTerminal(f *os.File) bool {
	_, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS)
	return err == nil
}

// NewTerminal makes a terminal of the size of in, and has in pass on every key. Close undoes that.
func NewTerminal(in, out *os.File) (*Terminal, error) {
	before, err := unix.IoctlGetTermios(int(in.Fd()), unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("read the terminal's settings: %w", err)
	}
	ours, agents, err := pair()
	if err != nil {
		return nil, fmt.Errorf("make a terminal for the agent: %w", err)
	}
	t := &Terminal{ours: ours, agents: agents, in: in, out: out, before: before, resized: make(chan os.Signal, 1), copied: make(chan struct{})}
	t.resize()
	raw := *before
	raw.Iflag &^= unix.IGNBRK | unix.BRKINT | unix.PARMRK | unix.ISTRIP | unix.INLCR | unix.IGNCR | unix.ICRNL | unix.IXON
	raw.Oflag &^= unix.OPOST
	raw.Lflag &^= unix.ECHO | unix.ECHONL | unix.ICANON | unix.ISIG | unix.IEXTEN
	raw.Cflag = raw.Cflag&^(unix.CSIZE|unix.PARENB) | unix.CS8
	raw.Cc[unix.VMIN], raw.Cc[unix.VTIME] = 1, 0
	// The agent's begins with the settings of the person's.
	err = errors.Join(unix.IoctlSetTermios(int(agents.Fd()), unix.TCSETS, before), unix.IoctlSetTermios(int(in.Fd()), unix.TCSETS, &raw))
	if err != nil {
		_, _ = ours.Close(), agents.Close()
		return nil, fmt.Errorf("set the terminal: %w", err)
	}
	return t, nil
}

// pair opens both ends of a new terminal: ours, and the one that programs use.
func pair() (ours, theirs *os.File, err error) {
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return nil, nil, err
	}
	ours = os.NewFile(uintptr(fd), "ptmx")
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		_ = ours.Close()
		return nil, nil, err
	}
	// Not by its name, which another mount of devices may give to another terminal.
	other, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		_ = ours.Close()
		return nil, nil, errno
	}
	return ours, os.NewFile(other, "pts"), nil
}

// Agent is the agent's end.
func (t *Terminal) Agent() *os.File { return t.agents }

// Started is to be called when the agent has its end: from then on both terminals are one.
func (t *Terminal) Started() {
	t.started = true
	_ = t.agents.Close()
	signal.Notify(t.resized, unix.SIGWINCH)
	go func() {
		for range t.resized {
			t.resize()
		}
	}()
	go func() {
		_, _ = io.Copy(t.ours, t.in) // ends with this process, or when the agent's terminal is gone
	}()
	go func() {
		defer close(t.copied)
		_, _ = io.Copy(t.out, t.ours) // until nobody has the agent's end any more
	}()
}

func (t *Terminal) resize() {
	if size, err := unix.IoctlGetWinsize(int(t.in.Fd()), unix.TIOCGWINSZ); err == nil {
		_ = t.control(func(fd int) error { return unix.IoctlSetWinsize(fd, unix.TIOCSWINSZ, size) })
	}
}

// control does something to our end, which may have been closed, and stays in non-blocking mode.
func (t *Terminal) control(do func(fd int) error) error {
	raw, err := t.ours.SyscallConn()
	if err != nil {
		return err
	}
	var done error
	return errors.Join(raw.Control(func(fd uintptr) { done = do(int(fd)) }), done)
}

// Close waits for what the agent has printed, once it has ended, and gives the person the terminal
// back as it was.
func (t *Terminal) Close() error {
	var err error
	t.once.Do(func() {
		if !t.started {
			_ = t.agents.Close()
		} else {
			<-t.copied
			signal.Stop(t.resized)
			close(t.resized)
		}
		_ = t.ours.Close()
		err = unix.IoctlSetTermios(int(t.in.Fd()), unix.TCSETS, t.before)
	})
	return err
}
