package mint

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/grant"
)

func TestTokenOfAGrantMakesOnlyChildrenOfIt(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{Roles: []string{"reader"}, Tools: []string{"files.*"}, Task: "T-1", TTL: 30 * time.Minute})
	by := d.holderOf(parent)
	child := d.grant(by, Ask{Tools: []string{"files.read_*"}, MaxCalls: 3})
	want := parent
	want.ID, want.Parent, want.Depth, want.Tools, want.MaxCalls = child.ID, parent.ID, 2, []string{"files.read_*"}, 3
	want.ApprovedBy, want.Via, want.Rev = "dev", "token", child.Rev
	if diff := cmp.Diff(want, child); diff != "" {
		t.Errorf("child (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(child.ID, d.acts[len(d.acts)-1].Grant); diff != "" || !strings.Contains(d.acts[len(d.acts)-1].Detail, "child of "+parent.ID) {
		t.Errorf("record = %+v; want that of a child of %s", d.acts[len(d.acts)-1], parent.ID)
	}
	if got := d.grant(by, Ask{Child: true}); got.Parent != parent.ID || got.Expires != parent.Expires || len(got.Tools) != 0 {
		t.Errorf("a child without wishes = %+v; want it to end with its parent", got)
	}
}

// A child may have a client of its own, which then acts for the subject and makes no grant.
func TestChildWithAnotherClientActsForTheSubject(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{Roles: []string{"reader"}, ClientID: "claude"})
	child := d.grant(d.holderOf(parent), Ask{ClientID: "sub-agent"})
	_, who := d.token(d.holderOf(child), TokenAsk{Grant: child.ID})
	if diff := cmp.Diff([]string{"sub-agent", "claude"}, who.Actors); diff != "" || who.Subject != "dev" || who.ClientID != "claude" {
		t.Errorf("principal = %+v; want dev, for whom sub-agent acts for claude", who)
	}
	_, err := d.Grant(t.Context(), d.holderOf(child), Ask{})
	if r := refusal(t, err); r.Code != "access_denied" || !strings.HasPrefix(r.Message, "a token that acts for another (act) makes no grant: nobody approves themselves") {
		t.Errorf("a grant by the sub-agent: %s %s; want it refused", r.Code, r.Message)
	}
}

func TestChildIsNoWiderThanItsParent(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{Roles: []string{"reader"}, Tools: []string{"files.read_*"}, MaxCalls: 5, TTL: 30 * time.Minute, JKT: thumb('k')})
	by := d.holderOf(parent)
	by.Roles = []string{"reader", "writer"} // what the asker says beyond his grant counts for nothing
	for _, tt := range []struct {
		name string
		ask  Ask
		want string
	}{
		{"role", Ask{Roles: []string{"writer"}, JKT: thumb('k')}, `the role "writer" is wider than the grant ` + parent.ID + ", which has role reader"},
		{"tools", Ask{Tools: []string{"files.*"}, JKT: thumb('k')}, "tools: files.* is wider than the parent's files.read_*"},
		{"calls", Ask{MaxCalls: 6, JKT: thumb('k')}, "max_calls: 6 is more than the parent's 5"},
		{"life", Ask{TTL: time.Hour, JKT: thumb('k')}, "expires: 2027-01-15T09:00:00Z is after the end of the parent, 2027-01-15T08:30:00Z; ask for less time"},
		{"key", Ask{}, "jkt: the parent is bound to a key, so its child must be bound to one, too"},
		{"subject", Ask{Subject: "root", JKT: thumb('k')}, `only an operator makes grants for others; leave the subject out, it is "dev"`},
	} {
		_, err := d.Grant(t.Context(), by, tt.ask)
		if r := refusal(t, err); r.Message != tt.want {
			t.Errorf("%s: %s\nwant %s", tt.name, r.Message, tt.want)
		}
	}
	if n := len(d.acts); n != 1 {
		t.Errorf("%d acts are on record; want that of the parent alone", n)
	}
}

func TestGrantsAreFourDeep(t *testing.T) {
	d := newDesk(t)
	g := d.grant(dev(), Ask{})
	for range grant.MaxDepth - 1 {
		g = d.grant(d.holderOf(g), Ask{})
	}
	_, err := d.Grant(t.Context(), d.holderOf(g), Ask{})
	if r := refusal(t, err); r.Message != "parent: "+g.ID+" is at depth 4, the last; ask its parent for a grant instead" {
		t.Errorf("a fifth level: %s", r.Message)
	}
}

func TestEndedGrantHasNoMoreChildren(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{})
	by := d.holderOf(parent)
	d.end(parent.ID)
	_, err := d.Grant(t.Context(), by, Ask{})
	if r := refusal(t, err); r.Message != "the grant "+parent.ID+" ended: revoked by user root (uid 0) (wrong branch); ask for a new one" {
		t.Errorf("a child of an ended grant: %s", r.Message)
	}
}

// Policies go by client, task and measured files, so a child cannot say others than its parent.
func TestChildKeepsWhatPoliciesGoBy(t *testing.T) {
	d := newDesk(t)
	parent := d.grant(dev(), Ask{Roles: []string{"reader"}, Task: "T-1", Measured: "digest"})
	child := d.grant(d.holderOf(parent), Ask{ClientID: "deploy-bot"})
	if child.ClientID != parent.ClientID || child.Task != "T-1" || child.Measured != "digest" {
		t.Errorf("child %+v; want client, task and digest of its parent", child)
	}
	free := d.grant(dev(), Ask{Roles: []string{"reader"}})
	for _, of := range []grant.Grant{parent, free} {
		_, err := d.Grant(t.Context(), d.holderOf(of), Ask{Task: "deploy"})
		if r := refusal(t, err); r.Code != "access_denied" || !strings.HasPrefix(r.Message, "a child is for the task of its parent, ") {
			t.Errorf("task deploy below %q: %s %s; want it refused", of.Task, r.Code, r.Message)
		}
	}
}
