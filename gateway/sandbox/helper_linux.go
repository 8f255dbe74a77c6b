package sandbox

import (
	"encoding/json"
	"errors"
	"fmt"
	"os/signal"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

const control = 3 // the helper's descriptor towards the gateway

// failure is an error with the mechanism that it is about.
type failure struct {
	part string
	err  error
}

func (f *failure) Error() string { return f.err.Error() }

func missing(part string, err error) error {
	if err == nil {
		return nil
	}
	return &failure{part, err}
}

// Main is the helper. It does not return, and ends without what the runtime does at an exit: the
// race detector would wait for a second there.
func Main() {
	runtime.LockOSThread() // the filter is this thread's, and the program is started by it
	o, err := hear()
	if err == nil {
		var pid int
		if pid, err = build(o); err == nil && o.Probe {
			unix.Exit(0)
		}
		if err == nil {
			_ = tell(message{Kind: "started"}, -1)
			serve(pid)
		}
	}
	said := message{Kind: "failed", Text: err.Error()}
	if f, ok := errors.AsType[*failure](err); ok {
		said.Part = f.part
	}
	_ = tell(said, -1)
	unix.Exit(1)
}

// hear waits for the order, and takes the program's descriptors for its own.
func hear() (o order, err error) {
	buf, rights := make([]byte, 1<<20), make([]byte, unix.CmsgSpace(3*4))
	n, nr, _, _, err := unix.Recvmsg(control, buf, rights, unix.MSG_CMSG_CLOEXEC)
	if err != nil {
		return o, fmt.Errorf("hear the gateway: %w", err)
	}
	if n == 0 {
		unix.Exit(1) // it needs no helper any more
	}
	unix.CloseOnExec(control)
	messages, err := unix.ParseSocketControlMessage(rights[:nr])
	if err != nil || len(messages) != 1 {
		return o, errors.New("hear the gateway: no descriptors")
	}
	fds, err := unix.ParseUnixRights(&messages[0])
	if err != nil || len(fds) != 3 {
		return o, errors.New("hear the gateway: not three descriptors")
	}
	for to, from := range fds {
		if err := unix.Dup3(from, to, 0); err != nil {
			return o, fmt.Errorf("take descriptor %d: %w", to, err)
		}
		_ = unix.Close(from)
	}
	return o, json.Unmarshal(buf[:n], &o)
}

func tell(m message, fd int) error {
	raw, err := json.Marshal(m)
	if err != nil {
		return err
	}
	var rights []byte
	if fd >= 0 {
		rights = unix.UnixRights(fd)
	}
	return unix.Sendmsg(control, raw, rights, nil, unix.MSG_NOSIGNAL)
}

// build builds the walls from the outside in, and starts the program last.
func build(o order) (pid int, err error) {
	if err := newRoot(o); err != nil {
		return 0, err
	}
	if err := limit(o.Limits, o.Bounded); err != nil {
		return 0, err
	}
	if err := sealRoot(); err != nil {
		return 0, err
	}
	if err := unix.Sethostname([]byte("sandbox")); err != nil {
		return 0, missing(partNamespaces, fmt.Errorf("set host name: %w", err))
	}
	if o.Egress {
		if err := openNetwork(o.Relay); err != nil {
			return 0, missing(partNamespaces, fmt.Errorf("network of its own: %w", err))
		}
	}
	if err := dropCapabilities(); err != nil {
		return 0, missing(partNamespaces, fmt.Errorf("drop capabilities: %w", err))
	}
	if err := lock(o); err != nil {
		return 0, missing(partLandlock, err)
	}
	// A probe's filter is not watched, but must be there.
	fd, err := filter(o.Egress)
	if err != nil {
		return 0, missing(partSeccomp, err)
	}
	if err := tell(message{Kind: "notify"}, fd); err != nil {
		return 0, fmt.Errorf("hand the filter over: %w", err)
	}
	_ = unix.Close(fd)
	if o.Probe {
		return 0, tell(message{Kind: "started"}, -1)
	}
	return run(o.Spec)
}

func run(s Spec) (int, error) {
	dir := s.Dir
	if dir == "" {
		dir = s.home()
	}
	// Nothing but the three: a gateway that was started with descriptors of its parent's has them
	// still.
	if err := unix.CloseRange(control, ^uint(0)>>1, unix.CLOSE_RANGE_CLOEXEC); err != nil {
		return 0, missing(partMounts, fmt.Errorf("close descriptors: %w", err))
	}
	attr := &syscall.ProcAttr{Dir: dir, Env: s.environ(), Files: []uintptr{0, 1, 2}}
	if s.Terminal {
		attr.Sys = &syscall.SysProcAttr{Setsid: true, Setctty: true, Ctty: 0}
	}
	pid, err := syscall.ForkExec(s.Command, append([]string{s.Command}, s.Args...), attr)
	if err != nil {
		return 0, fmt.Errorf("execute %s in %s: %w (is its interpreter visible inside? name it in sandbox.read)", s.Command, dir, err)
	}
	// The helper keeps nothing of the program's.
	for fd := range 3 {
		_ = unix.Close(fd)
	}
	return pid, nil
}

// serve is what process 1 does while the program runs. It must stay on this thread: Landlock counts
// each by itself, and this is the one that may signal the program.
func serve(pid int) {
	signal.Ignore(unix.SIGHUP, unix.SIGINT, unix.SIGTERM, unix.SIGQUIT, unix.SIGUSR1, unix.SIGUSR2, unix.SIGPIPE)
	var stops [2]int
	if err := unix.Pipe2(stops[:], unix.O_CLOEXEC); err != nil {
		unix.Exit(1)
	}
	go func() { unix.Exit(bury(pid, stops[1])) }()
	for {
		fds := []unix.PollFd{{Fd: control, Events: unix.POLLIN}, {Fd: int32(stops[0]), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil {
			continue // EINTR
		}
		if fds[0].Revents != 0 {
			obey(pid)
		}
		if fds[1].Revents != 0 {
			var buf [1]byte
			_, _ = unix.Read(stops[0], buf[:])
			_ = unix.Kill(pid, unix.SIGCONT) // there is no shell in here that could have it go on later
		}
	}
}

// obey sends the program a signal that the gateway asks for, one a byte, and ends the helper, and
// with it everything inside, when the gateway is no more.
func obey(pid int) {
	var buf [1]byte
	n, err := unix.Read(control, buf[:])
	if err == unix.EINTR {
		return
	}
	if n <= 0 {
		unix.Exit(128 + int(unix.SIGKILL))
	}
	_ = unix.Kill(pid, unix.Signal(buf[0])) // one that has ended needs none
}

// bury waits for the dead, and returns the status of the program when it ends, which ends
// everything else in the namespace. That the program has stopped it writes to stops.
func bury(pid, stops int) (status int) {
	for {
		var ws unix.WaitStatus
		dead, err := unix.Wait4(-1, &ws, unix.WUNTRACED, nil)
		switch {
		case err == unix.EINTR:
		case err != nil:
			return 1
		case dead != pid:
		case ws.Stopped():
			_, _ = unix.Write(stops, []byte{0})
		case ws.Signaled():
			return 128 + int(ws.Signal())
		case ws.Exited():
			return ws.ExitStatus()
		}
	}
}

// dropCapabilities gives up everything, and the way to ever gain anything.
func dropCapabilities() error {
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	if err := unix.Prctl(unix.PR_CAP_AMBIENT, unix.PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0); err != nil {
		return err
	}
	for c := range uintptr(64) {
		if err := unix.Prctl(unix.PR_CAPBSET_DROP, c, 0, 0, 0); err != nil {
			if err == unix.EINVAL {
				break // the last one
			}
			return err
		}
	}
	none := [2]unix.CapUserData{}
	if err := unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &none[0]); err != nil {
		return err
	}
	return unix.Prctl(unix.PR_SET_DUMPABLE, 0, 0, 0, 0) // nothing of the helper's can be read from inside
}
