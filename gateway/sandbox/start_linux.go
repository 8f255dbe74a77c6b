package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Process is a program that runs in a sandbox.
type Process struct {
	cmd     *exec.Cmd
	control *net.UnixConn // held open until the end: its end is the helper's
	groups  cgroups
	proxy   net.Listener
	relay   net.Listener
	watch   *watcher

	waited sync.Once
	err    error
}

// startTimeout bounds how long the helper may take to build the walls.
const startTimeout = 20 * time.Second

// arg0 is what the helper is called: that is how it knows itself.
const arg0 = "sallyport: sandbox"

// Reexecuted reports whether this process is the helper.
func Reexecuted() bool { return len(os.Args) > 0 && os.Args[0] == arg0 && os.Getpid() == 1 }

// message is what the helper says.
type message struct {
	Kind string // "proxy", "relay" and "notify" come with a descriptor; "started"; "failed"
	Part string // of a failure: the mechanism, or "" where it is not the machine's fault
	Text string
}

// Start runs the program behind its walls, with the three descriptors as its standard input,
// output and error; they stay the caller's to close. The error says what is wrong with the spec,
// that the program cannot be executed, or, as a *MissingError, what this machine lacks; then
// nothing runs.
func Start(s Spec, stdin, stdout, stderr *os.File, log *slog.Logger) (*Process, error) {
	return new(Launcher).start(s, stdin, stdout, stderr, log)
}

// Launcher starts programs as Start does, and sooner: it keeps one helper ready, which costs the
// most of a start and knows nothing yet of what it will run. The zero Launcher is ready for use.
type Launcher struct {
	mu     sync.Mutex // guards all below
	spare  *Process
	next   *time.Timer // makes the next one; nil when none is due
	closed bool
}

// Start is [Start].
func (l *Launcher) Start(s Spec, stdin, stdout, stderr *os.File, log *slog.Logger) (*Process, error) {
	p, err := l.start(s, stdin, stdout, stderr, log)
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.spare == nil && l.next == nil && !l.closed && err == nil {
		l.next = time.AfterFunc(refill, l.prepare)
	}
	return p, err
}

// refill is how long after a start the next helper is made: the program that has been started
// needs the processor first.
const refill = 250 * time.Millisecond

func (l *Launcher) prepare() {
	p, err := spawn()
	if err != nil {
		p = nil // the next start finds out
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.next = nil
	if p != nil && (l.spare != nil || l.closed) {
		p.discard()
		return
	}
	l.spare = p
}

func (l *Launcher) start(s Spec, stdin, stdout, stderr *os.File, log *slog.Logger) (*Process, error) {
	if err := s.Check(); err != nil {
		return nil, err
	}
	l.mu.Lock()
	p := l.spare
	l.spare = nil
	l.mu.Unlock()
	o := order{Spec: s}
	if p != nil && p.alive() {
		return p, p.run(o, stdin, stdout, stderr, discard(log))
	}
	p, err := spawn()
	if err != nil {
		return nil, err
	}
	return p, p.run(o, stdin, stdout, stderr, discard(log))
}

// Close ends the helper that waits. Programs that were started run on.
func (l *Launcher) Close() {
	l.mu.Lock()
	l.closed = true
	p := l.spare
	l.spare = nil
	if l.next != nil {
		l.next.Stop() // one that has begun finds closed set
	}
	l.mu.Unlock()
	if p != nil {
		p.discard()
	}
}

// order is what the helper is told.
type order struct {
	Spec
	Plan, Kept []entry // what of the machine is visible, and what of that below something hidden
	Probe      bool    // build the walls and run nothing
	Bounded    bounded // by cgroups
}

// spawn starts a helper, which waits for its order.
func spawn() (*Process, error) {
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	ours, theirs := os.NewFile(uintptr(pair[0]), "sandbox"), os.NewFile(uintptr(pair[1]), "sandbox")
	defer func() { _, _ = ours.Close(), theirs.Close() }()
	conn, err := net.FileConn(ours)
	if err != nil {
		return nil, fmt.Errorf("start sandbox: %w", err)
	}
	p := &Process{control: conn.(*net.UnixConn), cmd: &exec.Cmd{Path: "/proc/self/exe", Args: []string{arg0}, Env: []string{}, Dir: "/",
		ExtraFiles: []*os.File{theirs}, SysProcAttr: attributes()}}
	if err := p.cmd.Start(); err != nil {
		_ = conn.Close()
		return nil, &MissingError{Part{Name: partNamespaces, Detail: err.Error(), Cure: cures[partNamespaces]}}
	}
	p.groups = confine(p.cmd.Process.Pid)
	return p, nil
}

// alive reports whether the helper is still there to be told.
func (p *Process) alive() bool { return p.cmd.Process.Signal(syscall.Signal(0)) == nil }

// discard ends a helper that has not been told anything.
func (p *Process) discard() {
	p.Kill()
	_ = p.Wait()
}

// run gives the order and hears what comes of it. On an error the helper is gone.
func (p *Process) run(o order, stdin, stdout, stderr *os.File, log *slog.Logger) error {
	o.Limits = o.Limits.orDefault()
	o.Plan, o.Kept = o.plan(), o.kept()
	p.groups.limit(o.Limits)
	o.Bounded = p.groups.bounded
	err := p.tell(o, stdin, stdout, stderr)
	if err == nil {
		err = p.attend(o.Spec, log)
	}
	if err != nil {
		p.discard()
	}
	return err
}

// tell sends the order with the program's three descriptors.
func (p *Process) tell(o order, files ...*os.File) error {
	raw, err := json.Marshal(o)
	if err != nil {
		return err
	}
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer func() { _ = null.Close() }()
	var fds []int
	for _, f := range files {
		if f == nil {
			f = null
		}
		fds = append(fds, int(f.Fd()))
	}
	_ = p.control.SetDeadline(time.Now().Add(startTimeout))
	_, _, err = p.control.WriteMsgUnix(raw, unix.UnixRights(fds...), nil)
	if errors.Is(err, unix.EMSGSIZE) {
		return fmt.Errorf("start sandbox: arguments, environment and paths are %d bytes together, more than one message to the helper holds; "+
			"pass what is large in a file that the server may read", len(raw))
	}
	if err != nil {
		return fmt.Errorf("start sandbox: tell the helper: %w", err)
	}
	return nil
}

// attributes are the namespaces. Inside there is one user, which is not root there and is the
// gateway's own outside; what the helper needs to build the walls it holds as ambient capabilities
// and gives up before the program runs.
func attributes() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{
		Cloneflags: unix.CLONE_NEWUSER | unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWNET | unix.CLONE_NEWIPC |
			unix.CLONE_NEWUTS | unix.CLONE_NEWCGROUP,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: uid, HostID: os.Getegid(), Size: 1}},
		AmbientCaps: []uintptr{unix.CAP_SYS_ADMIN, unix.CAP_NET_ADMIN, unix.CAP_SETPCAP, unix.CAP_SYS_RESOURCE},
		Pdeathsig:   unix.SIGKILL,
		Setsid:      true,
	}
}

