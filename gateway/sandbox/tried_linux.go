package sandbox

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// tried logs what a program tried in vain. It is used by one goroutine.
type tried struct {
	server string
	log    *slog.Logger
	root   int      // what the program has for a root; -1 where it cannot be seen
	far    []string // file systems of the machine that are asked nothing on a program's behalf
	buf    [1024]byte

	seen   map[string]bool // what has been logged
	second time.Time
	n      int
}

// mostSeen bounds what is logged of one program.
const (
	mostSeen   = 1000
	mostSecond = 50
)

func newTried(helper int, server string, log *slog.Logger) *tried {
	return &tried{server: server, log: log, root: rootOf(helper), far: farMounts("/proc/self/mountinfo"), seen: map[string]bool{}}
}

func (t *tried) close() {
	if t.root >= 0 {
		_ = unix.Close(t.root)
		t.root = -1
	}
}

// path is the path that a thread of the program names; "" where it cannot be read.
func (t *tried) path(pid uint32, dirfd int, at uint64) string {
	path := readString(pid, at, t.buf[:])
	switch {
	case path == "":
		return ""
	case filepath.IsAbs(path):
		return filepath.Clean(path)
	}
	link := procOf(uint64(pid)) + "/cwd"
	if dirfd != unix.AT_FDCWD {
		link = procOf(uint64(pid)) + "/fd/" + strconv.Itoa(dirfd)
	}
	dir, err := os.Readlink(link)
	if err != nil || !filepath.IsAbs(dir) {
		return ""
	}
	return filepath.Join(dir, path)
}

// shown reports whether there is such a file inside.
func (t *tried) shown(path string) bool {
	// With O_PATH nothing is opened but the name, and links lead where they lead for the program.
	fd, err := unix.Openat2(t.root, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC, Resolve: unix.RESOLVE_IN_ROOT | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return false
	}
	_ = unix.Close(fd)
	return true
}

// opened tells of a file that exists on the machine and cannot be seen inside.
func (t *tried) opened(how, path string) {
	if t.root < 0 || t.seen[how+" "+path] || inside(path) || ofBase(path) || slices.ContainsFunc(t.far, func(dir string) bool { return within(path, dir) }) {
		return
	}
	if t.shown(path) {
		return
	}
	var st unix.Stat_t
	if err := unix.Fstatat(unix.AT_FDCWD, path, &st, unix.AT_SYMLINK_NOFOLLOW|unix.AT_NO_AUTOMOUNT); err != nil {
		return // nothing is there that could have been wanted
	}
	if t.shown(path) || !t.shown("/usr") {
		return // the program has made it meanwhile, where it may; or it has ended, and nothing is inside any more
	}
	t.tell("sandbox hid a file", how+" "+path)
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

// farMounts are the file systems that another machine or program answers for, or that are mounted
// when somebody asks for them. The gateway asks them nothing for a program's sake: that would be a
// way out of the sandbox, and they may not answer.
func farMounts(mountinfo string) []string {
	text, err := os.ReadFile(mountinfo)
	if err != nil {
		return []string{"/"} // then nothing is looked for
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		fields, rest := strings.Fields(before), strings.Fields(after)
		if !ok || len(fields) < 5 || len(rest) == 0 {
			continue
		}
		kind, _, _ := strings.Cut(rest[0], ".") // as in fuse.sshfs
		if slices.Contains([]string{"autofs", "fuse", "fuseblk", "nfs", "nfs4", "cifs", "smb3", "9p", "virtiofs", "afs", "ceph", "coda", "lustre", "gpfs"}, kind) && fields[4] != "/" {
			out = append(out, fields[4])
		}
	}
	return out
}

// usual reports whether common runtimes try it at every start, for no harm: what the machine is
// like, and how it resolves names.
func usual(what string) bool {
	return within(strings.TrimPrefix(what, "read "), "/sys") || slices.Contains([]string{"socket (netlink raw)",
		"read /etc/resolv.conf", "read /etc/ssl/openssl.cnf", "read /etc/host.conf", "read /etc/gai.conf", "read /etc/services"}, what)
}

// tell logs what is new.
func (t *tried) tell(msg, what string) {
	if t.seen[what] || len(t.seen) >= mostSeen {
		return
	}
	if now := time.Now(); now.Sub(t.second) > time.Second {
		t.second, t.n = now, 0
	}
	if t.n++; t.n > mostSecond {
		return
	}
	t.seen[what] = true
	level := slog.LevelWarn
	if usual(what) {
		level = slog.LevelDebug
	}
	t.log.Log(context.Background(), level, msg, slog.String("server", t.server), slog.String("tried", what))
}
