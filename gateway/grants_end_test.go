package gateway

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/wire"
	"sallyport/identity/grant"
)

// Revoking a grant ends what it was doing: the server's side is cancelled, in both eras, and the
// client is told.
func TestRevocationEndsCallsInFlight(t *testing.T) {
	for name, body := range map[string]string{"legacy": readCall, "modern": modernCall("read_file", `{"path":"/srv/a"}`)} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t)
			reached, cancelled := make(chan struct{}), make(chan struct{})
			f.up.answer = func(ctx context.Context, _ Outbound) (*Reply, error) {
				close(reached)
				<-ctx.Done()
				close(cancelled)
				return nil, errors.Join(ErrUnreachable, ctx.Err())
			}
			id, token := f.under(grant.Grant{})
			var headers []string
			if name == "modern" {
				headers = modernHeaders(wire.MethodToolsCall, "read_file")
			}
			answer := make(chan int)
			go func() { answer <- f.post(token, body, headers...).Code }()
			<-reached
			f.revoke(id)
			<-cancelled
			if code := <-answer; code != http.StatusUnauthorized {
				t.Errorf("answered %d; want 401", code)
			}
			if r := f.rec.last(); r.Code != "unauthenticated" || !strings.Contains(r.Detail, grant.ErrRevoked.Error()) {
				t.Errorf("recorded %q, %q; want unauthenticated and that it was revoked", r.Code, r.Detail)
			}
		})
	}
}

// In the older era the server goes on when a connection breaks, so it is told.
func TestRevocationIsToldToAServerOfTheOlderEra(t *testing.T) {
	f := newFixture(t)
	f.withSession("s1")
	id, token := f.under(grant.Grant{})
	f.post(token, initialize)
	reached := make(chan struct{})
	f.up.answer = func(ctx context.Context, _ Outbound) (*Reply, error) {
		close(reached)
		<-ctx.Done()
		return nil, errors.Join(ErrUnreachable, ctx.Err())
	}
	answer := make(chan int)
	go func() { answer <- f.post(token, readCall, wire.HeaderSession, "s1").Code }()
	<-reached
	f.revoke(id)
	if code := <-answer; code != http.StatusUnauthorized {
		t.Errorf("answered %d; want 401", code)
	}
	eventually(t, "the server is told", func() bool {
		for _, out := range f.up.errands() {
			if strings.Contains(string(out.Body), `"method":"notifications/cancelled","params":{"requestId":7}`) && out.Header.Get(wire.HeaderSession) == "s1" {
				return true
			}
		}
		return false
	})
}

// A parent's end is its children's.
func TestRevokingAParentEndsItsChildren(t *testing.T) {
	f := newFixture(t)
	parent, _ := f.under(grant.Grant{Tools: []string{"files.*"}, MaxCalls: 2})
	_, token := f.under(grant.Grant{Parent: parent, Tools: []string{"files.read_*"}, Expires: time.Now().Add(time.Minute)})
	if got := toolText(f.post(token, readCall).Body.String()); got != "ok" {
		t.Fatalf("under a child: %s", got)
	}
	if status, _ := f.issuer.Grants.Get(parent); *status.CallsLeft != 1 {
		t.Errorf("the parent has %d calls left; want 1: a child's calls are its own too", *status.CallsLeft)
	}
	f.revoke(parent)
	if w := f.post(token, readCall); w.Code != http.StatusUnauthorized {
		t.Errorf("%d %s; want 401", w.Code, w.Body)
	}
}

// The end of a grant ends its sessions, here and at the server.
func TestTheEndOfAGrantEndsItsSessions(t *testing.T) {
	f := newFixture(t)
	f.withSession("s1")
	f.issuer.Grants.OnEnd(func(ids []string) {
		for _, id := range ids {
			f.g.EndGrants([]Party{{Grant: id, Subject: "ann"}})
		}
	})
	id, token := f.under(grant.Grant{})
	f.post(token, initialize)
	f.post(f.other, strings.Replace(initialize, `"t"`, `"other"`, 1))
	f.revoke(id)
	if f.g.sessions.Owned("files", "s1", "anything") {
		t.Error("the session is somebody's")
	}
	eventually(t, "the server is told", func() bool {
		for _, out := range f.up.errands() {
			if out.Method == http.MethodDelete && out.Header.Get(wire.HeaderSession) == "s1" {
				return true
			}
		}
		return false
	})
}
