package gateway

import (
	"context"
	"errors"
	"net/http"
	"testing"

	"sallyport/gateway/audit"
	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/policy"
)

// failing is every way in which a dependency can fail to do its work.
type failing int

const (
	failError failing = iota
	failTimeout
	failPanic
	failEmpty
	failStale
)

func (f failing) String() string {
	return [...]string{"error", "timeout", "panic", "empty", "stale"}[f]
}

// do fails in f's way; empty and stale return nil, and the caller returns its zero value.
func (f failing) do(ctx context.Context) error {
	switch f {
	case failError:
		return errors.New("injected")
	case failTimeout:
		<-ctx.Done()
		return ctx.Err()
	case failPanic:
		panic("injected")
	}
	return nil
}

type failingVerifier struct{ failing }

func (f failingVerifier) Verify(ctx context.Context, _ *identity.Request) (*identity.Principal, error) {
	return nil, f.do(ctx)
}

type failingPolicy struct {
	failing
	Decider
}

func (f failingPolicy) Decide(ctx context.Context, _ *policy.Input) (policy.Decision, error) {
	return policy.Decision{}, f.do(ctx)
}

func (f failingPolicy) Denied(ctx context.Context, _ *policy.Input) (policy.Decision, error) {
	return policy.Decision{}, f.do(ctx)
}

func (f failingPolicy) Visible(ctx context.Context, _ *policy.Input) (bool, error) {
	return false, f.do(ctx)
}

type failingRecorder struct {
	failing
	*fakeRecorder
}

func (f failingRecorder) Decide(ctx context.Context, r *audit.Record) error {
	if f.failing == failEmpty || f.failing == failStale {
		return errors.New("the log is closed")
	}
	return f.do(ctx)
}

type failingGrants struct{ failing }

func (f failingGrants) Find(string) (*grant.Live, error) {
	if f.failing == failStale {
		return nil, grant.ErrStale
	}
	return nil, f.do(ended())
}

// ended is a context that waits for nothing: Find has none of the request's.
func ended() context.Context {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	return ctx
}

// obliging is a policy that allows under a condition which the gateway cannot meet.
type obliging struct{ Decider }

func (obliging) Decide(context.Context, *policy.Input) (policy.Decision, error) {
	return policy.Decision{Allow: true, Obligations: []policy.Obligation{{Type: "redact"}}}, nil
}

