package sandbox

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"testing"

	seccomp "github.com/elastic/go-seccomp-bpf"
	"golang.org/x/sys/unix"
)

// lacking are machines that lack a mechanism, made of this one: what is done before a gateway
// there tries to start a server.
var lacking = map[string]func() error{
	"user namespaces": func() error { return os.WriteFile("/proc/sys/user/max_user_namespaces", []byte("0"), 0) },
	"namespaces in a container": func() error {
		return refuse(syscall.EPERM, seccomp.SyscallGroup{NamesWithCondtions: []seccomp.NameWithConditions{
			when("clone", is(0, seccomp.BitsSet, unix.CLONE_NEWUSER))}, Names: []string{"unshare"}})
	},
	"rights in a user namespace": func() error { return refuse(syscall.EACCES, seccomp.SyscallGroup{Names: []string{"mount"}}) },
	"a /proc that is not masked": func() error { return unix.Mount("/dev/null", "/proc/version", "", unix.MS_BIND, "") },
	"mount_setattr":              func() error { return refuse(syscall.ENOSYS, seccomp.SyscallGroup{Names: []string{"mount_setattr"}}) },
	"Landlock": func() error {
		return refuse(syscall.EOPNOTSUPP, seccomp.SyscallGroup{Names: []string{"landlock_create_ruleset"}})
	},
	"nothing": func() error { return nil },
	"cgroups": func() error { return unix.Mount("tmpfs", "/sys/fs/cgroup", "tmpfs", unix.MS_RDONLY, "") },
	"filters": func() error { return refuse(syscall.EINVAL, seccomp.SyscallGroup{Names: []string{"seccomp"}}) },
}

// refuse makes system calls fail in this process and all below it.
func refuse(errno syscall.Errno, group seccomp.SyscallGroup) error {
	group.Action = seccomp.Action(unix.SECCOMP_RET_ERRNO) | seccomp.Action(errno)
	return seccomp.LoadFilter(seccomp.Filter{NoNewPrivs: true, Flag: seccomp.FilterFlagTSync,
		Policy: seccomp.Policy{DefaultAction: seccomp.ActionAllow, Syscalls: []seccomp.SyscallGroup{group}}})
}

// lack stands for a gateway on a machine that lacks what its first argument names.
func lack() {
	runtime.LockOSThread()
	if err := lacking[os.Args[1]](); err != nil {
		fmt.Println("cannot be made to lack it:", err)
		return
	}
	if len(os.Args) > 2 {
		_ = os.Unsetenv("SANDBOX_TEST_ACT")
		fmt.Println(unix.Exec("/proc/self/exe", os.Args[1:], os.Environ()))
	}
	p, err := Start(Spec{Command: "/bin/echo", Args: []string{"the program ran"}}, nil, os.Stdout, nil, nil)
	if err == nil {
		_ = p.Wait()
		return
	}
	fmt.Println(err)
	if m := (*MissingError)(nil); errors.As(err, &m) {
		for _, p := range Check().Parts {
			fmt.Println("part", p.Name, p.OK)
		}
	}
}

func TestWithoutAMechanismNothingStarts(t *testing.T) {
	const otherwise = ". `sandbox: container` runs it in docker or podman; `sandbox: none` runs it with every right that the gateway has. `sallyport sandbox check` says more"
	for _, tt := range []struct{ lacks, part, want string }{
		{"user namespaces", partNamespaces, "no space left on device"},
		{"namespaces in a container", partNamespaces, "operation not permitted"},
		{"rights in a user namespace", partNamespaces, "a user namespace can be made, but gives no rights: permission denied"},
		{"a /proc that is not masked", partMounts, "mount proc (a container that masks parts of /proc cannot): operation not permitted"},
		{"mount_setattr", partMounts, "restrict the mount: function not implemented"},
		{"Landlock", partLandlock, "not in this kernel: operation not supported"},
		{"filters", partSeccomp, "install filter: invalid argument"},
	} {
		t.Run(tt.lacks, func(t *testing.T) {
			out := lackingMachine(t, tt.lacks)
			for _, want := range []string{"this machine cannot isolate a server: " + tt.part + ": ", tt.want + " (" + cures[tt.part] + ")" + otherwise, "part " + tt.part + " false"} {
				if !strings.Contains(out, want) {
					t.Errorf("got %s\nwant %s", out, want)
				}
			}
			if strings.Contains(out, "the program ran") {
				t.Error("the program ran all the same")
			}
		})
	}
}

// Without cgroups the limits hold all the same, for each process; also of a gateway that is root.
func TestLimitsHoldWithoutCgroups(t *testing.T) {
	out := lackingMachine(t, "cgroups", "-test.v", "-test.run", "^(TestLimitsHold|TestProcessIdsDoNotRunOut|TestMachineCanIsolate)$")
	if strings.Count(out, "\n--- PASS: Test") != 3 || !strings.Contains(out, limitsDetail(bounded{})) {
		t.Errorf("got %s", out)
	}
}

// lackingMachine runs lack in namespaces where it is root, so that nothing is done to this machine;
// with then, this test there.
func lackingMachine(t *testing.T, what string, then ...string) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd := exec.Command(path, append([]string{what}, then...)...)
	cmd.Env = append(os.Environ(), "SANDBOX_TEST_ACT=lack")
	cmd.Stdout, cmd.Stderr = &out, &out
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Cloneflags:  unix.CLONE_NEWUSER | unix.CLONE_NEWNS,
		UidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Geteuid(), Size: 1}},
		GidMappings: []syscall.SysProcIDMap{{ContainerID: 0, HostID: os.Getegid(), Size: 1}},
	}
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v: %s", err, &out)
	}
	return out.String()
}

// In a namespace like that and with nothing taken away, all works: what the test above shows is
// what is lacking.
func TestAGatewayInAUserNamespaceStartsServers(t *testing.T) {
	if out := lackingMachine(t, "nothing"); !strings.Contains(out, "the program ran") {
		t.Errorf("got %s", out)
	}
}
