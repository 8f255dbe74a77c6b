package identitytest

import (
	"strings"
	"testing"
	"time"

	"sallyport/identity/grant"
)

// WithGrants gives the issuer grants of its own, in memory, which end with the test: from now on
// each of its tokens names one. Tokens for the same subject and roles name the same.
func (i *Issuer) WithGrants(t testing.TB) *Issuer {
	t.Helper()
	store := grant.NewMemory()
	registry, err := grant.NewRegistry(t.Context(), store, grant.Options{Now: i.Now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = registry.Close()
		_ = store.Close() // it keeps nothing
	})
	i.Store, i.Grants, i.granted = store, registry, map[string]string{}
	return i
}

// grantFor returns the grant of a subject with roles, made at the first time.
func (i *Issuer) grantFor(subject string, roles []string) string {
	i.mu.Lock()
	defer i.mu.Unlock()
	key := subject + "\x00" + strings.Join(roles, "\x00")
	if id := i.granted[key]; id != "" {
		return id
	}
	id := i.Grant(grant.Grant{Subject: subject, Roles: roles})
	i.granted[key] = id
	return id
}

// Grant makes a grant and returns its id. What is empty is of the client "test" and lives an hour.
func (i *Issuer) Grant(g grant.Grant) string {
	i.t.Helper()
	if g.ClientID == "" {
		g.ClientID = "test"
	}
	if g.Expires.IsZero() {
		g.Expires = i.Now().Add(time.Hour)
	}
	made, err := i.Grants.Create(i.t.Context(), g)
	if err != nil {
		i.t.Fatal(err)
	}
	return made.ID
}

// Under returns a good token for a grant.
func (i *Issuer) Under(id string) string {
	i.t.Helper()
	status, ok := i.Grants.Get(id)
	if !ok {
		i.t.Fatalf("no grant %s", id)
	}
	claims := i.claims(status.Subject, status.Roles)
	claims["grant"], claims["client_id"] = id, status.ClientID
	if status.Task != "" {
		claims["task"] = status.Task
	}
	return i.With(claims, nil)
}
