package sandbox

import (
	"fmt"
	"log/slog"
	"os"
	"strconv"
	"sync"
	"time"
	"unsafe"

	"github.com/elastic/go-seccomp-bpf/arch"
	"golang.org/x/sys/unix"
)

// notification is struct seccomp_notif of the kernel.
type notification struct {
	id          uint64
	pid         uint32
	flags       uint32
	nr          int32
	arch        uint32
	instruction uint64
	args        [6]uint64
}

// response is struct seccomp_notif_resp.
type response struct {
	id    uint64
	value int64
	err   int32
	flags uint32
}

const (
	goOn = 1 // SECCOMP_USER_NOTIF_FLAG_CONTINUE

	ioctlReceive = 0xc0502100 // SECCOMP_IOCTL_NOTIF_RECV
	ioctlSend    = 0xc0182101 // SECCOMP_IOCTL_NOTIF_SEND
	ioctlFlags   = 0x40082104 // SECCOMP_IOCTL_NOTIF_SET_FLAGS, since Linux 6.6
	syncWakeUp   = 1          // SECCOMP_USER_NOTIF_FD_SYNC_WAKE_UP: who waits and who answers take turns on one processor
)

// watcher hears what the filter stops, and answers. It refuses what is refused in any case; about
// the rest it only tells: the path that it reads could be another by the time the kernel reads it.
type watcher struct {
	fd    int
	quit  [2]int // a pipe
	names map[int]string
	once  sync.Once
	done  chan struct{}
	pace  pace
	tried *tried
}

// watch answers for fd until the program has ended. helper is its process 1.
func watch(fd, helper int, server string, log *slog.Logger) *watcher {
	w := &watcher{fd: fd, names: map[int]string{}, done: make(chan struct{}), tried: newTried(helper, server, log)}
	if info, err := arch.GetInfo(""); err == nil {
		w.names = info.SyscallNumbers
	}
	if err := unix.Pipe2(w.quit[:], unix.O_CLOEXEC); err != nil {
		_ = unix.Close(fd) // what it would have heard of fails then
		w.tried.close()
		close(w.done)
		w.quit = [2]int{-1, -1}
		return w
	}
	// Where the kernel does not know it, answers take longer.
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(fd), ioctlFlags, syncWakeUp)
	go w.run()
	return w
}

func (w *watcher) stop() {
	w.once.Do(func() {
		if w.quit[1] >= 0 {
			_ = unix.Close(w.quit[1])
			<-w.done
			_ = unix.Close(w.quit[0])
		}
	})
}

func (w *watcher) run() {
	defer close(w.done)
	defer w.tried.close()
	defer func() { _ = unix.Close(w.fd) }()
	for {
		fds := []unix.PollFd{{Fd: int32(w.fd), Events: unix.POLLIN}, {Fd: int32(w.quit[0]), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && err != unix.EINTR {
			return
		}
		if fds[1].Revents != 0 || fds[0].Revents&unix.POLLIN == 0 && fds[0].Revents != 0 {
			return // nobody is left who could call
		}
		if fds[0].Revents == 0 {
			continue
		}
		var n notification
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), ioctlReceive, uintptr(unsafe.Pointer(&n))); errno != 0 {
			continue // who called has died
		}
		w.answer(&n)
	}
}

// answer judges one call, answers, and then tells of it, when nobody waits for that any more.
func (w *watcher) answer(n *notification) {
	r := response{id: n.id}
	name := w.names[int(n.nr)]
	look, wait := w.pace.next(time.Now())
	if wait > 0 && w.sleep(wait) {
		return
	}
	how, path := "", ""
	if call, ok := opening(name, n.args); ok {
		r.flags = goOn
		if look {
			how, path = call.how, w.tried.path(n.pid, call.dir, call.at)
		}
		if how == "write" && path != "" {
			// A file that is about to be made would be there outside, and gone inside with the
			// program, by the time that somebody looks.
			w.tried.opened(how, path)
			path = ""
		}
	} else {
		r.err = -int32(unix.EPERM)
	}
	_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), ioctlSend, uintptr(unsafe.Pointer(&r)))
	switch {
	case r.err != 0:
		w.tried.tell("sandbox refused a system call", name+detail(name, n.args))
	case path != "":
		w.tried.opened(how, path)
	}
}

