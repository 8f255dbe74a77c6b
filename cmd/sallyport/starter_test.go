package main

import (
	"slices"
	"testing"

	"sallyport/policy"
)

// The policy that init writes refuses an agent whose own files have changed, and tells it why:
// the tools stay in its list.
func TestStarterRefusesChangedFilesUntilApproved(t *testing.T) {
	g, err := policy.Load(t.Context(), "templates/policies", policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if notes := g.Notes(); len(notes) > 0 {
		t.Errorf("notes %q; want none", notes)
	}
	for _, tt := range []struct {
		measured *policy.Measured
		allow    bool
	}{
		{nil, true},
		{&policy.Measured{Digest: "sha256:1"}, true},
		{&policy.Measured{Digest: "sha256:2", Changed: true}, false},
		{&policy.Measured{Digest: "sha256:2", Changed: true, Approved: true}, true},
	} {
		in := &policy.Input{
			Subject: &policy.Subject{ID: "ann", Roles: []string{"reader"}, Measured: tt.measured},
			Action:  "tools/call", Server: "upstream", Tool: &policy.Tool{Name: "read_file"},
		}
		if visible, err := g.Visible(t.Context(), in); err != nil || !visible {
			t.Errorf("measured %+v: read_file visible = %v, %v; want true", tt.measured, visible, err)
		}
		in.Arguments, in.Request.Method = []byte(`{"path":"/srv/docs/a.txt"}`), in.Action
		d, err := g.Decide(t.Context(), in)
		var want []string
		if !tt.allow {
			want = []string{"the agent's own files have changed since its grant; a person must look: sallyport measure diff"}
		}
		if err != nil || d.Allow != tt.allow || !slices.Equal(d.Reasons, want) {
			t.Errorf("measured %+v: %+v, %v; want allow %v, %q", tt.measured, d, err, tt.allow, want)
		}
	}
}
