package mint

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/grant"
)

// Grant makes a grant for the asker: no wider than his roles, no longer than MaxGrantTTL, and
// a child of the grant whose token he showed, if he showed one. It is on record before it
// exists. The error is a *Refusal that says what to change.
func (a *Authority) Grant(ctx context.Context, by Asker, ask Ask) (grant.Grant, error) {
	now := a.cfg.Now()
	g, err := a.draft(by, ask, now)
	if err != nil {
		return grant.Grant{}, err
	}
	if err := a.bounded(by, &g); err != nil {
		return grant.Grant{}, err
	}
	if err := a.cfg.Grants.Check(g); err != nil { // before the record, which is of acts alone
		return grant.Grant{}, refuseGrant(err)
	}
	if err := a.record(ctx, by, Act{Method: ActCreate, Subject: g.Subject, Client: g.ClientID, Grant: g.ID, Task: g.Task,
		Roles: g.Roles, Detail: describe(&g)}); err != nil {
		return grant.Grant{}, err
	}
	g, err = a.cfg.Grants.Create(ctx, g)
	if err != nil {
		return grant.Grant{}, refuseGrant(err)
	}
	return g, nil
}

// What one subject may have, of grants that live or have ended within a day, unless an operator makes
// them: memory and store hold them all.
const (
	maxHeld      = 2_000
	maxHeldBytes = 8 << 20
)

func (a *Authority) bounded(by Asker, g *grant.Grant) error {
	if by.Operator && by.Grant == "" {
		return nil
	}
	if h := a.cfg.Grants.Holding(g.Issuer, g.Subject); h.Grants >= maxHeld || h.Bytes >= maxHeldBytes {
		return &Refusal{Code: codeNotNow, Status: http.StatusTooManyRequests,
			Message: fmt.Sprintf("%s has %d grants of today already, and may have %d of %d MiB together; renew one instead of making another, or try again when they are a day old",
				g.Subject, h.Grants, maxHeld, maxHeldBytes>>20)}
	}
	return nil
}

// draft is the grant that the ask describes, after every rule that does not depend on other
// grants than the asker's own.
func (a *Authority) draft(by Asker, ask Ask, now time.Time) (grant.Grant, error) {
	if len(by.Actors) > 0 {
		return grant.Grant{}, refuse(codeDenied, "a token that acts for another (act) makes no grant: nobody approves themselves; ask whoever started this agent")
	}
	parent, err := a.parent(by, ask)
	if err != nil {
		return grant.Grant{}, err
	}
	g := grant.Grant{ID: grant.NewID(), Task: ask.Task, Tools: ask.Tools, Args: ask.Args, MaxCalls: ask.MaxCalls, Budgets: ask.Budgets,
		Created: now, JKT: ask.JKT, X5T: ask.X5T, Measured: ask.Measured, ApprovedBy: by.Name, Reason: ask.Reason,
		Via: by.via(), Implicit: ask.Implicit}
	if err := whose(&g, by, ask, parent); err != nil {
		return grant.Grant{}, err
	}
	if g.Roles, err = a.roles(by, ask.Roles, parent); err != nil {
		return grant.Grant{}, err
	}
	if err := times(&g, ask, parent, now); err != nil {
		return grant.Grant{}, err
	}
	for _, c := range ask.Args {
		if err := a.cfg.Constraint(c); err != nil {
			return grant.Grant{}, &Refusal{Code: codeDetails, Message: "the constraint for " + c.Tools + ": " + err.Error(), Status: 400, err: err}
		}
	}
	return g, a.checkKey(&g)
}

// checkKey refuses a key that no token could be bound to, and none where one is needed.
func (a *Authority) checkKey(g *grant.Grant) error {
	for _, part := range []struct{ name, value string }{{"key", g.JKT}, {"certificate", g.X5T}} {
		if part.value != "" && identity.CheckThumbprint(part.value) != nil {
			return refuse(codeRequest, "the %s's thumbprint is not a SHA-256 digest in base64url; take it from the tool that made the %s", part.name, part.name)
		}
	}
	if g.JKT == "" && g.X5T == "" && a.cfg.RequireProof(g.Roles) {
		return needsKey(g.Roles)
	}
	return nil
}

