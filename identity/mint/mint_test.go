package mint

import (
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"sallyport/identity"
)

const url = "http://127.0.0.1:8080"

// clock is a time that a test moves, while others look at it.
type clock struct{ t atomic.Pointer[time.Time] }

func (c *clock) now() time.Time       { return *c.t.Load() }
func (c *clock) set(t time.Time)      { c.t.Store(&t) }
func (c *clock) pass(d time.Duration) { c.set(c.now().Add(d)) }

func newClock() *clock {
	c := &clock{}
	c.set(time.Unix(1_800_000_000, 0))
	return c
}

func keyDir(t testing.TB) string { return filepath.Join(t.TempDir(), "state", "keys") }
func reader(ttl time.Duration) Request {
	return Request{Subject: "dev", ClientID: "cli", Roles: []string{"reader"}, TTL: ttl}
}
func audience() (iss, aud string) { return url, url + "/mcp" }

func open(t testing.TB, dir string, now func() time.Time) *Keyring {
	t.Helper()
	keys, err := OpenKeyring(dir, now)
	if err != nil {
		t.Fatal(err)
	}
	return keys
}

func issuer(keys *Keyring, now func() time.Time) *Issuer {
	iss, aud := audience()
	return NewIssuer(IssuerConfig{URL: iss, Audience: aud, Keys: keys, Now: now})
}

func verifier(t testing.TB, keys identity.KeySource, now func() time.Time) *identity.Verifier {
	t.Helper()
	iss, aud := audience()
	v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: iss, Audience: aud, Keys: keys, Now: now})
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func mustMint(t testing.TB, i *Issuer, r Request) string {
	t.Helper()
	tok, _, err := i.Mint(r)
	if err != nil {
		t.Fatal(err)
	}
	return tok
}

func TestMintedTokenIsAccepted(t *testing.T) {
	c := newClock()
	keys := open(t, keyDir(t), c.now)
	i, v := issuer(keys, c.now), verifier(t, keys, c.now)
	tok, claims, err := i.Mint(Request{Subject: "dev", ClientID: "cli", Roles: []string{"reader", "writer"}, Grant: "gr_1", Task: "T-1"})
	if err != nil {
		t.Fatal(err)
	}
	who, err := v.VerifyToken(tok)
	if err != nil {
		t.Fatal(err)
	}
	got := []any{who.Issuer, who.Subject, who.ClientID, who.Roles, who.Grant, who.Task, who.TokenID, who.IssuedAt.Unix(), who.Expires.Unix()}
	want := []any{claims.Issuer, claims.Subject, claims.ClientID, claims.Roles, claims.Grant, claims.Task, claims.ID, claims.IssuedAt, claims.ExpiresAt}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("principal (-claims +principal):\n%s", diff)
	}
	if life := who.Expires.Sub(who.IssuedAt); life != DefaultTTL {
		t.Errorf("life = %s; want the default %s", life, DefaultTTL)
	}
	if again, _, err := i.Mint(reader(0)); err != nil || again == tok {
		t.Errorf("a second token: %v; want another", err)
	}
}

func TestMintRefusesWithAReason(t *testing.T) {
	c := newClock()
	i := issuer(open(t, keyDir(t), c.now), c.now)
	with := func(change func(*Request)) Request {
		r := reader(time.Minute)
		change(&r)
		return r
	}
	const bounds = "; ask for a shorter life and renew it"
	for _, tt := range []struct {
		r    Request
		want string
	}{
		{reader(16 * time.Minute), "a token lives from 1s to 15m in whole seconds, not 16m0s" + bounds},
		{reader(15*time.Minute + time.Second), "a token lives from 1s to 15m in whole seconds, not 15m1s" + bounds},
		{reader(time.Millisecond), "a token lives from 1s to 15m in whole seconds, not 1ms" + bounds},
		{reader(-time.Minute), "a token lives from 1s to 15m in whole seconds, not -1m0s" + bounds},
		{reader(1500 * time.Millisecond), "a token lives from 1s to 15m in whole seconds, not 1.5s" + bounds},
		{with(func(r *Request) { r.Roles = nil }), "a token needs at least one role (--role)"},
		{with(func(r *Request) { r.Roles = []string{"reader", ""} }), "a role is empty"},
		{with(func(r *Request) { r.Roles = []string{"a\nb"} }), "a role holds a control character"},
		{with(func(r *Request) { r.Subject = "" }), "the subject is empty"},
		{with(func(r *Request) { r.ClientID = "" }), "the client is empty"},
		{with(func(r *Request) { r.Subject = "a\xff" }), "the subject is not UTF-8"},
		{with(func(r *Request) { r.Grant = "a\x00" }), "the grant holds a control character"},
		{with(func(r *Request) { r.Task = "\x1b[2J" }), "the task holds a control character"},
	} {
		if tok, _, err := i.Mint(tt.r); tok != "" || err == nil || err.Error() != tt.want {
			t.Errorf("Mint(%+v) = %v; want %s", tt.r, err, tt.want)
		}
	}
	if _, _, err := i.Mint(with(func(r *Request) { r.Task = strings.Repeat("t", 9000) })); err == nil || !strings.HasSuffix(err.Error(), "bytes long; the limit is 8192: use fewer roles or shorter names") {
		t.Errorf("a token over the limit: %v", err)
	}
	for _, cfg := range []IssuerConfig{{}, {URL: url, Audience: url}, {URL: url, Keys: i.cfg.Keys}, {Audience: url, Keys: i.cfg.Keys}} {
		if tok, _, err := NewIssuer(cfg).Mint(reader(time.Minute)); tok != "" || err == nil || err.Error() != "a token issuer needs its URL, an audience and keys" {
			t.Errorf("an issuer without a part: %v", err)
		}
	}
	// A default out of bounds cannot be used either: no setting brings long lives back.
	long := NewIssuer(IssuerConfig{URL: url, Audience: url, Keys: i.cfg.Keys, TTL: time.Hour})
	if tok, _, err := long.Mint(reader(0)); tok != "" || err == nil {
		t.Errorf("an issuer with a default of an hour: %v; want it refused", err)
	}
}

// What is minted is accepted, and no longer than was asked for.
func TestEveryMintedTokenVerifiesUntilItsEnd(t *testing.T) {
	c := newClock()
	keys := open(t, keyDir(t), c.now)
	i, v := issuer(keys, c.now), verifier(t, keys, c.now)
	rapid.Check(t, func(t *rapid.T) {
		r := Request{Subject: rapid.String().Draw(t, "sub"), ClientID: rapid.String().Draw(t, "client"), Roles: rapid.SliceOfN(rapid.String(), 0, 3).Draw(t, "roles"),
			Grant: rapid.String().Draw(t, "grant"), Task: rapid.String().Draw(t, "task"), TTL: time.Duration(rapid.IntRange(-1, 1000).Draw(t, "ttl")) * time.Second}
		tok, claims, err := i.Mint(r)
		if err != nil {
			return
		}
		end := time.Unix(claims.ExpiresAt, 0)
		who, err := v.VerifyAt(tok, end.Add(-time.Nanosecond))
		if err != nil || who.Subject != r.Subject || who.Grant != r.Grant || who.Task != r.Task || who.Expires.Sub(who.IssuedAt) > identity.MaxLifetime {
			t.Fatalf("%+v: %+v, %v", r, who, err)
		}
		if _, err := v.VerifyAt(tok, end); err == nil {
			t.Fatalf("%+v: accepted at its end", r)
		}
	})
}
