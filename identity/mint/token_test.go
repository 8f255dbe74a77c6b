package mint

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/identity"
	"sallyport/identity/grant"
)

func TestTokenNamesItsGrant(t *testing.T) {
	d := newDesk(t)
	g := d.grant(dev(), Ask{Roles: []string{"reader"}, Task: "T-1", ClientID: "claude"})
	_, who := d.token(dev(), TokenAsk{Grant: g.ID})
	got := []any{who.Subject, who.ClientID, who.Roles, who.Grant, who.Task, who.Expires.Sub(who.IssuedAt)}
	if diff := cmp.Diff([]any{"dev", "claude", []string{"reader"}, g.ID, "T-1", DefaultTTL}, got); diff != "" {
		t.Errorf("principal (-want +got):\n%s", diff)
	}
	want := Act{Method: ActMint, Subject: "dev", Client: "claude", Grant: g.ID, Task: "T-1", JTI: who.TokenID, Roles: []string{"reader"},
		Source: "user dev (uid 1000) via socket", Detail: "bearer"}
	if diff := cmp.Diff(want, d.acts[1]); diff != "" {
		t.Errorf("record (-want +got):\n%s", diff)
	}
}

func TestTokenIsBoundAsItsGrantIs(t *testing.T) {
	d := newDesk(t)
	jkt := d.grant(dev(), Ask{JKT: thumb('j')})
	x5t := d.grant(dev(), Ask{X5T: thumb('x')})
	free := d.grant(dev(), Ask{})
	for _, tt := range []struct {
		name string
		ask  TokenAsk
		ok   bool
	}{
		{"its key", TokenAsk{Grant: jkt.ID, JKT: thumb('j')}, true},
		{"no key", TokenAsk{Grant: jkt.ID}, false},
		{"another key", TokenAsk{Grant: jkt.ID, JKT: thumb('k')}, false},
		{"a certificate for a key", TokenAsk{Grant: jkt.ID, X5T: thumb('j')}, false},
		{"its certificate", TokenAsk{Grant: x5t.ID, X5T: thumb('x')}, true},
		{"its certificate and a key", TokenAsk{Grant: x5t.ID, X5T: thumb('x'), JKT: thumb('j')}, true},
		{"another certificate", TokenAsk{Grant: x5t.ID, X5T: thumb('y')}, false},
		{"a key for a certificate", TokenAsk{Grant: x5t.ID, JKT: thumb('x')}, false},
		{"a key where none is needed", TokenAsk{Grant: free.ID, JKT: thumb('j')}, true},
	} {
		for _, by := range []Asker{dev(), operator()} {
			token, claims, err := d.Token(t.Context(), by, tt.ask)
			if !tt.ok {
				want := "the grant " + tt.ask.Grant + " is bound to a key, and gives tokens to the holder of that key alone; use the `sallyport connect` or `run` that made it, or make a grant of your own"
				if r := refusal(t, err); token != "" || r.Code != "invalid_grant" || r.Message != want {
					t.Errorf("%s: %s %s\nwant %s", tt.name, r.Code, r.Message, want)
				}
				continue
			}
			if err != nil || claims.Grant != tt.ask.Grant {
				t.Errorf("%s: %+v, %v; want a token", tt.name, claims, err)
				continue
			}
			who, err := verifier(t, d.keys, d.clock.now).VerifyUnproven(token)
			if err != nil || who.JKT != tt.ask.JKT || who.X5T != tt.ask.X5T {
				t.Errorf("%s: %+v, %v; want it bound to %+v", tt.name, who, err, tt.ask)
			}
		}
	}
}

// thumb is the form of a thumbprint.
func thumb(c byte) string { return strings.Repeat(string(c), 42) + "A" }

func TestTokenCarriesWhatWasMeasured(t *testing.T) {
	d := newDesk(t)
	g := d.grant(dev(), Ask{Measured: "before"})
	for _, measured := range []string{"after", ""} {
		if _, who := d.token(dev(), TokenAsk{Grant: g.ID, Measured: measured}); who.Measured != measured {
			t.Errorf("measured = %q; want %q: the grant's own would hide the change", who.Measured, measured)
		}
	}
}

