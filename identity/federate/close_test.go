package federate

import (
	"errors"
	"net/http"
	"sync/atomic"
	"testing"
)

// A reload takes over the keys that were read: an issuer that is down then costs nothing.
func TestKeysGoOverToTheNextFederation(t *testing.T) {
	i := newIssuer(t, "idp")
	var fetches atomic.Int64
	var up atomic.Bool
	up.Store(true)
	url := serve(t, func(w http.ResponseWriter, r *http.Request) {
		if fetches.Add(1); !up.Load() {
			w.WriteHeader(500)
			return
		}
		answer("application/json", i.set())(w, r)
	})
	rule := Rule{Name: "idp", Issuer: "https://idp.example", Audience: gateway, JWKSURL: url, Roles: []string{"r"}}
	token := i.token(t, githubClaims.but(doc{"iss": "https://idp.example"}), nil)
	taken := func(step string, f *Federation) {
		t.Helper()
		if _, err := f.Verify(t.Context(), token, SubjectToken); err != nil || fetches.Load() != 1 {
			t.Errorf("%s: %v, %d fetches; want it taken by the keys of the first", step, err, fetches.Load())
		}
	}
	first := federation(t, rule)
	taken("the first", first)
	up.Store(false)

	wrong := rule
	wrong.Roles = nil
	if _, err := New([]Rule{rule, wrong}, Options{Now: still, Previous: first}); err == nil {
		t.Fatal("a rule without roles was taken")
	}
	taken("after a reload that failed", first)

	abandoned, err := New([]Rule{rule}, Options{Now: still, Previous: first})
	if err != nil {
		t.Fatal(err)
	}
	abandoned.Close()
	abandoned.Close()
	taken("after one that was abandoned", first)

	rule.Name, rule.Roles = "renamed", []string{"other"}
	second, err := New([]Rule{rule}, Options{Now: still, Previous: first})
	if err != nil {
		t.Fatal(err)
	}
	first.Close()
	taken("the second", second)
	second.Close()

	third := federation(t, rule)
	if _, err := third.Verify(t.Context(), token, SubjectToken); !errors.Is(err, ErrKeys) || fetches.Load() != 2 {
		t.Errorf("one that is not the next of any: %v, %d fetches; want ErrKeys after one of its own", err, fetches.Load())
	}
}

// What a caller does with an identity changes no rule.
func TestIdentitiesShareNothing(t *testing.T) {
	i := newIssuer(t, "github")
	f := federation(t, githubRule(i.file(t)))
	for range 2 {
		id, err := f.Verify(t.Context(), i.token(t, githubClaims, nil), SubjectToken)
		if err != nil || id.Roles[0] != "ci-reader" {
			t.Fatalf("%v, %v; want ci-reader", id, err)
		}
		id.Roles[0] = "admin"
	}
}
