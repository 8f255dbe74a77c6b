package mint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/grant"
)

// desk is an authority with all that it works with, and a record that a test can break.
type desk struct {
	*Authority
	t      testing.TB
	clock  *clock
	store  *grant.Memory
	issuer *Issuer
	keys   *Keyring
	acts   []Act
	broken error // what Record answers
	// during is called by Record: what is true at that moment is true before the act.
	during func(Act)
}

func newDesk(t testing.TB, change ...func(*AuthorityConfig)) *desk {
	t.Helper()
	d := &desk{t: t, clock: newClock(), store: grant.NewMemory()}
	t.Cleanup(func() { _ = d.store.Close() })
	grants, err := grant.NewRegistry(context.WithoutCancel(t.Context()), d.store, grant.Options{Now: d.clock.now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = grants.Close() })
	d.keys = open(t, keyDir(t), d.clock.now)
	d.issuer = issuer(d.keys, d.clock.now)
	cfg := AuthorityConfig{Issuer: d.issuer, Grants: grants, Record: d.record, Now: d.clock.now,
		Role: func(role string) error {
			if slices.Contains([]string{"reader", "writer", "admin"}, role) {
				return nil
			}
			return fmt.Errorf("no policy knows the role %q; did you mean \"reader\"?", role)
		},
		Constraint: func(c grant.Constraint) error {
			if strings.HasSuffix(c.Rego, ".absent") {
				return errors.New("no policy has the rule " + c.Rego)
			}
			return nil
		},
		RequireProof: func(roles []string) bool { return slices.Contains(roles, "admin") }}
	for _, f := range change {
		f(&cfg)
	}
	if d.Authority, err = NewAuthority(cfg); err != nil {
		t.Fatal(err)
	}
	return d
}

func (d *desk) record(_ context.Context, act Act) error {
	if d.during != nil {
		d.during(act)
	}
	if d.broken != nil {
		return d.broken
	}
	d.acts = append(d.acts, act)
	return nil
}

// grant makes a grant that must be made.
func (d *desk) grant(by Asker, ask Ask) grant.Grant {
	d.t.Helper()
	g, err := d.Grant(d.t.Context(), by, ask)
	if err != nil {
		d.t.Fatalf("grant %+v: %v", ask, err)
	}
	return g
}

// token makes a token that must be made, and returns whom it speaks for.
func (d *desk) token(by Asker, ask TokenAsk) (string, *identity.Principal) {
	d.t.Helper()
	token, _, err := d.Token(d.t.Context(), by, ask)
	if err != nil {
		d.t.Fatalf("token %+v: %v", ask, err)
	}
	who, err := verifier(d.t, d.keys, d.clock.now).VerifyUnproven(token)
	if err != nil {
		d.t.Fatalf("token %+v: made and not accepted: %v", ask, err)
	}
	return token, who
}

// holderOf is the asker who shows a token of the grant.
func (d *desk) holderOf(g grant.Grant) Asker {
	d.t.Helper()
	by, err := d.askerOf(&identity.Principal{Subject: g.Subject, ClientID: g.ClientID, Roles: g.Roles, Actors: g.Actors, Grant: g.ID,
		Expires: d.clock.now().Add(5 * time.Minute)})
	if err != nil {
		d.t.Fatal(err)
	}
	return by
}

// end ends a grant as the operator.
func (d *desk) end(id string) {
	d.t.Helper()
	if _, err := d.Revoke(d.t.Context(), operator(), grant.Filter{ID: id}, grant.Revoked, "wrong branch"); err != nil {
		d.t.Fatal(err)
	}
}

func dev() Asker {
	return Asker{Name: "user dev (uid 1000)", Subject: "dev", Issuer: "local", ClientID: "cli", Roles: []string{"reader", "writer"}, Via: "socket"}
}

func operator() Asker {
	return Asker{Name: "user root (uid 0)", Subject: "root", Issuer: "local", ClientID: "cli", AnyRole: true, Operator: true, Via: "socket"}
}

func ci() Asker {
	return Asker{Name: "ci:1", Subject: "ci:1", Issuer: "https://ci.example", ClientID: "ci", Roles: []string{"reader"}, Via: "federation:ci"}
}

// refusal returns the refusal that err must be.
func refusal(t testing.TB, err error) *Refusal {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("error = %v; want a *Refusal", err)
	}
	return r
}
