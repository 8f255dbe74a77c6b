package agent_test

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/agent"
)

func openStore(t *testing.T, dir string, record func(context.Context, string, *agent.Manifest) error) (*agent.Manifests, error) {
	t.Helper()
	key, err := agent.OpenKey(filepath.Join(dir, "key.jwk"))
	if err != nil {
		t.Fatal(err)
	}
	now := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	return agent.OpenManifests(agent.ManifestsConfig{Dir: dir, Key: key, Record: record, Now: func() time.Time { now = now.Add(time.Second); return now }})
}

func mustOpen(t *testing.T, dir string) *agent.Manifests {
	t.Helper()
	m, err := openStore(t, dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func approve(t *testing.T, s *agent.Manifests, m *agent.Manifest) {
	t.Helper()
	raw, err := json.Marshal(m)
	if err == nil {
		err = s.Approve(t.Context(), "op", raw)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestOnlyTheNewestApprovalOfAFolderCounts(t *testing.T) {
	dir, store := lay(t, map[string]string{"AGENTS.md": "one"}), t.TempDir()
	s := mustOpen(t, store)
	one := measure(t, dir, "AGENTS.md")
	if s.Approved(one.Digest) || s.Approved("") || (*agent.Manifests)(nil).Approved(one.Digest) {
		t.Error("approved before anybody has approved")
	}
	approve(t, s, one)
	put(t, dir, "AGENTS.md", "two")
	two := measure(t, dir, "AGENTS.md")
	if !s.Approved(one.Digest) || s.Approved(two.Digest) {
		t.Errorf("one %t, two %t; want one alone", s.Approved(one.Digest), s.Approved(two.Digest))
	}
	approve(t, s, two)
	again := mustOpen(t, store) // after a restart
	for name, m := range map[string]*agent.Manifests{"at once": s, "after a restart": again} {
		if m.Approved(one.Digest) || !m.Approved(two.Digest) {
			t.Errorf("%s: one %t, two %t; want two alone", name, m.Approved(one.Digest), m.Approved(two.Digest))
		}
	}
	raw, err := again.Current(t.Context())
	var current []agent.Approval
	if err == nil {
		err = json.Unmarshal(raw, &current)
	}
	if err != nil || len(current) != 1 || current[0].By != "op" || !cmp.Equal(&current[0].Manifest, two) {
		t.Errorf("current: %s, %v; want the manifest of two by op", raw, err)
	}
}

func TestAnApprovalThatIsNotRecordedIsNone(t *testing.T) {
	store := t.TempDir()
	s, err := openStore(t, store, func(context.Context, string, *agent.Manifest) error { return errors.New("disk full") })
	if err != nil {
		t.Fatal(err)
	}
	m := measure(t, lay(t, map[string]string{"a": ""}), "a")
	raw, _ := json.Marshal(m)
	if err := s.Approve(t.Context(), "op", raw); err == nil || !strings.Contains(err.Error(), "not approved, since it cannot be recorded: disk full") {
		t.Errorf("error %v", err)
	}
	if s.Approved(m.Digest) || mustOpen(t, store).Approved(m.Digest) {
		t.Error("approved without a record")
	}
}

func TestForgedApprovalsKeepTheGatewayFromStarting(t *testing.T) {
	approved := func(t *testing.T) (store, file string) {
		store = t.TempDir()
		approve(t, mustOpen(t, store), measure(t, lay(t, map[string]string{"a": ""}), "a"))
		files, _ := filepath.Glob(store + "/*.jws")
		if len(files) != 1 {
			t.Fatalf("files %q, want one", files)
		}
		return store, files[0]
	}
	for _, tt := range []struct {
		name  string
		spoil func(t *testing.T, store, file string)
		want  string
	}{
		{"a changed byte", func(t *testing.T, _, file string) {
			edit(t, file, func(s string) string {
				head, rest, _ := strings.Cut(s, ".")
				return head + "." + strings.Replace(rest, "A", "B", 1)
			})
		}, "its signature is false: it was changed after it was approved"},
		{"another header", func(t *testing.T, _, file string) {
			edit(t, file, func(s string) string { return "eyJhbGciOiJub25lIn0" + s[strings.IndexByte(s, '.'):] })
		}, "it was not signed with this gateway's key of approvals"},
		{"another key", func(t *testing.T, store, _ string) {
			if err := os.Remove(store + "/key.jwk"); err != nil {
				t.Fatal(err)
			}
		}, "it was not signed with this gateway's key of approvals"},
		{"another name", func(t *testing.T, store, file string) {
			if err := os.Rename(file, store+"/00.jws"); err != nil {
				t.Fatal(err)
			}
		}, "it is not the file in which this approval belongs"},
		{"half a file", func(t *testing.T, _, file string) { edit(t, file, func(string) string { return "e30" }) }, "it is not a signed manifest"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			store, file := approved(t)
			tt.spoil(t, store, file)
			if _, err := openStore(t, store, nil); err == nil || !strings.Contains(err.Error(), tt.want) || !strings.Contains(err.Error(), "sallyport measure approve") {
				t.Errorf("error %v, want %q and what to do", err, tt.want)
			}
		})
	}
}

func edit(t *testing.T, file string, change func(string) string) {
	t.Helper()
	raw, err := os.ReadFile(file)
	if err == nil {
		err = os.WriteFile(file, []byte(change(string(raw))), 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func TestManifestsThatLieAreRefused(t *testing.T) {
	good := measure(t, lay(t, map[string]string{"a": "", "b": ""}), "*")
	for want, change := range map[string]func(m *agent.Manifest){
		"digest is not that of the files": func(m *agent.Manifest) { m.Files[0].Digest = strings.Repeat("0", 64) },
		"files.1 is not in the order":     func(m *agent.Manifest) { m.Files[1].Path = "a" },
		"files.0 has no SHA-256":          func(m *agent.Manifest) { m.Files[0].Digest = "00" },
		"files.0 has no path":             func(m *agent.Manifest) { m.Files[0].Path = "" },
		"there is nothing to approve":     func(m *agent.Manifest) { m.Files = nil },
		"folder is not an absolute path":  func(m *agent.Manifest) { m.Folder = "../x" },
		"0 patterns; want 1 to 64":        func(m *agent.Manifest) { m.Patterns = nil },
	} {
		m := *good
		m.Files = append([]agent.File{}, good.Files...)
		change(&m)
		raw, _ := json.Marshal(m)
		if _, err := agent.ParseManifest(raw); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want %q", err, want)
		}
	}
	for raw, want := range map[string]string{`{"folder":"/","folder":"/x"}`: "the same member name twice", `{"files":[],"extra":1}`: `unknown field "extra"`, `[]`: "cannot unmarshal"} {
		if _, err := agent.ParseManifest([]byte(raw)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", raw, err, want)
		}
	}
}

func TestDiffNamesEachFile(t *testing.T) {
	before := measure(t, lay(t, map[string]string{"gone": "1", "same": "2", "other": "3"}), "*")
	after := measure(t, lay(t, map[string]string{"same": "2", "other": "4", "zz": "5"}), "*")
	want := []agent.Change{{Path: "gone", What: "removed"}, {Path: "other", What: "changed"}, {Path: "zz", What: "added"}}
	if diff := cmp.Diff(want, before.Diff(after)); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	if same := before.Diff(before); len(same) != 0 {
		t.Errorf("a manifest differs from itself: %v", same)
	}
}

func TestAKeyThatOthersCanReadIsRefused(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key.jwk")
	if _, err := agent.OpenKey(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(file, 0o644); err != nil { // this is the fault
		t.Fatal(err)
	}
	if _, err := agent.OpenKey(file); err == nil || !strings.Contains(err.Error(), "can be read by others; `chmod 600` it") {
		t.Errorf("error %v", err)
	}
}
