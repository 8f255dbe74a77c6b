package mint

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/grant"
)

// Token signs a token of a grant that is there and lives; it never makes one, so that renewal
// cannot undo a revocation. The token ends with the grant, with what the asker showed, and
// after 15 minutes at the latest, and is bound to the key that the grant is bound to. The
// error is a *Refusal.
func (a *Authority) Token(ctx context.Context, by Asker, ask TokenAsk) (string, Claims, error) {
	live, err := a.live(by, ask.Grant)
	if err != nil {
		return "", Claims{}, err
	}
	g := live.Grant()
	if err := a.mayHold(by, g); err != nil {
		return "", Claims{}, err
	}
	if err := a.bound(g, ask); err != nil {
		return "", Claims{}, err
	}
	now := a.cfg.Now()
	ttl, err := a.life(g, by, ask, now)
	if err != nil {
		return "", Claims{}, err
	}
	token, claims, err := a.cfg.Issuer.mint(Request{Subject: g.Subject, ClientID: g.ClientID, Roles: g.Roles, TTL: ttl,
		Grant: g.ID, Task: g.Task, JKT: ask.JKT, X5T: ask.X5T, Measured: ask.Measured, Actors: g.Actors}, now)
	if err != nil {
		return "", Claims{}, &Refusal{Code: codeRequest, Message: err.Error(), Status: 400, err: err}
	}
	// On record before anybody has it: until the return the token exists in this function alone.
	if err := a.record(ctx, by, Act{Method: ActMint, Subject: g.Subject, Client: g.ClientID, Grant: g.ID, Task: g.Task,
		JTI: claims.ID, Roles: g.Roles, Detail: proofOf(ask.JKT, ask.X5T)}); err != nil {
		return "", Claims{}, err
	}
	return token, claims, nil
}

// live finds a living grant that the asker may act for. Another's grant is refused in the words
// of one that does not exist.
func (a *Authority) live(by Asker, id string) (*grant.Live, error) {
	if id == "" {
		return nil, refuse(codeRequest, "name the grant that the token is for (--grant); `sallyport grant list` shows yours")
	}
	status, ok := a.cfg.Grants.Get(id)
	if !ok || !a.speaksFor(by, &status.Grant) {
		return nil, refuse(codeGrant, "there is no grant %q of yours; `sallyport grant list` shows those that are, `sallyport grant create` makes one", id)
	}
	live, err := a.cfg.Grants.Find(id)
	switch {
	case err == nil:
		return live, nil
	case errors.Is(err, grant.ErrStale):
		return nil, stale(err)
	case errors.Is(err, grant.ErrNotYet):
		return nil, refuse(codeGrant, "the grant %s begins at %s; wait until then", id, status.NotBefore.UTC().Format(time.RFC3339))
	}
	refusal := refuse(codeGrant, "the grant %s ended: %s; ask for a new one", id, ending(status, err))
	refusal.err = err
	return nil, refusal
}

func stale(err error) *Refusal {
	return unavailable(err, "the store of grants does not answer, so none counts as live; try again, and see the gateway's log if it lasts")
}

// ending says how a grant ended.
func ending(s grant.Status, err error) string {
	if s.State == grant.Expired || errors.Is(err, grant.ErrExpired) {
		return "it expired at " + s.Expires.UTC().Format(time.RFC3339)
	}
	how := "an ancestor of it has ended"
	if s.State == grant.Revoked || s.State == grant.Completed {
		how = string(s.State)
	}
	if s.EndedBy != "" {
		how += " by " + s.EndedBy
	}
	if s.EndedWhy != "" {
		how += fmt.Sprintf(" (%s)", s.EndedWhy)
	}
	return how
}

// speaksFor reports whether the asker may get tokens of a grant, end it and see it.
func (a *Authority) speaksFor(by Asker, g *grant.Grant) bool {
	if by.Grant != "" {
		return a.within(g, by.Grant) && (by.Operator || by.owns(g))
	}
	return by.Operator || by.owns(g)
}

