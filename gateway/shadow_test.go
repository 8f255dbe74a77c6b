package gateway

import (
	"context"
	"errors"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/audit"
	"sallyport/policy"
)

// odd is a second policy that does something a policy does not do.
type odd struct {
	Decider
	decide func(ctx context.Context) (policy.Decision, error)
}

func (o odd) Decide(ctx context.Context, _ *policy.Input) (policy.Decision, error) {
	return o.decide(ctx)
}
func (odd) Revision() string { return "odd" }

// compared waits until the second policy has been asked n times.
func (f *fixture) compared(n int64) {
	f.t.Helper()
	eventually(f.t, "the second policy was asked", func() bool { return f.g.Counts().ShadowCompared == n })
	eventually(f.t, "nobody asks any more", func() bool { f.g.shadow.mu.Lock(); defer f.g.shadow.mu.Unlock(); return !f.g.shadow.running })
}

func TestASecondPolicyIsComparedAndChangesNothing(t *testing.T) {
	f := newFixture(t)
	f.snap.Shadow = mustPolicy(t, `package mcp.authz

allow if {
	input.action == "tools/call"
	input.tool.name in {"read_file", "write_file"}
}

deny contains "not /tmp" if startswith(input.arguments.path, "/tmp")

obligations contains {"type": "require_approval", "by": "boss"} if input.arguments.path == "/srv/b"
`)
	f.swap()
	for i, tt := range []struct{ tool, path, answer, kind string }{
		{"read_file", "/srv/a", "ok", ""},
		{"read_file", "/tmp/a", "ok", "newly_refused"},
		{"read_file", "/srv/b", "ok", "obligations"},
		{"read_file", "/srv/.aws", "Denied by policy: no secrets", "newly_allowed"},
		{"write_file", "/srv/a", "-32602 Unknown tool: write_file", "newly_allowed"},
	} {
		f.rec.mu.Lock()
		f.rec.records = nil
		f.rec.mu.Unlock()
		got := toolText(f.post(f.reader, legacyCall(tt.tool, `{"path":"`+tt.path+`"}`)).Body.String())
		if len(got) > len(tt.answer) {
			got = got[:len(tt.answer)]
		}
		if got != tt.answer {
			t.Errorf("%s %s: %s; want %s", tt.tool, tt.path, got, tt.answer)
		}
		f.compared(int64(i + 1))
		found := ""
		for _, r := range f.rec.of(audit.PhaseShadow) {
			found = r.Shadow.Kind
			if first := f.rec.all()[0]; r.ID != first.ID || r.PolicyAllow == nil || r.Tool != tt.tool || r.Shadow.Revision == r.PolicyRevision || r.PolicyRevision == "" {
				t.Errorf("%s %s: record %+v does not say what it is about", tt.tool, tt.path, r)
			}
		}
		if found != tt.kind {
			t.Errorf("%s %s: difference %q; want %q", tt.tool, tt.path, found, tt.kind)
		}
	}
	if diff := cmp.Diff(map[string]int64{"newly_allowed": 2, "newly_refused": 1, "obligations": 1}, f.g.Counts().ShadowDifferences); diff != "" {
		t.Errorf("differences (-want +got):\n%s", diff)
	}
}

// Housekeeping is compared as it is decided: by deny alone.
func TestHousekeepingIsComparedByDeny(t *testing.T) {
	f := newFixture(t)
	f.snap.Shadow = mustPolicy(t, "package mcp.authz\n\nallow if false\n\ndeny contains \"no lists\" if input.action == \"tools/list\"\n")
	f.swap()
	f.post(f.reader, listTools)
	f.compared(1)
	f.post(f.reader, `{"jsonrpc":"2.0","id":1,"method":"ping"}`)
	f.compared(2)
	if got := f.g.Counts().ShadowDifferences["newly_refused"]; got != 1 {
		t.Errorf("%d differences; want 1, that of the list", got)
	}
}

// Whatever the second policy does, the call is answered as without it, and what it did is told.
func TestASecondPolicyThatBreaksStopsNothing(t *testing.T) {
	for name, decide := range map[string]func(context.Context) (policy.Decision, error){
		"panics": func(context.Context) (policy.Decision, error) { panic("boom") },
		"fails": func(context.Context) (policy.Decision, error) {
			return policy.Decision{Allow: true}, errors.New("broken")
		},
		"hangs": func(ctx context.Context) (policy.Decision, error) {
			<-ctx.Done()
			return policy.Decision{Allow: true}, ctx.Err()
		},
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			f.snap.Shadow = odd{f.snap.Policy, decide}
			f.swap()
			if got := toolText(f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`)).Body.String()); got != "ok" {
				t.Errorf("the call: %s; want ok", got)
			}
			f.compared(1)
			records := f.rec.of(audit.PhaseShadow)
			if c := f.g.Counts(); c.ShadowErrors != 1 || len(records) != 1 || records[0].Shadow.Error == "" || records[0].Shadow.Allow || records[0].Shadow.Kind != "newly_refused" {
				t.Errorf("counts %+v, records %+v; want an error that would refuse", c, records)
			}
		})
	}
}

// A second policy that is slower than calls come is asked about fewer of them.
func TestWhatTheSecondPolicyCannotKeepUpWithIsDroppedAndTold(t *testing.T) {
	f := newFixture(t)
	release := make(chan struct{})
	f.snap.Shadow = odd{f.snap.Policy, func(context.Context) (policy.Decision, error) {
		<-release
		return policy.Decision{Allow: true}, nil
	}}
	f.swap()
	call := legacyCall("read_file", `{"path":"/srv/a"}`)
	const more = 7
	f.post(f.reader, call)
	eventually(t, "the first is being asked", func() bool { f.g.shadow.mu.Lock(); defer f.g.shadow.mu.Unlock(); return len(f.g.shadow.waiting) == 0 })
	for i := range maxCompared + more {
		if got := toolText(f.post(f.reader, call).Body.String()); got != "ok" {
			t.Fatalf("call %d: %s; want ok", i, got)
		}
	}
	close(release)
	f.compared(maxCompared + 1)
	var told int64
	eventually(t, "what was dropped is told", func() bool {
		told = 0
		for _, r := range f.rec.of(audit.PhaseSummary) {
			if r.Code == "shadow_dropped" {
				told += r.Count
			}
		}
		return told > 0
	})
	if c := f.g.Counts(); c.ShadowDropped != more || told != more {
		t.Errorf("%d dropped, %d told; want %d", c.ShadowDropped, told, more)
	}
}