// sleep lets a program wait that calls too often, and reports whether it ended meanwhile.
func (w *watcher) sleep(d time.Duration) (ended bool) {
	fds := []unix.PollFd{{Fd: int32(w.quit[0]), Events: unix.POLLIN}}
	n, _ := unix.Poll(fds, int(d.Milliseconds())+1)
	return n > 0
}

// What a program may cost the gateway, in calls of a second.
const (
	mostLooks = 2_000  // that are looked at for the log
	mostCalls = 30_000 // that are answered, at some 12 µs of the gateway's processor
)

// pace counts the calls of a second.
type pace struct {
	second time.Time
	calls  int
}

// next says of a call at now whether to look at what it wants, and how long it must wait.
func (p *pace) next(now time.Time) (look bool, wait time.Duration) {
	if now.Sub(p.second) >= time.Second {
		p.second, p.calls = now, 0
	}
	p.calls++
	if p.calls > mostCalls {
		wait = time.Second - now.Sub(p.second)
	}
	return p.calls <= mostLooks, wait
}

// call is one that opens or executes a file: what it wants, and where the path stands.
type call struct {
	how string
	dir int
	at  uint64
}

// opening reports whether the call is one that goes on, and how to look at it. What it does not
// report is refused.
func opening(name string, args [6]uint64) (call, bool) {
	switch name {
	case "open":
		return call{access(args[1]), unix.AT_FDCWD, args[0]}, !makesSetID(args[1], args[2])
	case "creat":
		return call{"write", unix.AT_FDCWD, args[0]}, !makesSetID(unix.O_CREAT, args[1])
	case "openat":
		return call{access(args[2]), int(int32(args[0])), args[1]}, !makesSetID(args[2], args[3])
	case "execve":
		return call{"run", unix.AT_FDCWD, args[0]}, true
	case "execveat":
		return call{"run", int(int32(args[0])), args[1]}, true
	}
	return call{}, false
}

func access(flags uint64) string {
	if flags&(unix.O_WRONLY|unix.O_RDWR) != 0 {
		return "write"
	}
	return "read"
}

// makesSetID reports whether an open makes a file whose mode has the bits. Both values come with
// the call, not from memory, so what is judged is what the kernel does.
func makesSetID(flags, mode uint64) bool {
	const makes = unix.O_CREAT | (unix.O_TMPFILE &^ unix.O_DIRECTORY)
	return flags&makes != 0 && mode&setID != 0
}

// detail says which kind of socket was wanted; other arguments say nothing to a reader.
func detail(name string, args [6]uint64) string {
	if name != "socket" && name != "socketpair" {
		return ""
	}
	families := map[uint64]string{unix.AF_UNIX: "unix", unix.AF_INET: "IPv4", unix.AF_INET6: "IPv6", unix.AF_NETLINK: "netlink", unix.AF_PACKET: "packet"}
	kinds := map[uint64]string{unix.SOCK_STREAM: "stream", unix.SOCK_DGRAM: "datagram", unix.SOCK_RAW: "raw"}
	family, kind := families[args[0]], kinds[args[1]&0xf]
	if family == "" {
		family = "family " + strconv.FormatUint(args[0], 10)
	}
	return fmt.Sprintf(" (%s %s)", family, kind)
}

// procOf is a process of the machine in /proc.
func procOf(pid uint64) string { return "/proc/" + strconv.FormatUint(pid, 10) }

// rootOf opens what process pid has for a root, to look for files in; -1 where that cannot be.
func rootOf(pid int) int {
	fd, err := unix.Open(procOf(uint64(pid))+"/root", unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return -1
	}
	return fd
}

// readString reads a string from a thread's memory; "" where that cannot be, or is longer than
// buf.
func readString(pid uint32, at uint64, buf []byte) string {
	// Two pieces, since a page that is not there ends the reading, and most strings end before.
	n := 0
	for n < len(buf) {
		piece := buf[n:]
		if left := os.Getpagesize() - int((at+uint64(n))%uint64(os.Getpagesize())); len(piece) > left {
			piece = piece[:left]
		}
		local := []unix.Iovec{{Base: &piece[0]}}
		local[0].SetLen(len(piece))
		got, err := unix.ProcessVMReadv(int(pid), local, []unix.RemoteIovec{{Base: uintptr(at) + uintptr(n), Len: len(piece)}}, 0)
		if err != nil || got <= 0 {
			return ""
		}
		for i, c := range piece[:got] {
			if c == 0 {
				return string(buf[:n+i])
			}
		}
		n += got
	}
	return ""
}
