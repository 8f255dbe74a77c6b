package mint

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/grant"
)

func TestAuthorityNeedsItsParts(t *testing.T) {
	d := newDesk(t)
	for _, cfg := range []AuthorityConfig{{}, {Issuer: d.issuer, Grants: d.cfg.Grants}, {Issuer: d.issuer, Record: d.record}, {Grants: d.cfg.Grants, Record: d.record}} {
		if a, err := NewAuthority(cfg); a != nil || err == nil || err.Error() != "an authority needs an issuer, grants and a record of its acts" {
			t.Errorf("NewAuthority without a part: %v", err)
		}
	}
}

func TestGrantIsMadeAsAsked(t *testing.T) {
	d := newDesk(t)
	ask := Ask{Roles: []string{"reader"}, Tools: []string{"files.read_*"}, MaxCalls: 9, Budgets: []grant.Budget{{Tools: "files.*", Calls: 5}},
		Args: []grant.Constraint{{Tools: "files.*", Rego: "data.mcp.constraints.docs"}}, TTL: 45 * time.Minute, Task: "JIRA-1234", Reason: "the bug",
		ClientID: "claude", JKT: thumb('k'), Measured: "digest"}
	got := d.grant(dev(), ask)
	now := d.clock.now().UTC()
	want := grant.Grant{ID: got.ID, Root: got.ID, Depth: 1, Task: "JIRA-1234", Subject: "dev", Issuer: "local", ClientID: "claude",
		Roles: []string{"reader"}, Tools: ask.Tools, Args: ask.Args, MaxCalls: 9, Budgets: ask.Budgets, Created: now, Expires: now.Add(45 * time.Minute),
		JKT: thumb('k'), Measured: "digest", ApprovedBy: "user dev (uid 1000)", Reason: "the bug", Via: "socket", State: grant.Active, Rev: got.Rev}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("grant (-want +got):\n%s", diff)
	}
	act := Act{Method: ActCreate, Subject: "dev", Client: "claude", Grant: got.ID, Task: "JIRA-1234", Roles: []string{"reader"},
		Source: "user dev (uid 1000) via socket",
		Detail: "until 2027-01-15T08:45:00Z; tool files.read_*; constraints on arguments: 1; 9 calls; 5 calls of files.*; bound to key " + thumb('k') + "; because: the bug"}
	if diff := cmp.Diff([]Act{act}, d.acts); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestGrantTakesWhatWasNotAsked(t *testing.T) {
	d := newDesk(t)
	g := d.grant(dev(), Ask{})
	if diff := cmp.Diff([]string{"reader", "writer"}, g.Roles); diff != "" || g.ClientID != "cli" || g.Subject != "dev" || g.Expires.Sub(g.Created) != DefaultGrantTTL {
		t.Errorf("grant = %+v; want all roles of dev for an hour", g)
	}
	later := d.clock.now().Add(time.Hour)
	if g := d.grant(dev(), Ask{NotBefore: later}); !g.NotBefore.Equal(later) || !g.Expires.Equal(later.Add(DefaultGrantTTL)) {
		t.Errorf("a grant that begins at %s lives from %s to %s; want an hour from there", later, g.NotBefore, g.Expires)
	}
	if g := d.grant(operator(), Ask{Roles: []string{"writer"}, Subject: "dev"}); g.Subject != "dev" || g.Issuer != "local" || g.Via != "operator" {
		t.Errorf("an operator's grant for dev = %+v", g)
	}
}

