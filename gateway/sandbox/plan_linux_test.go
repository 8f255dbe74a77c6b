package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A server that may write a folder can leave a link there. At its next start nothing may follow it
// to what the server was never given.
func TestServerCannotArrangeWhatItIsShown(t *testing.T) {
	dir := t.TempDir()
	write(t, dir+"/secret/key", "#!/bin/sh\necho secret\n")
	write(t, dir+"/shared/tool", "#!/bin/sh\necho shared\n")
	work := dir + "/place"
	link(t, dir+"/secret", work+"/docs")
	link(t, dir+"/secret/key", work+"/bin/key")
	link(t, dir+"/shared/tool", work+"/bin/tool")
	link(t, "/bin/sh", work+"/venv/bin/sh")
	write(t, work+"/script", "#!"+dir+"/secret/key\n")
	advice := ", out of " + work + ", where the server itself could have put that link; name "
	for _, tt := range []struct {
		name string
		spec Spec
		want string // of the error, or of what is printed
	}{
		{"folder to read", Spec{Command: "/bin/sh", Write: []string{work}, Read: []string{work + "/docs"}},
			"sandbox.read: " + work + "/docs leads to " + dir + "/secret" + advice + dir + "/secret in its place, or take the link away"},
		{"folder to write", Spec{Command: "/bin/sh", Write: []string{work, work + "/docs"}}, "sandbox.write: " + work + "/docs leads to "},
		{"command", Spec{Command: work + "/bin/key", Write: []string{work}}, "command: " + work + "/bin/key leads to " + dir + "/secret/key" + advice},
		{"interpreter of a script that it could have written", Spec{Command: work + "/script", Write: []string{work}}, "execute " + work + "/script"},
		{"command that leads to what is given", Spec{Command: work + "/bin/tool", Write: []string{work}, Read: []string{dir + "/shared"}}, "shared"},
		{"command that leads to the base", Spec{Command: work + "/venv/bin/sh", Args: []string{"-c", "echo base"}, Write: []string{work}}, "base"},
		{"command, where nothing may be written", Spec{Command: work + "/bin/key"}, "secret"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got := runs(t, tt.spec, "")
			if got.err != nil && !strings.Contains(got.err.Error(), tt.want) || got.err == nil && strings.TrimSpace(got.out) != tt.want {
				t.Errorf("got %q, %v\nwant %s", got.out, got.err, tt.want)
			}
		})
	}
}

// A link that comes after links were followed is not followed, neither to what is shown nor to
// where.
func TestShowFollowsNoLink(t *testing.T) {
	dir := t.TempDir()
	link(t, "/etc", dir+"/link")
	for _, tt := range []struct{ real, target, want string }{
		{dir + "/link", dir, "find it again: too many levels of symbolic links"},
		{dir + "/link/ssl", dir, "find it again: too many levels of symbolic links"},
		{dir, dir + "/link", "find its place: too many levels of symbolic links"},
		{dir, dir + "/link/ssl", "find its place: too many levels of symbolic links"},
		{dir, dir + "/absent", "find its place: no such file or directory"},
	} {
		if err := show(tt.real, tt.target, 0); err == nil || err.Error() != tt.want {
			t.Errorf("show %s at %s: %v; want %s", tt.real, tt.target, err, tt.want)
		}
	}
}

// Below a directory that the program may write nothing is made to mount on.
func TestPlaceMakesNothingWhereTheProgramMayWrite(t *testing.T) {
	dir := t.TempDir()
	b := &builder{root: dir, written: []string{"/place"}}
	write(t, dir+"/place/file", "")
	for _, e := range []entry{{At: "/place/sub/docs", Real: dir, Dir: true}, {At: "/place/docs", Real: dir + "/place/file"}} {
		if err := b.place(e); err == nil || !strings.Contains(err.Error(), "find its place: no such file or directory") {
			t.Errorf("%s: %v; want it not found", e.At, err)
		}
	}
	if err := b.place(entry{At: "/place/link", Link: "/etc"}); err != nil {
		t.Error(err)
	}
	if left, err := os.ReadDir(dir + "/place"); err != nil || len(left) != 1 {
		t.Errorf("made %v, %v; want the file that was there alone", left, err)
	}
}

