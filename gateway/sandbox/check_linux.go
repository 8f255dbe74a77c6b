package sandbox

import (
	"errors"
	"log/slog"
	"os/exec"
	"strconv"

	"golang.org/x/sys/unix"
)

// The mechanisms, in the order in which the helper needs them.
const (
	partNamespaces = "namespaces"
	partMounts     = "mounts"
	partLimits     = "limits"
	partLandlock   = "Landlock"
	partSeccomp    = "seccomp"
)

var cures = map[string]string{
	partNamespaces: "unprivileged user namespaces are needed: sysctl user.max_user_namespaces above 0, kernel.unprivileged_userns_clone=1 on Debian, " +
		"kernel.apparmor_restrict_unprivileged_userns=0 or a profile for sallyport on Ubuntu; in a container, a seccomp profile that allows them",
	partMounts:   "in a container, /proc must not be masked and mounting in a user namespace must be allowed; Linux 5.12 or newer",
	partLimits:   "Linux 6.14 or newer, or a pids cgroup that the gateway may make groups in, or a gateway that does not run as root",
	partLandlock: "Linux 5.13 or newer with landlock in the lsm= list of the kernel's command line",
	partSeccomp:  "Linux 5.5 or newer with CONFIG_SECCOMP_FILTER",
}

// Check builds the walls around nothing and reports what came of it.
func Check() Report {
	var by bounded
	p, err := spawn()
	if err == nil {
		err = p.run(order{Probe: true}, nil, nil, nil, slog.New(slog.DiscardHandler))
	}
	if err == nil {
		by = p.groups.bounded
		err = p.Wait()
		if _, ok := errors.AsType[*exec.ExitError](err); ok {
			err = &MissingError{Part{Name: partSeccomp, Detail: "the helper " + err.Error()}}
		}
	}
	return report(err, by)
}

// report turns what stopped the trial into parts: those before it work, those after it were not
// reached.
func report(err error, by bounded) Report {
	r := Report{OK: err == nil}
	failed := Part{}
	if m, ok := errors.AsType[*MissingError](err); ok {
		failed = m.Part
	} else if err != nil {
		failed = Part{Name: partNamespaces, Detail: err.Error()}
	}
	details := map[string]string{
		partNamespaces: "users, mounts, processes, network, IPC and host name of its own",
		partMounts:     "a file system of its own",
		partLandlock:   "version " + landlockVersion(),
		partSeccomp:    "a filter whose refusals are logged",
		partLimits:     limitsDetail(by),
	}
	reached := true
	for _, name := range []string{partNamespaces, partMounts, partLimits, partLandlock, partSeccomp} {
		switch {
		case name == failed.Name:
			r.Parts, reached = append(r.Parts, failed), false
		case !reached:
			r.Parts = append(r.Parts, Part{Name: name, Detail: "not reached"})
		default:
			r.Parts = append(r.Parts, Part{Name: name, OK: true, Detail: details[name]})
		}
	}
	return r
}

// limitsDetail says what holds a server to its memory and processes on this machine.
func limitsDetail(by bounded) string {
	memory, processes := "memory of each process by itself, for want of a memory cgroup that the gateway may use", "number of processes by the kernel's own count"
	if by.Memory {
		memory = "memory of all processes together by a cgroup"
	}
	if by.Processes {
		processes = "number of processes by a cgroup"
	}
	return memory + "; " + processes
}

func landlockVersion() string {
	v, err := landlockABI()
	if err != nil {
		return err.Error()
	}
	return strconv.Itoa(v)
}

// landlockABI is the version of Landlock that the kernel has.
func landlockABI() (int, error) {
	v, _, errno := unix.Syscall(unix.SYS_LANDLOCK_CREATE_RULESET, 0, 0, unix.LANDLOCK_CREATE_RULESET_VERSION)
	if errno != 0 {
		return 0, errno
	}
	return int(v), nil
}