func TestGrantIsRefusedInWords(t *testing.T) {
	d := newDesk(t)
	nobody := Asker{Name: "user eve (uid 1001)", Subject: "eve", Issuer: "local", ClientID: "cli"}
	acting := dev()
	acting.Actors = []string{"sub-agent"}
	for _, tt := range []struct {
		name string
		by   Asker
		ask  Ask
		code string
		want string
	}{
		{"role that does not exist", dev(), Ask{Roles: []string{"raeder"}}, "access_denied", `no policy knows the role "raeder"; did you mean "reader"?`},
		{"role of others", dev(), Ask{Roles: []string{"reader", "admin"}, JKT: thumb('k')}, "access_denied",
			`user dev (uid 1000) may not ask for the role "admin", only for roles reader, writer; the operator says who may (identity.local, identity.federation)`},
		{"nobody", nobody, Ask{Roles: []string{"reader"}}, "access_denied",
			"user eve (uid 1001) may ask for no role here; the operator says who may (identity.local, identity.federation)"},
		{"no role", operator(), Ask{}, "invalid_request", "a grant needs at least one role, and you may have any; name one (--role)"},
		{"bad role", operator(), Ask{Roles: []string{"a\n"}}, "invalid_request", "a role holds a control character"},
		{"zero asker", Asker{}, Ask{}, "invalid_request", "the subject is empty; name one (--subject)"},
		{"another subject", dev(), Ask{Subject: "root"}, "access_denied", `only an operator makes grants for others; leave the subject out, it is "dev"`},
		{"another client", ci(), Ask{ClientID: "x"}, "access_denied", `the federation rule says who the client is ("ci"); leave it out`},
		{"no client", Asker{Subject: "dev", Roles: []string{"reader"}}, Ask{}, "invalid_request", "the client is empty; name one (--client)"},
		{"too long", dev(), Ask{TTL: 25 * time.Hour}, "invalid_request",
			"a grant lives from 1s to 24h, not 25h0m0s; ask for a shorter life (--ttl) and make a new one when the task goes on"},
		{"too short", dev(), Ask{TTL: time.Millisecond}, "invalid_request",
			"a grant lives from 1s to 24h, not 1ms; ask for a shorter life (--ttl) and make a new one when the task goes on"},
		{"negative", dev(), Ask{TTL: -time.Hour}, "invalid_request",
			"a grant lives from 1s to 24h, not -1h0m0s; ask for a shorter life (--ttl) and make a new one when the task goes on"},
		{"begins too late", dev(), Ask{NotBefore: d.clock.now().Add(25 * time.Hour)}, "invalid_request",
			"a grant begins within 24h of being made, not at 2027-01-16T09:00:00Z; make it later"},
		{"no key", operator(), Ask{Roles: []string{"admin"}}, "invalid_dpop_proof",
			"role admin: here only tokens that are bound to a key are given; use `sallyport connect` or `sallyport run`, which hold one, or a client certificate (--cert)"},
		{"bad thumbprint", dev(), Ask{JKT: "key"}, "invalid_request",
			"the key's thumbprint is not a SHA-256 digest in base64url; take it from the tool that made the key"},
		{"constraint", dev(), Ask{Args: []grant.Constraint{{Tools: "files.*", Rego: "data.mcp.absent"}}}, "invalid_authorization_details",
			"the constraint for files.*: no policy has the rule data.mcp.absent"},
		{"pattern", dev(), Ask{Tools: []string{"files"}}, "invalid_authorization_details", `tools: pattern "files" names no tool; write "files.*" for all tools of files`},
		{"negative calls", dev(), Ask{MaxCalls: -1}, "invalid_authorization_details", "max_calls: -1; write a number from 1, or leave it out for no bound"},
		{"acts for another", acting, Ask{Roles: []string{"reader"}}, "access_denied",
			"a token that acts for another (act) makes no grant: nobody approves themselves; ask whoever started this agent"},
		{"child of nothing", dev(), Ask{Child: true}, "invalid_request",
			"a child grant is made with the token of its parent, and none was shown; use `sallyport run` inside the task, or leave out that it is a child"},
	} {
		_, err := d.Grant(t.Context(), tt.by, tt.ask)
		if r := refusal(t, err); r.Code != tt.code || r.Status != 400 || !strings.HasPrefix(r.Message, tt.want) {
			t.Errorf("%s: %s %d %s\nwant %s 400 %s", tt.name, r.Code, r.Status, r.Message, tt.code, tt.want)
		}
	}
	if all := d.List(operator(), grant.Filter{All: true}); len(all) != 0 || len(d.acts) != 0 {
		t.Errorf("refused asks left %d grants and %d records; want none", len(all), len(d.acts))
	}
}

