package sandbox

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func TestWhatWasTriedIsLogged(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/secret", "x")
	write(t, dir+"/tool", "#!/bin/sh\n")
	write(t, dir+"/given/file", "x")
	write(t, dir+"/given/hidden/key", "x")
	link(t, "../secret", dir+"/given/link")
	long := dir + strings.Repeat("/.", 300) + "/secret" // longer than one reading, and over a page
	got := runs(t, Spec{Read: []string{dir + "/given"}, Hide: []string{dir + "/given/hidden"}}, strings.Join([]string{
		"cat " + dir + "/secret; cat " + dir + "/secret; cat " + long,
		"unshare -n true; mount -t tmpfs t /tmp",
		dir + "/tool; cd " + dir + "/given; cat link file hidden/key; cat ../absent; : >> /etc/shadow",
		"echo x > /tmp/own; cat /tmp/own; ls /proc/1 /dev; cat /etc/passwd",
	}, "\n"))
	want := []string{
		"read " + dir + "/secret", "unshare", "run " + dir + "/tool", "read " + dir + "/given/link",
		"read " + dir + "/given/hidden/key", "write /etc/shadow",
	}
	for _, w := range want {
		if n := strings.Count(got.log, `tried="`+w+`"`) + strings.Count(got.log, "tried="+w+"\n"); n != 1 {
			t.Errorf("%s is %d times in the log; want once", w, n)
		}
	}
	for line := range strings.Lines(got.log) {
		_, tried, _ := strings.Cut(strings.TrimSpace(line), "tried=")
		if !slices.Contains(append(want, "mount"), strings.Trim(tried, `"`)) {
			t.Errorf("the log tells of %s, which harms nobody", tried)
		}
	}
	if t.Failed() {
		t.Logf("output %s\nlog %s", got.out, got.log)
	}
}

func TestTheGatewayAsksNothingOfFarFileSystems(t *testing.T) {
	path := t.TempDir() + "/mountinfo"
	err := os.WriteFile(path, []byte(strings.Join([]string{
		"22 1 254:0 / / rw,relatime - ext4 /dev/vda rw",
		"30 22 0:30 / /net rw shared:5 - autofs -hosts rw,fd=7",
		"31 22 0:31 / /mnt/box rw - fuse.sshfs me@box:/ rw",
		"32 22 0:32 / /home rw - nfs4 server:/home rw",
		"33 22 254:1 / /srv rw master:1 propagate_from:2 - xfs /dev/vdb rw",
		"broken",
	}, "\n")), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := farMounts(path), []string{"/net", "/mnt/box", "/home"}; !slices.Equal(got, want) {
		t.Errorf("far are %q; want %q", got, want)
	}
	if got := farMounts(path + ".absent"); !slices.Equal(got, []string{"/"}) {
		t.Errorf("where that cannot be known: %q; want all", got)
	}
	log := &buffer{}
	tr := newTried(os.Getpid(), "test", testLog(log))
	defer tr.close()
	tr.close()
	tr.far = []string{"/etc"}
	tr.root = rootOf(1 << 30) // none
	tr.opened("read", "/etc/shadow")
	bare := t.TempDir()
	if err := os.Mkdir(filepath.Join(bare, "usr"), 0o700); err != nil { // as every sandbox has
		t.Fatal(err)
	}
	empty, err := unix.Open(bare, unix.O_PATH|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	tr.root = empty
	tr.opened("read", "/etc/shadow")
	if log.String() != "" {
		t.Errorf("log: %s", log)
	}
	tr.far = nil
	tr.opened("read", "/etc/passwd")
	tr.opened("read", "/etc/group/")
	tr.opened("read", "/etc/ssl")
	if n := strings.Count(log.String(), "sandbox hid a file"); n != 1 {
		t.Errorf("%d lines; want the one of /etc/ssl: %s", n, log)
	}
}

func TestTheLogIsBounded(t *testing.T) {
	log := &buffer{}
	tr := newTried(os.Getpid(), "test", testLog(log))
	defer tr.close()
	for i := range 10 * mostSecond {
		tr.tell("sandbox hid a file", "read /x"+strings.Repeat("x", i))
	}
	if n := strings.Count(log.String(), "\n"); n < mostSecond || n > 2*mostSecond {
		t.Errorf("%d lines within a second or two; want about %d", n, mostSecond)
	}
}