// needsKey is the refusal of access without a key where one is required.
func needsKey(roles []string) *Refusal {
	return refuse(codeProof, "%s: here only tokens that are bound to a key are given; use `sallyport connect` or `sallyport run`, which hold one, or a client certificate (--cert)", words("role", roles))
}

// parent returns the grant of the token that the asker showed, if any.
func (a *Authority) parent(by Asker, ask Ask) (*grant.Grant, error) {
	if by.Grant == "" {
		if ask.Child {
			return nil, refuse(codeRequest, "a child grant is made with the token of its parent, and none was shown; use `sallyport run` inside the task, or leave out that it is a child")
		}
		return nil, nil
	}
	live, err := a.live(by, by.Grant)
	if err != nil {
		return nil, err
	}
	return live.Grant(), nil
}

// whose fills in for whom the grant is.
func whose(g *grant.Grant, by Asker, ask Ask, parent *grant.Grant) error {
	g.Subject, g.Issuer, g.ClientID = by.Subject, by.Issuer, by.ClientID
	if parent != nil {
		// Client and task are what policies go by, so a child has its parent's.
		g.Parent, g.Subject, g.Issuer, g.ClientID = parent.ID, parent.Subject, parent.Issuer, parent.ClientID
		if g.Task != "" && g.Task != parent.Task {
			return refuse(codeDenied, "a child is for the task of its parent, %q; leave the task out", parent.Task)
		}
		g.Task = parent.Task
		g.Measured = cmp.Or(g.Measured, parent.Measured) // else it would have nothing that could have changed
	}
	if ask.Subject != "" && ask.Subject != g.Subject {
		if !by.Operator || parent != nil {
			return refuse(codeDenied, "only an operator makes grants for others; leave the subject out, it is %q", g.Subject)
		}
		g.Subject = ask.Subject
	}
	if ask.ClientID != "" && ask.ClientID != g.ClientID {
		if parent == nil && strings.HasPrefix(by.Via, viaRule) {
			return refuse(codeDenied, "the federation rule says who the client is (%q); leave it out", g.ClientID)
		}
		if parent != nil {
			g.Actors = chain(ask.ClientID, parent)
		} else {
			g.ClientID = ask.ClientID
		}
	} else if parent != nil {
		g.Actors = parent.Actors
	}
	for _, part := range []struct{ name, value, flag string }{{"subject", g.Subject, "--subject"}, {"client", g.ClientID, "--client"}} {
		if err := identity.CheckText(part.value); err != nil {
			return refuse(codeRequest, "the %s %s; name one (%s)", part.name, err, part.flag)
		}
	}
	return nil
}

// chain is who acts under a child with a client of its own, newest first (RFC 8693 §4.1).
func chain(client string, parent *grant.Grant) []string {
	if len(parent.Actors) == 0 {
		return []string{client, parent.ClientID}
	}
	return slices.Concat([]string{client}, parent.Actors)
}

