package sandbox

import (
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
)

func TestGroupsAreMadeWhereTheyBound(t *testing.T) {
	root := t.TempDir()
	passes := func(dir, controllers string) {
		if err := errors.Join(os.MkdirAll(root+dir, 0o755), os.WriteFile(root+dir+"/cgroup.subtree_control", []byte(controllers+"\n"), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	passes("/", "cpuset cpu io memory pids")
	passes("/system.slice", "memory pids")
	passes("/system.slice/sallyport.service", "")
	passes("/user.slice/session.scope", "")
	passes("/user.slice", "")
	if err := os.MkdirAll(root+"/pids/docker/1", 0o755); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, mine, controller string
		want                   []string
	}{
		{"service of a manager", "0::/system.slice/sallyport.service\n", "", []string{"/system.slice"}},
		{"root group", "0::/\n", "", []string{""}},
		{"session that was passed nothing", "0::/user.slice/session.scope\n", "", nil},
		{"older hierarchy", "8:pids:/docker/1\n4:memory:/\n0::/\n", "pids", []string{"/pids/docker/1"}},
		{"no such controller", "8:pids:/docker/1\n", "memory", nil},
		{"no cgroups", "", "", nil},
		{"out of the hierarchy", "0::/../../..\n", "", nil},
	} {
		got := groupParents(root, tt.mine, tt.controller)
		for i := range got {
			got[i] = strings.TrimPrefix(got[i], root)
		}
		if !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}

func TestLimitsSaysWhatHolds(t *testing.T) {
	for _, tt := range []struct {
		by   bounded
		want string
	}{
		{bounded{}, "memory of each process by itself, for want of a memory cgroup that the gateway may use; number of processes by the kernel's own count"},
		{bounded{Processes: true}, "memory of each process by itself, for want of a memory cgroup that the gateway may use; number of processes by a cgroup"},
		{bounded{Processes: true, Memory: true}, "memory of all processes together by a cgroup; number of processes by a cgroup"},
	} {
		r := report(nil, tt.by)
		if got := r.Parts[2]; got.Name != partLimits || got.Detail != tt.want {
			t.Errorf("%+v: %+v; want %s", tt.by, got, tt.want)
		}
	}
}
