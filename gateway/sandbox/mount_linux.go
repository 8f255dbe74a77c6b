package sandbox

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"

	"golang.org/x/sys/unix"
)

// newRoot makes the file system that the program sees and moves into it. What is mounted there is
// read-only but for /tmp, HOME and Write; it can hold no device and no set-uid program that works.
func newRoot(o order) error {
	err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")
	if errors.Is(err, fs.ErrPermission) {
		// As where AppArmor lets everybody make a user namespace and use none of its rights.
		return missing(partNamespaces, fmt.Errorf("a user namespace can be made, but gives no rights: %w", err))
	}
	if err != nil {
		return missing(partMounts, fmt.Errorf("mount namespace: %w", err))
	}
	// Below /proc nothing is that a sandbox may name, so the new root can stand there.
	const root = "/proc"
	if err := unix.Mount("tmpfs", root, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=755,size=4m,nr_inodes=16384"); err != nil {
		return missing(partMounts, fmt.Errorf("mount tmpfs: %w", err))
	}
	b := &builder{root: root}
	if err := b.scratch(o.Limits.TmpBytes, append(slices.Clone(scratches), o.home())); err != nil {
		return missing(partMounts, err)
	}
	for _, e := range o.Plan {
		if err := b.place(e); err != nil {
			return missing(partMounts, fmt.Errorf("%s: %w", e.At, err))
		}
	}
	if err := b.furnish(o.Spec); err != nil {
		return missing(partMounts, err)
	}
	if err := b.hide(o.Hide, o.Kept); err != nil {
		return missing(partMounts, err)
	}
	if err := b.proc(); err != nil {
		return missing(partMounts, err)
	}
	if err := unix.Chdir(root); err != nil {
		return err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		return missing(partMounts, fmt.Errorf("change root: %w", err))
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return missing(partMounts, fmt.Errorf("leave the old root: %w", err))
	}
	return unix.Chdir("/")
}

// sealRoot makes the root itself and /proc read-only.
func sealRoot() error {
	for _, path := range []string{"/proc", "/"} {
		if err := setAttr(path, unix.MOUNT_ATTR_RDONLY|unix.MOUNT_ATTR_NOSUID, false); err != nil {
			return missing(partMounts, fmt.Errorf("make %s read-only: %w", path, err))
		}
	}
	return nil
}

type builder struct {
	root    string
	written []string // directories of the machine, placed so far, that the program may write
}

// scratch makes one place for the directories that are the program's own, so that their size is
// bounded together.
func (b *builder) scratch(size int64, dirs []string) error {
	shelf := b.root + "/.scratch"
	if err := os.Mkdir(shelf, 0o700); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", shelf, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=700,nr_inodes=65536,size="+strconv.FormatInt(size, 10)); err != nil {
		return fmt.Errorf("mount tmpfs: %w", err)
	}
	for i, dir := range dirs {
		from := shelf + "/" + strconv.Itoa(i)
		if err := errors.Join(os.Mkdir(from, 0o700), os.MkdirAll(b.root+dir, 0o755)); err != nil {
			return err
		}
		if err := unix.Mount(from, b.root+dir, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", dir, err)
		}
	}
	return errors.Join(unix.Unmount(shelf, unix.MNT_DETACH), os.Remove(shelf))
}

// place shows one entry.
func (b *builder) place(e entry) error {
	target := b.root + e.At
	// Below a directory that the program may write everything is there already, or an earlier run of
	// the program has taken it away: nothing is made there, on the machine, for its sake.
	below := slices.ContainsFunc(b.written, func(dir string) bool { return within(e.At, dir) })
	if e.Link != "" {
		if _, err := os.Lstat(target); err == nil || below {
			return nil // seen through an outer directory
		}
	}
	if !below {
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil && !errors.Is(err, unix.EROFS) {
			return err
		}
	}
	if e.Link != "" {
		return os.Symlink(e.Link, target)
	}
	if e.Copy {
		return duplicate(e.Real, target)
	}
	if !below {
		if err := mountPoint(target, e.Dir); err != nil {
			return err
		}
	}
	if e.Write && e.Dir {
		b.written = append(b.written, e.At)
	}
	attr := uint64(unix.MOUNT_ATTR_NOSUID | unix.MOUNT_ATTR_NODEV)
	if !e.Write {
		attr |= unix.MOUNT_ATTR_RDONLY
	}
	return show(e.Real, target, attr)
}

