package agent

import (
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
)

// A manifest that is read says the same when it is written and read again, and names files below its
// folder only, each once, in order.
func FuzzParseManifest(f *testing.F) {
	for _, s := range []string{`{}`, `{"folder":"/w","patterns":["*.md"],"files":[{"path":"AGENTS.md","digest":"x"}]}`, `{"folder":"/w","files":[{"path":"../x"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := ParseManifest(raw)
		if err != nil {
			return
		}
		last := ""
		for _, file := range m.Files {
			if file.Path <= last {
				t.Fatalf("%q comes after %q", file.Path, last)
			}
			last = file.Path
			if at := filepath.Join(m.Folder, file.Path); !filepath.IsAbs(file.Path) && !strings.HasPrefix(at, strings.TrimSuffix(m.Folder, "/")+"/") {
				t.Fatalf("%q is not below %q", file.Path, m.Folder)
			}
		}
		again, err := json.Marshal(m)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := ParseManifest(again); err != nil || len(m.Diff(n)) > 0 {
			t.Fatalf("%s read again: %v", again, err)
		}
	})
}