// What was not written down did not happen, but for an end: rights are taken away whatever fails.
func TestNothingIsGivenWithoutARecord(t *testing.T) {
	d := newDesk(t)
	g := d.grant(dev(), Ask{})
	d.broken = errors.New("disk full")
	const want = "the audit log cannot be written, so nothing was done; the gateway's log says why"
	check := func(act string, err error) {
		t.Helper()
		if r := refusal(t, err); r.Code != "temporarily_unavailable" || r.Status != 503 || r.Message != want || !errors.Is(r, d.broken) {
			t.Errorf("%s: %s %d %s; want 503 %s", act, r.Code, r.Status, r.Message, want)
		}
	}
	_, err := d.Grant(t.Context(), dev(), Ask{})
	check("grant", err)
	token, _, err := d.Token(t.Context(), dev(), TokenAsk{Grant: g.ID})
	check("token", err)
	if all := d.List(operator(), grant.Filter{All: true}); token != "" || len(all) != 1 || all[0].State != grant.Active {
		t.Errorf("token %q, grants %+v; want no token and the one live grant", token, all)
	}
	ended, err := d.Revoke(t.Context(), dev(), grant.Filter{ID: g.ID}, grant.Revoked, "")
	if r := refusal(t, err); len(ended) != 1 || r.Status != 503 || !strings.HasPrefix(r.Message, "the grants have ended, and the audit log could not be written") {
		t.Errorf("revoke: %d ended, %v; want the one, and that it is not on record", len(ended), err)
	}
	if all := d.List(operator(), grant.Filter{All: true}); all[0].State != grant.Revoked {
		t.Errorf("the grant is %s; want revoked", all[0].State)
	}
}

// What gives something is on record before it has any effect; what takes it away is done first.
func TestRecordComesFirst(t *testing.T) {
	d := newDesk(t)
	d.during = func(act Act) {
		live := 0
		for _, s := range d.cfg.Grants.List(grant.Filter{All: true}) {
			if s.State == grant.Active {
				live++
			}
		}
		want := map[string]int{ActCreate: 0, ActMint: 1, ActRevoke: 0}[act.Method]
		if live != want {
			t.Errorf("at %s there are %d live grants; want %d", act.Method, live, want)
		}
	}
	g := d.grant(dev(), Ask{})
	d.token(dev(), TokenAsk{Grant: g.ID})
	d.end(g.ID)
	var methods []string
	for _, act := range d.acts {
		methods = append(methods, act.Method)
	}
	if diff := cmp.Diff([]string{ActCreate, ActMint, ActRevoke}, methods); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestStoreThatFailsIsNotBlamedOnTheAsker(t *testing.T) {
	d := newDesk(t)
	d.store.Fail(errors.New("disk full"))
	_, err := d.Grant(t.Context(), dev(), Ask{})
	if r := refusal(t, err); r.Status != 503 || r.Message != "the grant cannot be stored, so there is none; the gateway's log says why" {
		t.Errorf("%d %s; want 503", r.Status, r.Message)
	}
}

// A token that is asked for the whole life of its grant gets it, wherever in a second both are made.
func TestGrantOfASecondIsLongEnoughForAToken(t *testing.T) {
	d := newDesk(t)
	d.clock.set(time.Unix(1_800_000_000, 999_000_000))
	g := d.grant(dev(), Ask{TTL: time.Second, Implicit: true})
	d.clock.pass(5 * time.Millisecond)
	_, who := d.token(dev(), TokenAsk{Grant: g.ID, TTL: time.Second})
	if who.Expires.Sub(who.IssuedAt) != time.Second || !who.Expires.Equal(g.Expires) || !g.Implicit {
		t.Errorf("token ends at %s, its grant %+v", who.Expires, g)
	}
}
