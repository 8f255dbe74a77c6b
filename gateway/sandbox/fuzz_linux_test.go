package sandbox

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// follow says where path leads, and whether a link on the way lies below one of the folders. It goes step by
// step, as a kernel does.
func follow(path string, folders []string) (real string, arranged bool) {
	rest := strings.Split(strings.TrimPrefix(path, "/"), "/")
	at := "/"
	for steps := 0; len(rest) > 0 && steps < 100; steps++ {
		next := filepath.Join(at, rest[0])
		rest = rest[1:]
		target, err := os.Readlink(next)
		if err != nil {
			at = next
			continue
		}
		for _, dir := range folders {
			arranged = arranged || within(next, dir)
		}
		if filepath.IsAbs(target) {
			at = "/"
		}
		rest = append(strings.Split(strings.Trim(target, "/"), "/"), rest...)
	}
	return at, arranged
}

// Whatever links lie about, and whatever of that is given to a server: a spec that is accepted shows nothing
// that only a link from a folder that the server may write leads to, and gives nothing hidden to be written.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{0, 0}, []byte{0}, []byte{1}, byte(0))
	f.Add([]byte{0, 5, 2, 6}, []byte{1, 3}, []byte{0, 7}, byte(1))
	f.Add([]byte{3, 0, 6, 7}, []byte{8}, []byte{0}, byte(2))
	f.Add([]byte{6, 0, 2, 7}, []byte{10}, []byte{0}, byte(3))
	f.Add([]byte{5, 0, 0, 6}, []byte{20}, []byte{0}, byte(0)) // a way into the folder by a link beside it
	dir, err := filepath.EvalSymlinks(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	for _, d := range []string{"work/in/bin", "shared", "secret", "gate/own"} {
		if err := os.MkdirAll(filepath.Join(dir, d), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	for _, p := range []string{"work/in/bin/tool", "shared/tool", "secret/tool", "gate/tool"} {
		if err := os.WriteFile(filepath.Join(dir, p), []byte("#!"+dir+"/secret/tool\n"), 0o700); err != nil {
			f.Fatal(err)
		}
	}
	// Where links lie: those of work are what an earlier run of the server may have left.
	places := []string{"work/a", "work/in/a", "work/in/bin/a", "a", "shared/a", "b", "work/in/b"}
	f.Fuzz(func(t *testing.T, links, read, write []byte, command byte) {
		if len(links) > 12 || len(read) > 4 || len(write) > 4 {
			return
		}
		for _, p := range places { // of the input before
			if err := os.Remove(filepath.Join(dir, p)); err != nil && !os.IsNotExist(err) {
				t.Fatal(err)
			}
		}
		targets := []string{"work", "work/in", "work/in/bin", "work/in/bin/tool", "shared", "shared/tool", "secret", "secret/tool", "gate", "gate/own", "a", "a/a", "work/a", "work/in/a", "b/a", "work/in/a/tool", "a/in/a", "b"}
		paths := append(targets, "a/tool", "b/tool", "b/a/tool", "a/a/tool")
		for i := 0; i+1 < len(links); i += 2 {
			// One that is there already stays.
			_ = os.Symlink(filepath.Join(dir, targets[int(links[i+1])%len(targets)]), filepath.Join(dir, places[int(links[i])%len(places)]))
		}
		given := func(of []byte) (out []string) {
			for _, b := range of {
				out = append(out, filepath.Join(dir, paths[int(b)%len(paths)]))
			}
			return out
		}
		s := Spec{Command: "/bin/sh", Read: given(read), Write: given(write), Hide: []string{dir + "/gate"}}
		if command > 0 {
			s.Command = given([]byte{command})[0]
		}
		if s.Check() != nil {
			return
		}
		var folders, named []string
		for _, p := range s.Write {
			real, _ := follow(p, nil)
			folders = append(folders, real)
			if within(dir+"/gate", real) || within(real, dir+"/gate") {
				t.Fatalf("%+v may write %s, where the gateway's own is", s, real)
			}
		}
		named = append(named, folders...)
		for _, p := range s.Read {
			if real, arranged := follow(p, folders); !arranged {
				named = append(named, real)
			}
		}
		if _, arranged := follow(s.Command, folders); !arranged {
			s.Command = "" // what it needs beside itself may be shown
		}
	plan:
		for _, e := range s.plan() {
			if e.Real == "" || ofBase(e.Real) {
				continue
			}
			for _, p := range named {
				if within(e.Real, p) {
					continue plan
				}
			}
			t.Errorf("links %v: %+v shows %s, which a folder that the server may write leads to", links, s, e.Real)
		}
	})
}