// roles returns the roles that the grant gets.
func (a *Authority) roles(by Asker, asked []string, parent *grant.Grant) ([]string, error) {
	may, any := by.Roles, by.AnyRole
	if parent != nil {
		may, any = parent.Roles, false
	}
	if len(asked) == 0 {
		switch {
		case len(may) == 0 && any:
			return nil, refuse(codeRequest, "a grant needs at least one role, and you may have any; name one (--role)")
		case len(may) == 0:
			return nil, refuse(codeRequest, "a grant needs at least one role; name it (--role)")
		}
		asked = may
	}
	for _, role := range asked {
		if err := identity.CheckText(role); err != nil {
			return nil, refuse(codeRequest, "a role %s", err)
		}
		if err := a.cfg.Role(role); err != nil {
			return nil, &Refusal{Code: codeDenied, Message: err.Error(), Status: 400, err: err}
		}
		if any || slices.Contains(may, role) {
			continue
		}
		if parent != nil {
			return nil, refuse(codeDenied, "the role %q is wider than the grant %s, which has %s", role, parent.ID, words("role", may))
		}
		if len(may) == 0 {
			return nil, refuse(codeDenied, "%s may ask for no role here; the operator says who may (identity.local, identity.federation)", by.who())
		}
		return nil, refuse(codeDenied, "%s may not ask for the role %q, only for %s; the operator says who may (identity.local, identity.federation)", by.who(), role, words("role", may))
	}
	return slices.Compact(slices.Sorted(slices.Values(asked))), nil
}

// who names the asker in a refusal to himself.
func (by Asker) who() string {
	if by.Name != "" {
		return by.Name
	}
	return by.Subject
}

// times fills in when the grant begins and ends.
func times(g *grant.Grant, ask Ask, parent *grant.Grant, now time.Time) error {
	begin := now
	if ask.NotBefore.After(now) {
		begin = ask.NotBefore
		if begin.After(now.Add(MaxGrantTTL)) {
			return refuse(codeRequest, "a grant begins within 24h of being made, not at %s; make it later", begin.UTC().Format(time.RFC3339))
		}
		g.NotBefore = begin
	}
	ttl := ask.TTL
	if ttl == 0 {
		ttl = DefaultGrantTTL
		if parent != nil {
			ttl = min(ttl, parent.Expires.Sub(begin))
		}
	}
	if ttl < time.Second || ttl > MaxGrantTTL {
		return refuse(codeRequest, "a grant lives from 1s to 24h, not %s; ask for a shorter life (--ttl) and make a new one when the task goes on", ttl)
	}
	g.Expires = begin.Add(ttl)
	// In whole seconds, as tokens: one of a grant's whole life would else lack its last.
	if up := g.Expires.Add(time.Second - 1).Truncate(time.Second); !up.After(begin.Add(MaxGrantTTL)) {
		g.Expires = up
	}
	return nil
}

// refuseGrant says why the registry did not take a grant.
func refuseGrant(err error) error {
	if wrong, ok := errors.AsType[*grant.InvalidError](err); ok {
		refusal := refuse(codeDetails, "%s", wrong.Error())
		refusal.err = err
		return refusal
	}
	if errors.Is(err, grant.ErrStale) {
		return stale(err)
	}
	return unavailable(err, "the grant cannot be stored, so there is none; the gateway's log says why")
}

// words lists names behind their noun: "role a", "roles a, b".
func words(noun string, names []string) string {
	if len(names) != 1 {
		noun += "s"
	}
	return noun + " " + strings.Join(names, ", ")
}

// describe says for the record what a grant allows. Constraints are counted: their text may be
// long, and the grant itself keeps it.
func describe(g *grant.Grant) string {
	parts := []string{"until " + g.Expires.UTC().Format(time.RFC3339)}
	if g.Parent != "" {
		parts = append(parts, "child of "+g.Parent)
	}
	if len(g.Tools) > 0 {
		parts = append(parts, words("tool", g.Tools))
	}
	if len(g.Args) > 0 {
		parts = append(parts, fmt.Sprintf("constraints on arguments: %d", len(g.Args)))
	}
	if g.MaxCalls > 0 {
		parts = append(parts, fmt.Sprintf("%d calls", g.MaxCalls))
	}
	for _, b := range g.Budgets {
		parts = append(parts, fmt.Sprintf("%d calls of %s", b.Calls, b.Tools))
	}
	parts = append(parts, proofOf(g.JKT, g.X5T))
	if g.Reason != "" {
		parts = append(parts, "because: "+g.Reason)
	}
	return strings.Join(parts, "; ")
}
