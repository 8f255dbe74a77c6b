package agent

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"sallyport/internal/strictjson"
)

// Change is a file that differs between two manifests.
type Change struct {
	Path string `json:"path"`
	What string `json:"what"` // "added", "removed" or "changed"
}

// Diff lists what is otherwise in now than it was in m, by path.
func (m *Manifest) Diff(now *Manifest) []Change {
	out := []Change{}
	before, after := m.Files, now.Files
	for len(before) > 0 || len(after) > 0 {
		switch {
		case len(after) == 0 || len(before) > 0 && before[0].Path < after[0].Path:
			out = append(out, Change{before[0].Path, "removed"})
			before = before[1:]
		case len(before) == 0 || after[0].Path < before[0].Path:
			out = append(out, Change{after[0].Path, "added"})
			after = after[1:]
		default:
			if before[0].Digest != after[0].Digest {
				out = append(out, Change{after[0].Path, "changed"})
			}
			before, after = before[1:], after[1:]
		}
	}
	return out
}

// maxManifest bounds a manifest, in bytes.
const maxManifest = 4 << 20

// ParseManifest reads a manifest from another process. The error says what is wrong with it: a
// manifest whose digest is not that of its files is none.
func ParseManifest(raw []byte) (*Manifest, error) {
	if len(raw) > maxManifest {
		return nil, fmt.Errorf("manifest: more than %d MiB", maxManifest>>20)
	}
	if err := strictjson.Check(raw, strictjson.Limits{Depth: 4}); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	var m Manifest
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return nil, fmt.Errorf("manifest: %w", err)
	}
	return &m, m.check()
}

func (m *Manifest) check() error {
	switch {
	case !filepath.IsAbs(m.Folder) || filepath.Clean(m.Folder) != m.Folder:
		return errors.New("manifest: folder is not an absolute path in its shortest form")
	case len(m.Patterns) == 0 || len(m.Patterns) > maxPatterns:
		return fmt.Errorf("manifest: %d patterns; want 1 to %d", len(m.Patterns), maxPatterns)
	case len(m.Files) == 0:
		return errors.New("manifest: it has no files, so there is nothing to approve; do the patterns match what they should?")
	case len(m.Files) > MaxFiles:
		return fmt.Errorf("manifest: %d files; at most %d", len(m.Files), MaxFiles)
	}
	for i, f := range m.Files {
		if i > 0 && m.Files[i-1].Path >= f.Path {
			return fmt.Errorf("manifest: files.%d is not in the order of paths, or is there twice", i)
		}
		if f.Path == "" || strings.ContainsAny(f.Path, "\x00\n") {
			return fmt.Errorf("manifest: files.%d has no path that can be written in a line", i)
		}
		if raw, err := hex.DecodeString(f.Digest); err != nil || len(raw) != 32 || strings.ToLower(f.Digest) != f.Digest {
			return fmt.Errorf("manifest: files.%d has no SHA-256 in lower-case hexadecimal", i)
		}
	}
	if m.Digest != digestOf(m.Files) {
		return errors.New("manifest: digest is not that of the files")
	}
	return nil
}