func TestTokenIsRefusedInWords(t *testing.T) {
	d := newDesk(t)
	live := d.grant(dev(), Ask{Roles: []string{"reader", "writer"}})
	ended := d.grant(dev(), Ask{})
	d.end(ended.ID)
	given := d.grant(dev(), Ask{})
	if _, err := d.Revoke(t.Context(), dev(), grant.Filter{ID: given.ID}, grant.Completed, ""); err != nil {
		t.Fatal(err)
	}
	short := d.grant(dev(), Ask{TTL: time.Minute})
	d.clock.pass(2 * time.Minute)
	later := d.grant(dev(), Ask{NotBefore: d.clock.now().Add(time.Hour)})
	others := d.grant(ci(), Ask{JKT: thumb('k')})
	unknown := grant.NewID()
	none := func(id string) string {
		return `there is no grant "` + id + `" of yours; ` + "`sallyport grant list` shows those that are, `sallyport grant create` makes one"
	}
	sameName, demoted, until := dev(), dev(), dev()
	sameName.Issuer, sameName.Via = "https://other.example", "federation:x"
	demoted.Roles = []string{"reader"}
	until.Until = d.clock.now().Add(time.Second / 2)
	for _, tt := range []struct {
		name string
		by   Asker
		ask  TokenAsk
		code string
		want string
	}{
		{"no grant", dev(), TokenAsk{}, "invalid_request", "name the grant that the token is for (--grant); `sallyport grant list` shows yours"},
		{"unknown", dev(), TokenAsk{Grant: unknown}, "invalid_grant", none(unknown)},
		{"of another subject", dev(), TokenAsk{Grant: others.ID, JKT: thumb('k')}, "invalid_grant", none(others.ID)},
		{"of another issuer's subject of this name", sameName, TokenAsk{Grant: live.ID}, "invalid_grant", none(live.ID)},
		{"zero asker", Asker{}, TokenAsk{Grant: live.ID}, "invalid_grant", none(live.ID)},
		{"revoked", dev(), TokenAsk{Grant: ended.ID}, "invalid_grant", "the grant " + ended.ID + " ended: revoked by user root (uid 0) (wrong branch); ask for a new one"},
		{"completed", dev(), TokenAsk{Grant: given.ID}, "invalid_grant", "the grant " + given.ID + " ended: completed by user dev (uid 1000); ask for a new one"},
		{"expired", dev(), TokenAsk{Grant: short.ID}, "invalid_grant", "the grant " + short.ID + " ended: it expired at 2027-01-15T08:01:00Z; ask for a new one"},
		{"not begun", dev(), TokenAsk{Grant: later.ID}, "invalid_grant", "the grant " + later.ID + " begins at 2027-01-15T09:02:00Z; wait until then"},
		{"16 minutes", dev(), TokenAsk{Grant: live.ID, TTL: 16 * time.Minute}, "invalid_request",
			"a token lives from 1s to 15m in whole seconds, not 16m0s; ask for a shorter life and renew it"},
		{"role taken back", demoted, TokenAsk{Grant: live.ID}, "invalid_grant",
			"the grant " + live.ID + ` has the role "writer", which user dev (uid 1000) may not have any more; ask for a new grant without it`},
		{"nothing left of what was shown", until, TokenAsk{Grant: live.ID}, "invalid_grant",
			"less than a second is left of the grant " + live.ID + " or of the token that you showed; ask for a new one"},
	} {
		token, claims, err := d.Token(t.Context(), tt.by, tt.ask)
		if r := refusal(t, err); token != "" || claims.ID != "" || r.Code != tt.code || r.Status != 400 || r.Message != tt.want {
			t.Errorf("%s: %s %s\nwant %s %s", tt.name, r.Code, r.Message, tt.code, tt.want)
		}
	}
}

// A rule that takes a role back takes it from the children of what it gave, too.
func TestRoleTakenBackIsTakenFromChildren(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{Roles: []string{"reader", "writer"}})
	child := d.grant(d.holderOf(parent), Ask{Roles: []string{"writer"}})
	kept := d.grant(d.holderOf(parent), Ask{Roles: []string{"reader"}})
	by := dev()
	by.Roles = []string{"reader"}
	_, _, err := d.Token(t.Context(), by, TokenAsk{Grant: child.ID})
	if r := refusal(t, err); !strings.HasPrefix(r.Message, "the grant "+child.ID+` has the role "writer", which user dev (uid 1000) may not have any more`) {
		t.Errorf("a child with the role: %s", r.Message)
	}
	d.token(by, TokenAsk{Grant: kept.ID})
}

// What an operator grants somebody is not bounded by what that one may ask for himself.
func TestGrantOfAnOperatorIsRenewedByItsSubject(t *testing.T) {
	d := newDesk(t)
	g := d.grant(operator(), Ask{Subject: "dev", Roles: []string{"admin"}, JKT: thumb('j')})
	if _, who := d.token(dev(), TokenAsk{Grant: g.ID, JKT: thumb('j')}); who.Subject != "dev" {
		t.Errorf("subject = %s; want dev", who.Subject)
	}
}

func TestRoleThatNeedsAProofGetsNoBearerToken(t *testing.T) {
	needed := false
	d := newDesk(t, func(cfg *AuthorityConfig) { cfg.RequireProof = func([]string) bool { return needed } })
	g := d.grant(dev(), Ask{Roles: []string{"reader"}})
	needed = true // since the operator changed the configuration
	_, _, err := d.Token(t.Context(), dev(), TokenAsk{Grant: g.ID})
	if r := refusal(t, err); r.Code != "invalid_dpop_proof" || !strings.HasPrefix(r.Message, "role reader: here only tokens that are bound to a key are given") {
		t.Errorf("%s %s; want a key asked for", r.Code, r.Message)
	}
	d.token(dev(), TokenAsk{Grant: g.ID, JKT: thumb('j')})
}

