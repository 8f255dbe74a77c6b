package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
)

const readersRead = `package mcp.authz

import rego.v1

allow if {
	"reader" in input.subject.roles
	input.tool.name == "read_file"
	startswith(input.arguments.path, "/srv/docs/")
}
`

const readersNote = `package mcp.authz

import rego.v1

allow if {
	"reader" in input.subject.roles
	input.tool.name == "note"
}
`

// TestSavedPolicyDecidesTheNextCallAndList is the whole promise of reloading: what a person
// saves is what holds, for calls and for lists alike, and what is broken changes nothing.
func TestSavedPolicyDecidesTheNextCallAndList(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	token := g.token(t, "reader")

	if got := g.modernList(t, token); !slices.Equal(got, []string{"read_file"}) {
		t.Errorf("tools/list = %v, want only read_file", got)
	}
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Errorf("allowed call: %d %s", r.Status, r.Raw)
	}
	if r := g.modernCall(t, token, "read_file", `{"path":"/etc/passwd"}`); !r.isError() {
		t.Errorf("call outside the policy: %d %s; want refused", r.Status, r.Raw)
	}

	g.writePolicy(t, "authz.rego", readersNote)
	eventually(t, "the saved policy holds", func() error {
		if got := g.modernList(t, token); !slices.Equal(got, []string{"note"}) {
			return fmt.Errorf("tools/list = %v, want only note", got)
		}
		return nil
	})
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.Error == nil || r.Error.Code != -32602 {
		t.Errorf("call that the policy before allowed: %d %s; want an unknown tool", r.Status, r.Raw)
	}
	if r := g.modernCall(t, token, "note", `{"text":"x"}`); r.text() != "done" {
		t.Errorf("newly allowed call: %d %s", r.Status, r.Raw)
	}
}

func TestBrokenPolicyChangesNothingAndIsReported(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	token := g.token(t, "reader")
	const offending = `input.tool.name == = "note"`
	g.writePolicy(t, "authz.rego", strings.Replace(readersNote, `input.tool.name == "note"`, offending, 1))
	eventually(t, "the broken file is reported with file, line and text", func() error {
		said := g.log.String()
		for _, want := range []string{"authz.rego:7", "tool.name == ="} {
			if !strings.Contains(said, want) {
				return fmt.Errorf("the log lacks %q", want)
			}
		}
		return nil
	})
	if _, body, err := get("http://" + g.admin + "/readyz"); err != nil || !strings.Contains(body, "authz.rego:7") {
		t.Errorf("/readyz does not name the broken file: %v %s", err, body)
	}
	if got := g.modernList(t, token); !slices.Equal(got, []string{"read_file"}) {
		t.Errorf("tools/list = %v under a broken file, want what held before", got)
	}
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Errorf("call under a broken file: %d %s; want what held before", r.Status, r.Raw)
	}

	g.writePolicy(t, "authz.rego", readersNote)
	eventually(t, "the repaired file holds", func() error {
		if got := g.modernList(t, token); !slices.Equal(got, []string{"note"}) {
			return fmt.Errorf("tools/list = %v, want only note", got)
		}
		return nil
	})
}