// within reports whether g is the grant root or below it: a token of a grant reaches nothing
// beside or above that, though it be of the same subject.
func (a *Authority) within(g *grant.Grant, root string) bool {
	for range grant.MaxDepth {
		if g.ID == root {
			return true
		}
		parent, ok := a.cfg.Grants.Get(g.Parent)
		if !ok {
			return false
		}
		g = &parent.Grant
	}
	return false
}

// mayHold refuses tokens with a role that the rule by which the asker got the grant does not
// give him any more, and those with a role that another rule has given: who comes by a rule gets no
// more than that rule gives. What an operator has made stands.
func (a *Authority) mayHold(by Asker, g *grant.Grant) error {
	root, ok := a.cfg.Grants.Get(g.Root)
	switch {
	case by.Operator || by.AnyRole || ok && root.Via == viaOperator:
		return nil
	case ok && by.via() != root.Via && !strings.HasPrefix(by.via(), viaRule):
		return nil
	}
	for _, role := range g.Roles {
		if !slices.Contains(by.Roles, role) {
			return refuse(codeGrant, "the grant %s has the role %q, which %s may not have any more; ask for a new grant without it", g.ID, role, by.who())
		}
	}
	return nil
}

// bound refuses a token that is not bound as its grant is.
func (a *Authority) bound(g *grant.Grant, ask TokenAsk) error {
	if g.JKT != "" && ask.JKT != g.JKT || g.X5T != "" && ask.X5T != g.X5T {
		return refuse(codeGrant, "the grant %s is bound to a key, and gives tokens to the holder of that key alone; use the `sallyport connect` or `run` that made it, or make a grant of your own", g.ID)
	}
	if ask.JKT == "" && ask.X5T == "" && a.cfg.RequireProof(g.Roles) {
		return needsKey(g.Roles)
	}
	return nil
}

// life is how long a token of g lives: as asked or as usual, and never past the end of the
// grant, of what the asker showed, and of identity.MaxLifetime. Ends count in whole seconds
// as exp does, from the second in which the token is issued.
func (a *Authority) life(g *grant.Grant, by Asker, ask TokenAsk, now time.Time) (time.Duration, error) {
	ttl := ask.TTL
	if ttl == 0 {
		ttl = a.cfg.Issuer.defaultTTL()
	}
	if err := CheckTTL(ttl); err != nil {
		return 0, &Refusal{Code: codeRequest, Message: err.Error(), Status: 400, err: err}
	}
	for _, end := range []time.Time{g.Expires, by.Until} {
		if end.IsZero() {
			continue
		}
		ttl = min(ttl, time.Duration(end.Unix()-now.Unix())*time.Second)
	}
	if ttl < time.Second {
		return 0, refuse(codeGrant, "less than a second is left of the grant %s or of the token that you showed; ask for a new one", g.ID)
	}
	return min(ttl, identity.MaxLifetime), nil
}

// proofOf says for the record what a grant or token is bound to.
func proofOf(jkt, x5t string) string {
	switch {
	case jkt != "" && x5t != "":
		return "bound to key " + jkt + " and certificate " + x5t
	case jkt != "":
		return "bound to key " + jkt
	case x5t != "":
		return "bound to certificate " + x5t
	}
	return "bearer"
}

// askerOf is the holder of a token of ours: what its grant says, not what the token repeats of it.
// Without a live grant he is nobody.
func (a *Authority) askerOf(who *identity.Principal) (Asker, error) {
	live, err := a.cfg.Grants.Find(who.Grant)
	if err != nil {
		return Asker{}, err
	}
	g := live.Grant()
	if g.Subject != who.Subject || who.Subject == "" {
		return Asker{}, errors.New("the token and its grant have different subjects")
	}
	return Asker{Name: who.Subject, Subject: who.Subject, Issuer: g.Issuer, ClientID: g.ClientID, Roles: g.Roles,
		Grant: g.ID, Actors: g.Actors, Until: who.Expires, Via: "token"}, nil
}