func TestInterpreterAndItsLibrariesAreShown(t *testing.T) {
	dir := t.TempDir()
	sh(t, dir+"/python/bin/real")
	write(t, dir+"/python/lib/data", "data of the library")
	link(t, "../../python/bin/real", dir+"/venv/bin/interpreter")
	write(t, dir+"/venv/pyvenv.cfg", "home\n")
	write(t, dir+"/venv/bin/tool", "#!"+dir+"/venv/bin/interpreter\ncat "+dir+"/venv/pyvenv.cfg "+dir+"/python/lib/data\n")
	link(t, "../venv/bin/tool", dir+"/bin/tool")
	if got := runs(t, Spec{Command: dir + "/bin/tool"}, ""); got.out != "home\ndata of the library" {
		t.Errorf("got %q, %v", got.out, got.err)
	}
}

// What lies beside a program in a person's home is theirs and not the program's.
func TestHomeIsNoPlaceThatAProgramWasInstalledIn(t *testing.T) {
	home := t.TempDir()
	t.Setenv("HOME", home)
	write(t, home+"/lib/secret", "secret")
	write(t, home+"/bin/other", "secret")
	write(t, home+"/bin/tool", "#!/bin/sh\ncat "+home+"/lib/secret "+home+"/bin/other")
	if got := runs(t, Spec{Command: home + "/bin/tool"}, ""); strings.Count(got.out, "No such file") != 2 {
		t.Errorf("got %q, %v", got.out, got.err)
	}
}

func TestInterpreterOf(t *testing.T) {
	dir := t.TempDir()
	for _, tt := range []struct{ text, want string }{
		{"#!/usr/bin/env node\n", "/usr/bin/env"},
		{"#! /opt/x/../y/python -u\n", "/opt/y/python"},
		{"#!/opt/python", "/opt/python"},
		{"#!python\n", ""},
		{"#!\n", ""},
		{"\x7fELF", ""},
		{"", ""},
		{"#!/" + strings.Repeat("x", 300), "/" + strings.Repeat("x", 253)}, // as the kernel cuts it
	} {
		path := filepath.Join(dir, "script")
		write(t, path, tt.text)
		if got := interpreterOf(path); got != tt.want {
			t.Errorf("interpreterOf(%q) = %q; want %q", tt.text, got, tt.want)
		}
	}
	if got := interpreterOf(dir + "/absent"); got != "" {
		t.Errorf("of a file that is not there: %q", got)
	}
}

// Of what the machine's /proc has, runtimes find what they ask for and the rest is empty.
func TestProcTellsOfTheMachineWhatRuntimesAskFor(t *testing.T) {
	entries, err := os.ReadDir("/proc")
	if err != nil {
		t.Fatal(err)
	}
	if len(entries) < 20 {
		t.Fatalf("/proc of this machine has %d entries; that proves nothing", len(entries))
	}
	got := runs(t, Spec{}, `cd /proc; for f in *; do if [ -d $f ]; then [ -z "$(ls $f 2>/dev/null)" ] || echo $f; elif [ -r $f ] && [ -n "$(head -c 1 $f 2>/dev/null | tr '\0' x)" ]; then echo $f; fi; done`)
	for name := range strings.Lines(got.out) {
		name = strings.TrimSpace(name)
		if strings.Trim(name, "0123456789") != "" && !strings.Contains(" "+strings.Join(ofProc, " ")+" ", " "+name+" ") {
			t.Errorf("/proc/%s is not covered", name)
		}
	}
	for _, name := range []string{"cpuinfo", "meminfo", "self", "sys"} {
		if !strings.Contains(got.out, name+"\n") {
			t.Errorf("/proc/%s is not to be seen; got %q", name, got.out)
		}
	}
}

// Distributions choose among programs by links from /usr over /etc to /usr: all that work on the
// machine work inside.
func TestProgramsThatAreAlternativesAreThere(t *testing.T) {
	programs, err := filepath.Glob("/usr/bin/*")
	if err != nil || len(programs) == 0 {
		t.Fatalf("%d programs, %v", len(programs), err)
	}
	script := ""
	for _, path := range programs {
		if real, err := filepath.EvalSymlinks(path); err == nil && ofBase(real) {
			script += "[ -e " + path + " ] || echo " + path + "\n"
		}
	}
	if got := runs(t, Spec{}, script); got.out != "" || got.err != nil {
		t.Errorf("missing are %s, %v", got.out, got.err)
	}
}