// A token reaches its own grant and what is below, nothing beside or above it.
func TestTokenDoesNotBuyAWiderOne(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{})
	child := d.grant(d.holderOf(parent), Ask{Tools: []string{"files.read_*"}})
	sibling := d.grant(dev(), Ask{})
	by := d.holderOf(child)
	for _, g := range []grant.Grant{parent, sibling} {
		_, _, err := d.Token(t.Context(), by, TokenAsk{Grant: g.ID})
		if r := refusal(t, err); !strings.HasPrefix(r.Message, "there is no grant") {
			t.Errorf("a token of another grant: %s", r.Message)
		}
		if ended, err := d.Revoke(t.Context(), by, grant.Filter{ID: g.ID}, grant.Revoked, ""); len(ended) != 0 || err == nil {
			t.Errorf("ended %v, %v; want another grant left alone", ended, err)
		}
	}
	if list := d.List(by, grant.Filter{All: true}); len(list) != 1 || list[0].ID != child.ID {
		t.Errorf("list = %+v; want the child alone", list)
	}
	d.token(d.holderOf(parent), TokenAsk{Grant: child.ID})
}

func TestNothingIsGivenWhileTheStoreIsSilent(t *testing.T) {
	d := newDesk(t)
	g := d.grant(dev(), Ask{})
	if err := d.store.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(time.Minute)
	for d.cfg.Grants.Healthy() == nil && time.Now().Before(deadline) {
		time.Sleep(time.Millisecond)
	}
	const want = "the store of grants does not answer, so none counts as live; try again, and see the gateway's log if it lasts"
	_, _, err := d.Token(t.Context(), dev(), TokenAsk{Grant: g.ID})
	if r := refusal(t, err); r.Status != 503 || r.Message != want {
		t.Errorf("token: %d %s; want 503", r.Status, r.Message)
	}
	_, err = d.Grant(t.Context(), dev(), Ask{})
	if r := refusal(t, err); r.Status != 503 || r.Message != want {
		t.Errorf("grant: %d %s; want 503", r.Status, r.Message)
	}
}

// Whatever is asked, configured and shown: no token lives over 15 minutes, past its grant, or
// past what bought it.
func TestNoTokenOutlivesItsBounds(t *testing.T) {
	d := newDesk(t)
	iss, aud := audience()
	rapid.Check(t, func(rt *rapid.T) {
		span := func(name string) time.Duration {
			return time.Duration(rapid.Int64Range(-int64(time.Minute), int64(26*time.Hour)).Draw(rt, name))
		}
		usual := time.Duration(rapid.Int64Range(0, int64(time.Hour)).Draw(rt, "issuer's default"))
		d.cfg.Issuer = NewIssuer(IssuerConfig{URL: iss, Audience: aud, Keys: d.keys, Now: d.clock.now, TTL: usual})
		d.clock.set(time.Unix(1_800_000_000, rapid.Int64Range(0, 999_999_999).Draw(rt, "fraction of the second")))
		g, err := d.Grant(t.Context(), dev(), Ask{TTL: span("grant"), Implicit: rapid.Bool().Draw(rt, "implicit")})
		if err != nil {
			return
		}
		if g.Expires.Sub(g.Created) > MaxGrantTTL {
			rt.Fatalf("a grant of %s", g.Expires.Sub(g.Created))
		}
		d.clock.pass(time.Duration(rapid.Int64Range(0, int64(2*time.Hour)).Draw(rt, "passes")))
		by := dev()
		if rapid.Bool().Draw(rt, "shows something that ends") {
			by.Until = d.clock.now().Add(span("rest of it"))
		}
		ask := TokenAsk{Grant: g.ID}
		if rapid.Bool().Draw(rt, "asks for a life") {
			ask.TTL = span("life")
			if rapid.Bool().Draw(rt, "in whole seconds") {
				ask.TTL = ask.TTL.Truncate(time.Second) % (20 * time.Minute)
			}
		}
		_, claims, err := d.Token(t.Context(), by, ask)
		if err != nil {
			return
		}
		end := time.Unix(claims.ExpiresAt, 0)
		switch life := time.Duration(claims.ExpiresAt-claims.IssuedAt) * time.Second; {
		case life < time.Second || life > identity.MaxLifetime || ask.TTL != 0 && life > ask.TTL:
			rt.Fatalf("lives %s", life)
		case end.After(g.Expires):
			rt.Fatalf("ends at %s, after its grant at %s", end, g.Expires)
		case !by.Until.IsZero() && end.After(by.Until):
			rt.Fatalf("ends at %s, after what was shown at %s", end, by.Until)
		}
	})
}
