package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"
)

// leastData is the least memory of one process that can be enforced without a cgroup: the helper has
// the limit as well.
const leastData = 256 << 20

// limit sets what the kernel enforces from inside. bounded says that a cgroup bounds the number of
// processes. Without one, something else must: RLIMIT_NPROC does not hold for the machine's root,
// whose number a gateway that runs as root gives to the program as well.
func limit(l Limits, bounded bool) error {
	data := uint64(max(l.MemoryBytes, leastData))
	if bounded { // memory with it, in one group; this only keeps one process from taking the others down
		data *= 2
	}
	for _, r := range []struct {
		what int
		most uint64
	}{
		{unix.RLIMIT_NPROC, uint64(l.Processes)}, {unix.RLIMIT_NOFILE, uint64(l.Files)}, {unix.RLIMIT_FSIZE, uint64(l.FileBytes)},
		{unix.RLIMIT_CPU, uint64(l.CPUSeconds)}, {unix.RLIMIT_DATA, data}, {unix.RLIMIT_MSGQUEUE, 0},
		// 1 and not 0: with 0 a crash is still handed to a program that the machine's core_pattern names
		// (fs/coredump.c).
		{unix.RLIMIT_CORE, 1},
	} {
		if err := unix.Setrlimit(r.what, &unix.Rlimit{Cur: r.most, Max: r.most}); err != nil {
			return missing(partLimits, fmt.Errorf("set limit %d: %w", r.what, err))
		}
	}
	// Since Linux 6.14 a namespace has a largest process id of its own. Once the first 300 ids have
	// been given out they are not given again (RESERVED_PIDS of kernel/pid.c), so what the program
	// may use for good is what lies above.
	err := os.WriteFile("/proc/sys/kernel/pid_max", []byte(strconv.Itoa(300+l.Processes)), 0)
	ids := err == nil
	if !ids && !bounded && outerRoot() {
		return missing(partLimits, errors.New("nothing bounds the number of processes of a server of the machine's root"))
	}
	return nil
}

// outerRoot reports whether the user inside is the machine's root.
func outerRoot() bool {
	text, err := os.ReadFile("/proc/self/uid_map")
	f := strings.Fields(string(text))
	return err != nil || len(f) != 3 || f[1] == "0"
}

// openProxy brings the loopback of the empty network up and hands its listener out. A socket stays
// in the network it was made in, whoever accepts on it.
func openProxy() error {
	s, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer func() { _ = unix.Close(s) }()
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP)
	if err := unix.IoctlIfreq(s, unix.SIOCSIFFLAGS, ifr); err != nil {
		return fmt.Errorf("bring loopback up: %w", err)
	}
	l, err := net.Listen("tcp4", ProxyAddr)
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer func() { _, _ = f.Close(), l.Close() }()
	return tell(message{Kind: "proxy"}, int(f.Fd()))
}

// cgroups are the groups that bound a program from outside, where the gateway may make some.
type cgroups struct {
	dirs      []group
	processes bool // the number of processes is bounded
}

// group is one group, with what its files are called.
type group struct{ dir, processes, memory, swap string }

// kinds are the controllers of the older hierarchy, and the one place of the newer.
var kinds = map[string]group{
	"pids":   {processes: "pids.max"},
	"memory": {memory: "memory.limit_in_bytes"},
	"":       {processes: "pids.max", memory: "memory.max", swap: "memory.swap.max"},
}

var (
	groupCounter atomic.Int64
	sweep        sync.Once
)

// removeStale removes the empty groups of gateways that were killed.
func removeStale() {
	for controller := range kinds {
		parent, ok := groupParent(controller)
		if !ok {
			continue
		}
		old, err := filepath.Glob(filepath.Join(parent, "sallyport-*-*"))
		if err != nil {
			continue
		}
		for _, dir := range old {
			pid, _, _ := strings.Cut(strings.TrimPrefix(filepath.Base(dir), "sallyport-"), "-")
			if _, err := os.Stat("/proc/" + pid); err != nil {
				_ = os.Remove(dir) // one that is not empty stays
			}
		}
	}
}

// confine puts the process pid, before it has started anything, into groups of its own. That takes
// the kernel milliseconds, so it is done before anybody waits.
func confine(pid int) (g cgroups) {
	sweep.Do(removeStale)
	name := fmt.Sprintf("sallyport-%d-%d", os.Getpid(), groupCounter.Add(1))
	for controller, kind := range kinds {
		dir, ok := groupParent(controller)
		if !ok {
			continue
		}
		kind.dir = filepath.Join(dir, name)
		if err := os.Mkdir(kind.dir, 0o755); err != nil {
			continue
		}
		if err := os.WriteFile(filepath.Join(kind.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
			_ = os.Remove(kind.dir)
			continue
		}
		g.dirs = append(g.dirs, kind)
	}
	return g
}

// limit sets what the groups bound.
func (g *cgroups) limit(l Limits) {
	for _, group := range g.dirs {
		set := func(file string, value int64) bool {
			return file != "" && os.WriteFile(filepath.Join(group.dir, file), []byte(strconv.FormatInt(value, 10)), 0) == nil
		}
		set(group.memory, l.MemoryBytes)
		set(group.swap, 0)
		g.processes = set(group.processes, int64(l.Processes)) || g.processes
	}
}

// groupParent is the gateway's own group of a controller of the older hierarchy, or with "" of the
// newer.
func groupParent(controller string) (string, bool) {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "", false
	}
	for line := range strings.Lines(string(text)) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[1] != controller {
			continue
		}
		dir := filepath.Join("/sys/fs/cgroup", controller, f[2])
		if controller != "" {
			return dir, isDir(dir)
		}
		controllers, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
		return dir, err == nil && strings.Contains(string(controllers), "pids")
	}
	return "", false
}

// remove must be called when the processes in the groups have ended.
func (g cgroups) remove() {
	for _, group := range g.dirs {
		_ = os.Remove(group.dir) // one that is still busy is empty, and harms nobody
	}
}
