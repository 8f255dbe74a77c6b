package pin

import (
	"bytes"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode"

	"sallyport/gateway/catalog"
	"sallyport/internal/strictjson"
)

// Whatever the file of pins has become: what is read of it is pinned by the digest of its own bytes, and is
// written and read back as the same.
func FuzzFile(f *testing.F) {
	f.Add([]byte(goodFile()))
	f.Add([]byte("version: 1\nservers: {}\n"))
	f.Add([]byte("version: 1\nservers:\n  a:\n    instructions:\n      - eras: [modern]\n        digest: " + catalog.Digest([]byte(`"x"`)) + "\n        first: 2026-11-25T12:00:00Z\n        text: [x]\n"))
	f.Add(bytes.Replace([]byte(goodFile()), []byte("files:"), []byte("? [a]\n:"), 1))
	dir := f.TempDir()
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(dir, FileName)
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		servers, err := read(path)
		if err != nil {
			return
		}
		for name, s := range servers {
			for k, e := range s.entries {
				for _, v := range append(e.pin[:], e.pending[:]...) {
					if v != nil && v.digest != catalog.Digest(v.raw) {
						t.Fatalf("%s.%s is pinned by %s, and its bytes have %s", name, k.name, v.digest, catalog.Digest(v.raw))
					}
				}
			}
		}
		written := marshal(servers)
		if err := writeFile(path, written); err != nil {
			t.Fatal(err)
		}
		again, err := read(path)
		if err != nil {
			t.Fatalf("%v in what was written of %q:\n%s", err, data, written)
		}
		if twice := marshal(again); !bytes.Equal(twice, written) {
			t.Fatalf("%q is written as\n%s\nand then as\n%s", data, written, twice)
		}
	})
}

// Two definitions that mean something else have a difference that a person sees, two that mean the same have
// none, and nothing of what is shown is invisible.
func FuzzDiff(f *testing.F) {
	f.Add([]byte(`{"name":"a","description":"one"}`), []byte(`{"name":"a","description":"two"}`))
	f.Add([]byte(`{"a":[1,2,{"b":null}]}`), []byte(`{"a":[1,{"b":0}]}`))
	f.Add([]byte("{\"a\":\"x\u200by\"}"), []byte(`{"a":"xy"}`))
	f.Add([]byte(`{"a":"1\n2\n3"}`), []byte(`{"a":"1\n3\n"}`))
	f.Fuzz(func(t *testing.T, old, new []byte) {
		if strictjson.Check(old, strictjson.Limits{}) != nil || strictjson.Check(new, strictjson.Limits{}) != nil {
			return
		}
		changes := Diff(old, new)
		if same := catalog.Digest(old) == catalog.Digest(new); same != (len(changes) == 0) {
			t.Fatalf("%s and %s are the same: %v, and have the changes %v", old, new, same, changes)
		}
		for _, c := range changes {
			if !slices.ContainsFunc(c.Lines, func(l string) bool { return l[0] == '-' || l[0] == '+' }) {
				t.Fatalf("%s and %s: nothing of %v is shown as changed", old, new, c)
			}
			for _, r := range strings.Join(c.Lines, "") {
				if unicode.Is(unicode.Cf, r) || unicode.IsControl(r) {
					t.Fatalf("%s and %s: %U is shown raw in %q", old, new, r, c.Lines)
				}
			}
		}
	})
}
