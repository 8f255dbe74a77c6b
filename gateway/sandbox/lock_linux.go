package sandbox

import (
	"fmt"
	"slices"

	"github.com/landlock-lsm/go-landlock/landlock"
)

// lock restricts the helper, and what it starts, to the same paths that are mounted, a second
// time and by another mechanism. The file system rules of the first version are required; what
// later versions add (links between directories, truncation, devices, TCP, abstract sockets,
// signals) is used where the kernel has it.
func lock(o order) error {
	if v, err := landlockABI(); err != nil || v < 1 {
		return fmt.Errorf("not in this kernel: %w", err)
	}
	best := landlock.V7.BestEffort()
	if err := best.RestrictPaths(rules(o)...); err != nil {
		return fmt.Errorf("restrict paths: %w", err)
	}
	var net []landlock.Rule
	if o.Egress {
		net = append(net, landlock.ConnectTCP(3128))
	}
	if o.Relay {
		net = append(net, landlock.ConnectTCP(3129))
	}
	if !o.Loopback { // which the network of its own already is all there is of
		if err := best.RestrictNet(net...); err != nil {
			return fmt.Errorf("restrict network: %w", err)
		}
	}
	if err := best.RestrictScoped(); err != nil {
		return fmt.Errorf("restrict signals and sockets: %w", err)
	}
	return nil
}

func rules(o order) []landlock.Rule {
	var roDirs, roFiles, rwDirs, rwFiles []string
	for _, e := range slices.Concat(o.Plan, o.Kept) {
		switch {
		case e.Link != "", e.Copy: // a copy is below HOME
		case e.Dir && e.Write:
			rwDirs = append(rwDirs, e.At)
		case e.Dir:
			roDirs = append(roDirs, e.At)
		case e.Write:
			rwFiles = append(rwFiles, e.At)
		default:
			roFiles = append(roFiles, e.At)
		}
	}
	for path := range o.files() {
		roFiles = append(roFiles, path)
	}
	roDirs = append(roDirs, "/proc")
	rwDirs = append(append(rwDirs, o.home()), scratches...)
	rwFiles = append(rwFiles, o.devices()...)
	out := []landlock.Rule{
		landlock.RODirs(roDirs...), landlock.ROFiles(roFiles...), landlock.RWFiles(rwFiles...),
		landlock.RWDirs(rwDirs...).WithRefer(),
	}
	if o.Terminal {
		out = append(out, landlock.RWFiles(terminal).WithIoctlDev())
	}
	return out
}
