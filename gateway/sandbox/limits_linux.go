package sandbox

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// leastData is the least memory of one process that can be enforced without a cgroup: the helper has
// the limit as well.
const leastData = 256 << 20

// limit sets what the kernel enforces from inside, beside the cgroups of by. Where none bounds the
// number of processes something else must: RLIMIT_NPROC does not hold for the machine's root, whose
// number a gateway that runs as root gives to the program as well.
func limit(l Limits, by bounded) error {
	data := uint64(max(l.MemoryBytes, leastData))
	if by.Memory { // this only keeps one process from taking the others down
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
	if !ids && !by.Processes && outerRoot() {
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

// openNetwork brings the loopback of the empty network up and hands its listeners out. A socket stays
// in the network it was made in, whoever accepts on it.
func openNetwork(relay bool) error {
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
	if err := handOut("proxy", ProxyAddr); err != nil || !relay {
		return err
	}
	return handOut("relay", RelayAddr)
}

func handOut(kind, address string) error {
	l, err := net.Listen("tcp4", address)
	if err != nil {
		return err
	}
	f, err := l.(*net.TCPListener).File()
	if err != nil {
		return err
	}
	defer func() { _, _ = f.Close(), l.Close() }()
	return tell(message{Kind: kind}, int(f.Fd()))
}