// TestFailClosed breaks each dependency in turn, in each way, under calls that are otherwise
// allowed. Not one byte may reach the upstream.
func TestFailClosed(t *testing.T) {
	type breaker struct {
		name  string
		apply func(f *fixture, how failing)
	}
	breakers := []breaker{
		{"verifier", func(f *fixture, how failing) { f.snap.Verifier = failingVerifier{how}; f.swap() }},
		{"policy", func(f *fixture, how failing) { f.snap.Policy = failingPolicy{how, f.snap.Policy}; f.swap() }},
		{"recorder", func(f *fixture, how failing) {
			g, err := New(Options{Recorder: failingRecorder{how, f.rec}, Grants: f.issuer.Grants, StateKey: make([]byte, 32)})
			if err != nil {
				f.t.Fatal(err)
			}
			f.g, f.handler = g, g
			f.swap()
		}},
		{"catalogue", func(f *fixture, how failing) {
			switch how {
			case failEmpty: // the server has no tools
				f.up.tools = ""
				if err := f.server.Refresh(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
			case failStale: // a tool's schema has become one that cannot be checked
				f.up.tools = `{"name":"read_file","inputSchema":{"type":"object","$ref":"https://example.com/s"}}`
				if err := f.server.Refresh(f.t.Context()); err != nil {
					f.t.Fatal(err)
				}
			default: // nothing was ever fetched
				f.server.catalogue.Store(&catalogue{byEra: [2]*catalog.Listing{}})
			}
		}},
		{"snapshot", func(f *fixture, _ failing) {
			g, err := New(Options{Recorder: f.rec, Grants: f.issuer.Grants, StateKey: make([]byte, 32)})
			if err != nil {
				f.t.Fatal(err)
			}
			f.g, f.handler = g, g
		}},
		{"grants", func(f *fixture, how failing) {
			g, err := New(Options{Recorder: f.rec, Grants: failingGrants{how}, StateKey: make([]byte, 32)})
			if err != nil {
				f.t.Fatal(err)
			}
			f.g, f.handler = g, g
			f.swap()
		}},
		{"obligation", func(f *fixture, _ failing) { f.snap.Policy = obliging{f.snap.Policy}; f.swap() }},
	}
	for _, b := range breakers {
		for how := failError; how <= failStale; how++ {
			t.Run(b.name+"/"+how.String(), func(t *testing.T) {
				f := newFixture(t)
				ok := f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`))
				if toolText(ok.Body.String()) != "ok" || len(f.up.requests()) != 1 {
					t.Fatalf("before anything is broken: %s", ok.Body)
				}
				b.apply(f, how)
				for _, body := range []string{
					legacyCall("read_file", `{"path":"/srv/b"}`),
					`{"jsonrpc":"2.0","id":1,"method":"resources/read","params":{"uri":"file:///srv/a"}}`,
				} {
					if b.name == "catalogue" && body[0:40] != legacyCall("read_file", "")[0:40] {
						continue // the catalogue says nothing about resources
					}
					ctx, cancel := context.WithCancel(t.Context())
					if how == failTimeout {
						cancel() // the dependency waits for the end of the request, which is now
					}
					w := f.serve(f.request(http.MethodPost, f.reader, body).WithContext(ctx))
					cancel()
					if got := toolText(w.Body.String()); got == "ok" {
						t.Errorf("%s was answered %s", body, w.Body)
					}
				}
				if n := len(f.up.requests()); n != 1 {
					t.Errorf("%d requests reached the upstream after the break", n-1)
				}
			})
		}
	}
}

func TestZeroValuesBuyNothing(t *testing.T) {
	if _, err := (&Permit{}).Redeem(); !errors.Is(err, ErrSpent) {
		t.Errorf("zero Permit: %v; want ErrSpent", err)
	}
	if _, err := (*Permit)(nil).Redeem(); !errors.Is(err, ErrSpent) {
		t.Errorf("nil Permit: %v; want ErrSpent", err)
	}
	if out := (Errand{}).Outbound(); out.Method != "" {
		t.Errorf("zero Errand asks %q", out.Method)
	}
	if (policy.Decision{}).Allow {
		t.Error("the zero Decision allows")
	}
	if got := (&exchange{}).verdict(policy.Decision{}, nil); got == nil {
		t.Error("the zero Decision is not refused")
	}
	if _, err := New(Options{StateKey: make([]byte, 32)}); err == nil {
		t.Error("New took no recorder")
	}
	if _, err := New(Options{Recorder: &fakeRecorder{}, StateKey: make([]byte, 32)}); err == nil {
		t.Error("New took no grants")
	}
	g, err := New(Options{Recorder: &fakeRecorder{}, Grants: failingGrants{}, StateKey: make([]byte, 32)})
	if err != nil {
		t.Fatal(err)
	}
	if err := g.Swap(t.Context(), &Snapshot{PublicURL: "http://x"}); err == nil {
		t.Error("Swap took a snapshot without verifier and policy")
	}
}

func TestPermitRedeemedOnce(t *testing.T) {
	p := &Permit{valid: true, out: Outbound{Method: "POST"}}
	won := make(chan bool)
	for range 16 {
		go func() {
			_, err := p.Redeem()
			won <- err == nil
		}()
	}
	n := 0
	for range 16 {
		if <-won {
			n++
		}
	}
	if n != 1 {
		t.Errorf("redeemed %d times; want once", n)
	}
}

// A permit in another form is still one permit: the old one is spent, and a failed change spends
// it as well.
func TestExchangedPermitBuysOneCall(t *testing.T) {
	same := func(out Outbound) (Outbound, error) { return out, nil }
	p := &Permit{valid: true, out: Outbound{Method: "POST"}}
	next, err := p.Exchange(same)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Redeem(); !errors.Is(err, ErrSpent) {
		t.Errorf("the old permit: %v; want ErrSpent", err)
	}
	if out, err := next.Redeem(); err != nil || out.Method != "POST" {
		t.Errorf("the new permit: %v, %v; want the request", out, err)
	}
	if _, err := (&Permit{}).Exchange(same); !errors.Is(err, ErrSpent) {
		t.Errorf("exchange of the zero permit: %v; want ErrSpent", err)
	}
	failed := &Permit{valid: true}
	if _, err := failed.Exchange(func(Outbound) (Outbound, error) { return Outbound{}, ErrGarbage }); !errors.Is(err, ErrGarbage) {
		t.Errorf("failed exchange: %v", err)
	}
	if _, err := failed.Redeem(); !errors.Is(err, ErrSpent) {
		t.Errorf("after a failed exchange: %v; want ErrSpent", err)
	}
}

// In record-only mode the policy's no is recorded and let through; a broken message or token
// is refused all the same, and so is a call that cannot be recorded.
func TestRecordOnlyRefusesOnlyWhatIsBroken(t *testing.T) {
	f := newFixture(t)
	f.snap.RecordOnly = true
	f.swap()
	w := f.post(f.reader, legacyCall("read_file", `{"path":"/etc/passwd"}`))
	if got := toolText(w.Body.String()); got != "ok" {
		t.Errorf("denied call in record-only mode: %s; want ok", got)
	}
	found := false
	for _, r := range f.rec.records {
		found = found || r.Phase == audit.PhaseDecision && r.Decision == "would_deny"
	}
	if !found {
		t.Errorf("no record says would_deny: %+v", f.rec.records)
	}
	if w := f.post("", legacyCall("read_file", `{}`)); w.Code != 401 {
		t.Errorf("no token in record-only mode: %d; want 401", w.Code)
	}
	// Also for a tool that the policy would hide: what is listed is told about like any other.
	for _, tool := range []string{"read_file", "write_file"} {
		want := "invalid arguments for " + tool + ": /path: must be string, got number"
		if got := toolText(f.post(f.reader, legacyCall(tool, `{"path":1}`)).Body.String()); got != want {
			t.Errorf("wrong type for %s in record-only mode: %s; want %s", tool, got, want)
		}
	}
}

// A server that does not know the session has executed nothing, so the decision still buys one
// call; but only one, whatever form it has meanwhile.
func TestLostSessionLeavesAPermitOnce(t *testing.T) {
	lost, same := &Reply{Status: http.StatusNotFound}, func(out Outbound) (Outbound, error) { return out, nil }
	inSession := func() *Permit {
		return &Permit{valid: true, out: Outbound{Header: http.Header{wire.HeaderSession: {"s"}}}}
	}
	p := inSession()
	if _, err := p.Again(lost); !errors.Is(err, ErrSpent) {
		t.Errorf("before it was redeemed: %v; want ErrSpent: there would be two", err)
	}
	_, _ = p.Redeem()
	next, err := p.Again(lost)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.Again(lost); !errors.Is(err, ErrSpent) {
		t.Errorf("a second time: %v; want ErrSpent", err)
	}
	if next, err = next.Exchange(same); err != nil {
		t.Fatal(err)
	}
	_, _ = next.Redeem()
	if _, err := next.Again(lost); !errors.Is(err, ErrSpent) {
		t.Errorf("in another form: %v; want ErrSpent", err)
	}
	for what, answer := range map[string]*Reply{"answered": {Status: http.StatusOK}, "refused": {Status: http.StatusBadRequest}} {
		p := inSession()
		_, _ = p.Redeem()
		if _, err := p.Again(answer); !errors.Is(err, ErrSpent) {
			t.Errorf("%s: %v; want ErrSpent", what, err)
		}
	}
	bare := &Permit{valid: true}
	_, _ = bare.Redeem()
	if _, err := bare.Again(lost); !errors.Is(err, ErrSpent) {
		t.Errorf("outside a session: %v; want ErrSpent", err)
	}
	if _, err := (*Permit)(nil).Again(lost); !errors.Is(err, ErrSpent) {
		t.Errorf("no permit: %v; want ErrSpent", err)
	}
}