// duplicate copies a file of the machine to where the program may change it. A link on the way to
// it, or a file that has grown too large since, is an error.
func duplicate(real, target string) error {
	fd, err := unix.Openat2(unix.AT_FDCWD, real, &unix.OpenHow{Flags: unix.O_RDONLY | unix.O_NONBLOCK | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	from := os.NewFile(uintptr(fd), real)
	defer func() { _ = from.Close() }()
	to, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	n, err := io.Copy(to, io.LimitReader(from, maxCopy+1))
	if err == nil && n > maxCopy {
		err = errors.New("it has grown too large")
	}
	if err = errors.Join(err, to.Close()); err != nil {
		return fmt.Errorf("copy: %w", err)
	}
	return nil
}

// show mounts what is at real on target, with all that is mounted below it and never with more
// rights than attr leaves. Links were followed before; where one has come since, it fails.
func show(real, target string, attr uint64) error {
	from, err := unlinked(real)
	if err != nil {
		return fmt.Errorf("find it again: %w", err)
	}
	defer func() { _ = unix.Close(from) }()
	to, err := unlinked(target)
	if err != nil {
		return fmt.Errorf("find its place: %w", err)
	}
	defer func() { _ = unix.Close(to) }()
	tree, err := unix.OpenTree(from, "", unix.AT_EMPTY_PATH|unix.OPEN_TREE_CLONE|unix.OPEN_TREE_CLOEXEC|unix.AT_RECURSIVE)
	if err != nil {
		return fmt.Errorf("show it: %w", err)
	}
	defer func() { _ = unix.Close(tree) }()
	if err := unix.MountSetattr(tree, "", unix.AT_EMPTY_PATH|unix.AT_RECURSIVE, &unix.MountAttr{Attr_set: attr}); err != nil {
		return fmt.Errorf("restrict the mount: %w", err)
	}
	if err := unix.MoveMount(tree, "", to, "", unix.MOVE_MOUNT_F_EMPTY_PATH|unix.MOVE_MOUNT_T_EMPTY_PATH); err != nil {
		return fmt.Errorf("show it: %w", err)
	}
	return nil
}

// unlinked opens a name, on the way to which no link may lie.
func unlinked(path string) (int, error) {
	return unix.Openat2(unix.AT_FDCWD, path, &unix.OpenHow{Flags: unix.O_PATH | unix.O_CLOEXEC,
		Resolve: unix.RESOLVE_NO_SYMLINKS | unix.RESOLVE_NO_MAGICLINKS})
}

// mountPoint makes something to mount on, where nothing is yet.
func mountPoint(target string, dir bool) error {
	if _, err := os.Lstat(target); err == nil {
		return nil
	}
	if dir {
		return os.Mkdir(target, 0o755)
	}
	f, err := os.OpenFile(target, os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	return f.Close()
}

func setAttr(path string, set uint64, recursive bool) error {
	flags := uint(0)
	if recursive {
		flags = unix.AT_RECURSIVE
	}
	err := unix.MountSetattr(unix.AT_FDCWD, path, flags, &unix.MountAttr{Attr_set: set})
	if err != nil {
		return fmt.Errorf("restrict the mount: %w", err)
	}
	return nil
}

// files are made up: nothing of the machine's is in them.
func (s Spec) files() map[string]string {
	return map[string]string{
		"/etc/passwd":        "sandbox:x:1000:1000:sandbox:" + s.home() + ":/bin/sh\nnobody:x:65534:65534:nobody:/nonexistent:/bin/false\n",
		"/etc/group":         "sandbox:x:1000:\nnogroup:x:65534:\n",
		"/etc/hosts":         "127.0.0.1 localhost sandbox\n",
		"/etc/nsswitch.conf": "passwd: files\ngroup: files\nhosts: files\n",
		"/etc/hostname":      "sandbox\n",
	}
}

// furnish adds what programs expect: made-up files in /etc, and the harmless devices.
func (b *builder) furnish(s Spec) error {
	for path, text := range s.files() {
		if err := os.MkdirAll(filepath.Dir(b.root+path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(b.root+path, []byte(text), 0o644); err != nil { // public inside
			return err
		}
	}
	if err := os.MkdirAll(b.root+"/dev", 0o755); err != nil {
		return err
	}
	for _, name := range s.devices() {
		if err := mountPoint(b.root+name, false); err != nil {
			return err
		}
		if err := unix.Mount(name, b.root+name, "", unix.MS_BIND, ""); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2"} {
		if err := os.Symlink(to, b.root+"/dev/"+name); err != nil {
			return err
		}
	}
	return nil
}

// devices are harmless. /dev/tty is, for each process, its own controlling terminal and no other.
func (s Spec) devices() []string {
	names := []string{"/dev/null", "/dev/zero", "/dev/urandom", "/dev/random"}
	if s.Terminal {
		names = append(names, terminal)
	}
	return names
}

const terminal = "/dev/tty"

// hide covers what is nobody's business, empty but for what is the program's own.
func (b *builder) hide(paths []string, own []entry) error {
	var covered []string
	for _, path := range paths {
		real, err := filepath.EvalSymlinks(path)
		if err != nil {
			continue // it is not there
		}
		target := b.root + real
		if _, err := os.Lstat(target); err != nil {
			continue // not visible anyway
		}
		if !isDir(real) {
			if err := unix.Mount("/dev/null", target, "", unix.MS_BIND, ""); err != nil {
				return fmt.Errorf("hide %s: %w", path, err)
			}
			continue
		}
		if err := unix.Mount("tmpfs", target, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, "mode=755,size=64k"); err != nil {
			return fmt.Errorf("hide %s: %w", path, err)
		}
		covered = append(covered, target)
	}
	for _, e := range own {
		if err := os.MkdirAll(b.root+e.At, 0o755); err != nil {
			return fmt.Errorf("%s: %w", e.At, err)
		}
		if err := b.place(e); err != nil {
			return fmt.Errorf("%s: %w", e.At, err)
		}
	}
	for _, target := range covered {
		if err := setAttr(target, unix.MOUNT_ATTR_RDONLY, false); err != nil {
			return err
		}
	}
	return nil
}

// ofProc is what stays of /proc beside the processes: what runtimes ask about the machine.
var ofProc = []string{"self", "thread-self", "net", "mounts", "cpuinfo", "meminfo", "stat", "uptime", "loadavg", "version", "filesystems", "sys"}

// proc shows the processes inside and none else. What else is in it is about the machine, and some
// of it only its root may read or write, whose number a gateway that runs as root shares; so
// everything that is not known to be needed is covered, whatever a kernel adds.
func (b *builder) proc() error {
	at := b.root + "/proc"
	if err := os.MkdirAll(at, 0o755); err != nil {
		return err
	}
	if err := unix.Mount("proc", at, "proc", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount proc (a container that masks parts of /proc cannot): %w", err)
	}
	entries, err := os.ReadDir(at)
	if err != nil {
		return err
	}
	for _, e := range entries {
		name := e.Name()
		if _, err := strconv.Atoi(name); err == nil || slices.Contains(ofProc, name) {
			continue
		}
		switch {
		case e.Type().IsRegular():
			err = unix.Mount("/dev/null", at+"/"+name, "", unix.MS_BIND, "")
		case e.IsDir():
			err = unix.Mount("tmpfs", at+"/"+name, "tmpfs", unix.MS_NOSUID|unix.MS_NODEV|unix.MS_NOEXEC|unix.MS_RDONLY, "mode=555,size=4k")
		}
		if err != nil {
			return fmt.Errorf("cover /proc/%s: %w", name, err)
		}
	}
	return nil
}