const uid = 1000

// attend hears the helper out until the program runs.
func (p *Process) attend(s Spec, log *slog.Logger) error {
	for {
		said, fd, err := receive(p.control)
		if err != nil {
			return p.silence(err)
		}
		switch said.Kind {
		case "proxy":
			if p.proxy, err = listener(fd); err != nil {
				return fmt.Errorf("start sandbox: listen for the proxy: %w", err)
			}
		case "relay":
			if p.relay, err = listener(fd); err != nil {
				return fmt.Errorf("start sandbox: listen for the relay: %w", err)
			}
		case "notify":
			p.watch = watch(fd, p.Pid(), s.Name, log)
		case "started":
			return nil
		case "failed":
			if said.Part != "" {
				return &MissingError{Part{Name: said.Part, Detail: said.Text, Cure: cures[said.Part]}}
			}
			return errors.New(said.Text)
		}
	}
}

// silence is the error where the helper ended without a word.
func (p *Process) silence(err error) error {
	p.Kill()
	if ended := p.Wait(); ended != nil {
		err = ended
	}
	return fmt.Errorf("start sandbox: the helper ended before the program ran: %w", err)
}

func receive(c *net.UnixConn) (said message, fd int, err error) {
	fd = -1
	buf, oob := make([]byte, 8<<10), make([]byte, unix.CmsgSpace(4))
	n, oobn, _, _, err := c.ReadMsgUnix(buf, oob)
	if err != nil {
		return said, fd, err
	}
	if n == 0 {
		return said, fd, errors.New("no word from it")
	}
	if messages, err := unix.ParseSocketControlMessage(oob[:oobn]); err == nil && len(messages) == 1 {
		if fds, err := unix.ParseUnixRights(&messages[0]); err == nil && len(fds) == 1 {
			fd = fds[0]
			unix.CloseOnExec(fd)
		}
	}
	return said, fd, json.Unmarshal(buf[:n], &said)
}

func listener(fd int) (net.Listener, error) {
	f := os.NewFile(uintptr(fd), "proxy")
	defer func() { _ = f.Close() }()
	return net.FileListener(f)
}

// Wait returns when the program, and with it all that it has started, has ended. The error is an
// *exec.ExitError with the program's own status, or 128 and the signal that ended it.
func (p *Process) Wait() error {
	p.waited.Do(func() {
		p.err = p.cmd.Wait()
		for _, l := range []net.Listener{p.proxy, p.relay} {
			if l != nil {
				_ = l.Close()
			}
		}
		if p.watch != nil {
			p.watch.stop()
		}
		_ = p.control.Close()
		p.groups.remove()
	})
	return p.err
}

// Kill ends the program and all that it has started.
func (p *Process) Kill() { _ = p.cmd.Process.Kill() }

// Signal sends a signal to the program, and to nothing else inside.
func (p *Process) Signal(s syscall.Signal) error {
	_ = p.control.SetWriteDeadline(time.Now().Add(startTimeout))
	if _, err := p.control.Write([]byte{byte(s)}); err != nil {
		return fmt.Errorf("send a signal into the sandbox: %w", err)
	}
	return nil
}

// Pid is the helper's process id on the machine.
func (p *Process) Pid() int { return p.cmd.Process.Pid }

// Proxy is the listener inside, to be served by the caller; nil without Egress.
func (p *Process) Proxy() net.Listener { return p.proxy }

// Relay is the other listener inside, to be served by the caller; nil without Relay.
func (p *Process) Relay() net.Listener { return p.relay }
