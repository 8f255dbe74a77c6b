package sandbox

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
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
)

// watcher hears what the filter stops, and answers. It refuses what is refused in any case; about
// the rest it only tells: the path that it reads could be another by the time the kernel reads it.
type watcher struct {
	fd    int
	quit  [2]int // a pipe
	spec  Spec
	log   *slog.Logger
	names map[int]string
	once  sync.Once
	done  chan struct{}

	seen   map[string]bool // what has been logged
	second time.Time
	n      int
}

// mostSeen bounds what is logged of one program.
const (
	mostSeen   = 1000
	mostSecond = 50
)

func watch(fd int, s Spec, log *slog.Logger) *watcher {
	w := &watcher{fd: fd, spec: s, log: log, seen: map[string]bool{}, names: map[int]string{}, done: make(chan struct{})}
	if info, err := arch.GetInfo(""); err == nil {
		w.names = info.SyscallNumbers
	}
	if err := unix.Pipe2(w.quit[:], unix.O_CLOEXEC); err != nil {
		_ = unix.Close(fd) // what it would have heard of fails then
		close(w.done)
		w.quit = [2]int{-1, -1}
		return w
	}
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
		r := w.judge(&n)
		_, _, _ = unix.Syscall(unix.SYS_IOCTL, uintptr(w.fd), ioctlSend, uintptr(unsafe.Pointer(&r)))
	}
}

func (w *watcher) judge(n *notification) response {
	r := response{id: n.id}
	name := w.names[int(n.nr)]
	switch name {
	case "open":
		if !makesSetID(n.args[1], n.args[2]) {
			return w.goesOn(n, unix.AT_FDCWD, n.args[0], n.args[1])
		}
	case "creat":
		if !makesSetID(unix.O_CREAT, n.args[1]) {
			return w.goesOn(n, unix.AT_FDCWD, n.args[0], unix.O_WRONLY)
		}
	case "openat":
		if !makesSetID(n.args[2], n.args[3]) {
			return w.goesOn(n, int(int32(n.args[0])), n.args[1], n.args[2])
		}
	}
	r.err = -int32(unix.EPERM)
	w.tell("sandbox refused a system call", name+detail(name, n))
	return r
}

// makesSetID reports whether an open makes a file whose mode has the bits. Both values come with
// the call, not from memory, so what is judged is what the kernel does.
func makesSetID(flags, mode uint64) bool {
	const makes = unix.O_CREAT | (unix.O_TMPFILE &^ unix.O_DIRECTORY)
	return flags&makes != 0 && mode&setID != 0
}

// goesOn lets an open happen.
func (w *watcher) goesOn(n *notification, dirfd int, at, flags uint64) response {
	w.opened(n, dirfd, at, flags)
	return response{id: n.id, flags: goOn}
}

// detail says which kind of socket was wanted; other arguments say nothing to a reader.
func detail(name string, n *notification) string {
	if name != "socket" && name != "socketpair" {
		return ""
	}
	families := map[uint64]string{unix.AF_UNIX: "unix", unix.AF_INET: "IPv4", unix.AF_INET6: "IPv6", unix.AF_NETLINK: "netlink", unix.AF_PACKET: "packet"}
	kinds := map[uint64]string{unix.SOCK_STREAM: "stream", unix.SOCK_DGRAM: "datagram", unix.SOCK_RAW: "raw"}
	family, kind := families[n.args[0]], kinds[n.args[1]&0xf]
	if family == "" {
		family = "family " + strconv.FormatUint(n.args[0], 10)
	}
	return fmt.Sprintf(" (%s %s)", family, kind)
}

// opened tells of a file that exists on the machine and cannot be seen inside.
func (w *watcher) opened(n *notification, dirfd int, at, flags uint64) {
	path := w.path(n.pid, dirfd, at)
	if path == "" || w.spec.visible(path) || inside(path) {
		return
	}
	if _, err := os.Lstat(path); err != nil {
		return // nothing is there that could have been wanted
	}
	if _, err := os.Lstat("/proc/" + strconv.FormatUint(uint64(n.pid), 10) + "/root" + path); err == nil {
		return // of its own, such as a file in /tmp
	}
	how := "read "
	if flags&(unix.O_WRONLY|unix.O_RDWR) != 0 {
		how = "write "
	}
	w.tell("sandbox hid a file", how+path)
}

// inside is what a sandbox has of its own, whatever the machine has there.
func inside(path string) bool {
	for _, dir := range []string{"/proc", "/dev", Home, "/etc/passwd", "/etc/group", "/etc/hosts", "/etc/nsswitch.conf", "/etc/hostname"} {
		if within(path, dir) {
			return true
		}
	}
	return false
}

// path reads the path that a thread of the program has in its memory; "" where that cannot be read.
func (w *watcher) path(pid uint32, dirfd int, at uint64) string {
	proc := "/proc/" + strconv.FormatUint(uint64(pid), 10)
	mem, err := os.Open(proc + "/mem")
	if err != nil {
		return ""
	}
	defer func() { _ = mem.Close() }()
	buf := make([]byte, 512)
	n, err := mem.ReadAt(buf, int64(at))
	if n == 0 && err != nil && err != io.EOF {
		n, _ = mem.ReadAt(buf[:64], int64(at)) // the next page may not be there
	}
	end := 0
	for end < n && buf[end] != 0 {
		end++
	}
	if end == n {
		return ""
	}
	path := string(buf[:end])
	if filepath.IsAbs(path) {
		return filepath.Clean(path)
	}
	link := proc + "/cwd"
	if dirfd != unix.AT_FDCWD {
		link = proc + "/fd/" + strconv.Itoa(dirfd)
	}
	dir, err := os.Readlink(link)
	if err != nil || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, path)
}

// usual reports whether common runtimes try it at every start, for no harm: what the machine is
// like, and how it resolves names.
func usual(what string) bool {
	return within(strings.TrimPrefix(what, "read "), "/sys") || slices.Contains([]string{"socket (netlink raw)",
		"read /etc/resolv.conf", "read /etc/ssl/openssl.cnf", "read /etc/host.conf", "read /etc/gai.conf", "read /etc/services"}, what)
}

// tell logs what is new.
func (w *watcher) tell(msg, what string) {
	if w.seen[what] || len(w.seen) >= mostSeen {
		return
	}
	if now := time.Now(); now.Sub(w.second) > time.Second {
		w.second, w.n = now, 0
	}
	if w.n++; w.n > mostSecond {
		return
	}
	w.seen[what] = true
	level := slog.LevelWarn
	if usual(what) {
		level = slog.LevelDebug
	}
	w.log.Log(context.Background(), level, msg, slog.String("server", w.spec.Name), slog.String("tried", what))
}
