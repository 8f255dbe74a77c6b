package mint

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"sallyport/identity/grant"
)

// Revoke ends the asker's own grants that f names, or anybody's where he is an operator, with
// all their children, to grant.Revoked or grant.Completed. It returns those that it ended;
// none is no error, unless f named one by its id. What takes rights away waits for nothing: it is
// done first and recorded then. With grants, an error says what failed after they had ended; it is
// a *Refusal where the record did.
func (a *Authority) Revoke(ctx context.Context, by Asker, f grant.Filter, to grant.State, why string) ([]grant.Grant, error) {
	if to != grant.Revoked && to != grant.Completed {
		return nil, refuse(codeRequest, "a grant is ended as %s or %s, not as %q", grant.Revoked, grant.Completed, to)
	}
	if f == (grant.Filter{}) {
		return nil, refuse(codeRequest, "say which grants to end: an id, --task, --subject, --client, --key, --issuer or --all")
	}
	if len(why) > maxWhy {
		return nil, refuse(codeRequest, "the reason is longer than %d bytes; say it shorter", maxWhy)
	}
	found := a.alive(by, f)
	if len(found) == 0 {
		if f.ID != "" {
			_, err := a.live(by, f.ID)
			return nil, err
		}
		return nil, nil
	}
	act := Act{Method: ActRevoke, Detail: summary(found, to, why)}
	if len(found) == 1 {
		g := &found[0].Grant
		act.Subject, act.Client, act.Grant, act.Task, act.Roles = g.Subject, g.ClientID, g.ID, g.Task, g.Roles
	}
	var ended []grant.Grant
	var err error
	if by.Operator && by.Grant == "" {
		ended, err = a.cfg.Grants.Revoke(ctx, f, to, by.who(), why)
	} else {
		ended, err = a.each(ctx, by, found, to, why)
	}
	act.Source = by.source()
	if failed := a.cfg.Record(ctx, act); failed != nil {
		return ended, unavailable(errors.Join(failed, err),
			"the grants have ended, and the audit log could not be written, so that nothing says so; the gateway's log says why")
	}
	return ended, err
}

// each ends exactly the grants found: a filter by subject would also match another issuer's
// subject of the same name.
func (a *Authority) each(ctx context.Context, by Asker, found []grant.Status, to grant.State, why string) ([]grant.Grant, error) {
	var ended []grant.Grant
	var failed error
	for _, s := range found {
		more, err := a.cfg.Grants.Revoke(ctx, grant.Filter{ID: s.ID}, to, by.who(), why)
		ended = append(ended, more...)
		if err != nil {
			failed = err // go on: what can be ended is ended
		}
	}
	return ended, failed
}

// maxWhy bounds the reason that is kept with a grant, in bytes.
const maxWhy = 1024

// summary says for the record what is ended.
func summary(found []grant.Status, to grant.State, why string) string {
	const most = 20
	var b strings.Builder
	fmt.Fprintf(&b, "%s %d:", to, len(found))
	for i, s := range found {
		if i == most {
			b.WriteString(" …")
			break
		}
		b.WriteString(" " + s.ID)
	}
	if why != "" {
		b.WriteString("; " + why)
	}
	return b.String()
}

// alive lists the grants of List that have not ended.
func (a *Authority) alive(by Asker, f grant.Filter) []grant.Status {
	var out []grant.Status
	for _, s := range a.List(by, f) {
		switch s.State {
		case grant.Revoked, grant.Expired, grant.Completed:
		default:
			out = append(out, s)
		}
	}
	return out
}

// List returns the asker's own grants that f matches, or anybody's where he is an operator,
// newest first. The zero Filter matches none.
func (a *Authority) List(by Asker, f grant.Filter) []grant.Status {
	all := a.cfg.Grants.List(f)
	out := all[:0:0]
	for _, s := range all {
		if a.speaksFor(by, &s.Grant) {
			out = append(out, s)
		}
	}
	return out
}
