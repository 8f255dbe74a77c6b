package sandbox

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

// bounded says what cgroups bound of a program and all that it starts, together.
type bounded struct{ Processes, Memory bool }

// cgroups are the groups that bound a program from outside, where the gateway may make some.
type cgroups struct {
	dirs []group
	bounded
}

// group is one group, with what its files are called.
type group struct{ dir, processes, memory, swap, both string }

// kinds are the controllers of the older hierarchy, and the one place of the newer.
var kinds = map[string]group{
	"pids":   {processes: "pids.max"},
	"memory": {memory: "memory.limit_in_bytes", both: "memory.memsw.limit_in_bytes"},
	"":       {processes: "pids.max", memory: "memory.max", swap: "memory.swap.max"},
}

const groupRoot = "/sys/fs/cgroup"

var (
	groupCounter atomic.Int64
	sweep        sync.Once
)

// removeStale removes the empty groups of gateways that were killed.
func removeStale() {
	for controller := range kinds {
		for _, parent := range groupParents(groupRoot, ownGroups(), controller) {
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
}

// confine puts the process pid, before it has started anything, into groups of its own. That takes
// the kernel milliseconds, so it is done before anybody waits.
func confine(pid int) (g cgroups) {
	sweep.Do(removeStale)
	name := fmt.Sprintf("sallyport-%d-%d", os.Getpid(), groupCounter.Add(1))
	for controller, kind := range kinds {
		for _, parent := range groupParents(groupRoot, ownGroups(), controller) {
			kind.dir = filepath.Join(parent, name)
			if err := os.Mkdir(kind.dir, 0o755); err != nil {
				continue
			}
			if err := os.WriteFile(filepath.Join(kind.dir, "cgroup.procs"), []byte(strconv.Itoa(pid)), 0); err != nil {
				_ = os.Remove(kind.dir)
				continue
			}
			g.dirs = append(g.dirs, kind)
			break
		}
	}
	return g
}

// limit sets what the groups bound.
func (g *cgroups) limit(l Limits) {
	for _, group := range g.dirs {
		set := func(file string, value int64) bool {
			return file != "" && os.WriteFile(filepath.Join(group.dir, file), []byte(strconv.FormatInt(value, 10)), 0) == nil
		}
		g.Memory = set(group.memory, l.MemoryBytes) || g.Memory
		set(group.both, l.MemoryBytes) // not there where the kernel does not count swap
		set(group.swap, 0)
		g.Processes = set(group.processes, int64(l.Processes)) || g.Processes
	}
}

func ownGroups() string {
	text, err := os.ReadFile("/proc/self/cgroup")
	if err != nil {
		return "" // as on a machine without cgroups
	}
	return string(text)
}

// groupParents are the groups below which one for a program may be made, the best first, in the
// hierarchies below root, for a process whose /proc/self/cgroup is mine: of the older hierarchy the
// gateway's own. In the newer (controller "") a group with processes cannot have children that are
// bounded, but at the root; there it is the group above, as a service manager leaves it, which the
// gateway may use as root or where it is its user's.
func groupParents(root, mine, controller string) []string {
	for line := range strings.Lines(mine) {
		f := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(f) != 3 || f[1] != controller {
			continue
		}
		own := filepath.Join(root, controller, f[2])
		if !within(own, root) {
			return nil // of a container that sees a part of the hierarchy
		}
		if controller != "" {
			return []string{own} // where it is not there, making one below fails
		}
		var out []string
		for _, dir := range []string{own, filepath.Dir(own)} {
			passed, err := os.ReadFile(filepath.Join(dir, "cgroup.subtree_control"))
			if err == nil && within(dir, root) && strings.Contains(string(passed), "pids") {
				out = append(out, dir)
			}
		}
		return out
	}
	return nil
}

// remove must be called when the processes in the groups have ended.
func (g cgroups) remove() {
	for _, group := range g.dirs {
		_ = os.Remove(group.dir) // one that is still busy is empty, and harms nobody
	}
}
