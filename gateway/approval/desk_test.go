package approval

import (
	"encoding/json"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var deploy = Call{Method: "tools/call", Server: "ci", Tool: "deploy", Digest: "d1", Subject: "alice", Issuer: "i", Client: "c", Grant: "gr_1",
	Task: "T", PolicyRevision: "r1", By: "release-manager", Arguments: json.RawMessage(`{"to":"prod"}`)}

var bob = Approver{Name: "bob", Subject: "bob", Issuer: "i", Roles: []string{"release-manager"}}

// clock is a time that a test moves.
type clock struct{ now time.Time }

func desk(o Options) (*Desk, *clock) {
	c := &clock{time.Date(2026, 11, 25, 12, 0, 0, 0, time.UTC)}
	o.Now = func() time.Time { return c.now }
	return New(o), c
}

func ask(t *testing.T, d *Desk, c Call) (Ticket, bool) {
	t.Helper()
	ticket, ok, err := d.Ask(c)
	if err != nil {
		t.Fatal(err)
	}
	return ticket, ok
}

func TestAnApprovalIsForOneCallAndCountsOnce(t *testing.T) {
	d, _ := desk(Options{})
	first, ok := ask(t, d, deploy)
	if ok || first.State != Pending {
		t.Fatalf("asked first: %+v %v", first, ok)
	}
	if again, ok := ask(t, d, deploy); ok || again.ID != first.ID {
		t.Errorf("asked again: %s %v; want the same ticket %s", again.ID, ok, first.ID)
	}
	if _, err := d.Decide(first.ID, bob, true, "looks right"); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Call){
		"method": func(c *Call) { c.Method = "prompts/get" }, "server": func(c *Call) { c.Server = "x" }, "tool": func(c *Call) { c.Tool = "x" },
		"arguments": func(c *Call) { c.Digest = "x" }, "subject": func(c *Call) { c.Subject = "x" }, "issuer": func(c *Call) { c.Issuer = "x" },
		"client": func(c *Call) { c.Client = "x" }, "grant": func(c *Call) { c.Grant = "x" }, "task": func(c *Call) { c.Task = "x" },
		"policy": func(c *Call) { c.PolicyRevision = "x" }, "role": func(c *Call) { c.By = "x" },
	} {
		other := deploy
		change(&other)
		if _, ok := ask(t, d, other); ok {
			t.Errorf("another %s takes the approval", name)
		}
	}
	if used, ok := ask(t, d, deploy); !ok || used.DecidedBy != "bob" || used.ID != first.ID {
		t.Errorf("the same call: %+v %v; want the approval", used, ok)
	}
	if next, ok := ask(t, d, deploy); ok || next.ID == first.ID {
		t.Errorf("once more: %+v %v; want a new ticket", next, ok)
	}
}

func TestRacingCallsTakeOneApproval(t *testing.T) {
	d, _ := desk(Options{})
	first, _ := ask(t, d, deploy)
	if _, err := d.Decide(first.ID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	var taken atomic.Int64
	var all sync.WaitGroup
	for range 50 {
		all.Go(func() {
			if _, ok, _ := d.Ask(deploy); ok {
				taken.Add(1)
			}
		})
	}
	all.Wait()
	if n := taken.Load(); n != 1 {
		t.Errorf("%d calls took one approval", n)
	}
}

func TestWhoMayNotDecideIsToldWhy(t *testing.T) {
	d, c := desk(Options{TTL: time.Minute})
	ticket, _ := ask(t, d, deploy)
	for _, tt := range []struct {
		by       Approver
		id, want string
	}{
		{Approver{Name: "alice", Subject: "alice", Issuer: "i", Operator: true}, ticket.ID, ticket.ID + " is a call of your own (\"alice\"); somebody else must decide about it"},
		{Approver{Name: "alice", Subject: "alice", Issuer: "i", Roles: bob.Roles}, ticket.ID, ticket.ID + " is a call of your own (\"alice\"); somebody else must decide about it"},
		{Approver{Name: "eve", Subject: "eve", Issuer: "i", Roles: []string{"reader"}}, ticket.ID, ticket.ID + ` wants the role "release-manager", which you have not`},
		{Approver{Name: "alice", Subject: "alice", Issuer: "the gateway's name before", Operator: true}, ticket.ID, ticket.ID + ` is a call of your own ("alice")`},
		{bob, "ap_no", "no call waits under \"ap_no\": it has lapsed, or there never was one; see `sallyport approvals list`"},
	} {
		if _, err := d.Decide(tt.id, tt.by, true, ""); err == nil || !strings.HasPrefix(err.Error(), tt.want) {
			t.Errorf("%s: %v; want %s", tt.by.Name, err, tt.want)
		}
	}
	if _, err := d.Decide(ticket.ID, Approver{Name: "root", Subject: "root", Operator: true}, false, "not today"); err != nil {
		t.Errorf("an operator: %v", err)
	}
	_, err := d.Decide(ticket.ID, bob, true, "")
	if want := ticket.ID + " has been denied already, by root at 2026-11-25T12:00:00Z"; err == nil || err.Error() != want {
		t.Errorf("given twice: %v; want %s", err, want)
	}
	other := deploy
	other.Digest = "d2"
	late, _ := ask(t, d, other)
	c.now = c.now.Add(time.Minute)
	if _, err := d.Decide(late.ID, bob, true, ""); err == nil || !strings.Contains(err.Error(), "it has lapsed") {
		t.Errorf("late: %v", err)
	}
}

func TestAnApprovalLapses(t *testing.T) {
	d, c := desk(Options{TTL: time.Minute})
	ticket, _ := ask(t, d, deploy)
	c.now = c.now.Add(59 * time.Second)
	if _, err := d.Decide(ticket.ID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	c.now = c.now.Add(time.Minute)
	if _, ok := ask(t, d, deploy); ok {
		t.Error("an approval that has lapsed is taken")
	}
}

func TestADeniedCallIsToldSoUntilThatLapses(t *testing.T) {
	d, c := desk(Options{TTL: time.Minute})
	ticket, _ := ask(t, d, deploy)
	if _, err := d.Decide(ticket.ID, bob, false, "wrong branch"); err != nil {
		t.Fatal(err)
	}
	got, ok := ask(t, d, deploy)
	if want := "A person was asked to approve this call and denied it (" + ticket.ID + "): wrong branch. Do not repeat it; do something else, or say why you cannot."; ok || got.Advice() != want {
		t.Errorf("%v %s; want %s", ok, got.Advice(), want)
	}
	c.now = c.now.Add(time.Minute)
	if next, _ := ask(t, d, deploy); next.State != Pending || next.ID == ticket.ID {
		t.Errorf("a minute later: %+v; want a new ticket", next)
	}
}

func TestTheModelIsToldWhatToDo(t *testing.T) {
	d, _ := desk(Options{})
	ticket, _ := ask(t, d, deploy)
	want := "This call needs a person's approval: " + ticket.ID + ". Ask one with the role \"release-manager\" to run `sallyport approvals approve " + ticket.ID +
		"`, then make exactly the same call again. Until then go on with other work. The request lapses at 2026-11-25T12:15:00Z."
	if got := ticket.Advice(); got != want {
		t.Errorf("%s; want %s", got, want)
	}
}

func TestWhatWaitsIsBounded(t *testing.T) {
	d, _ := desk(Options{PerRoot: 2, PerSubject: 3, Most: 4})
	one := func(subject, root, grant, digest string) error {
		c := deploy
		c.Subject, c.Root, c.Grant, c.Digest = subject, root, grant, digest
		_, _, err := d.Ask(c)
		return err
	}
	for _, tt := range []struct{ subject, root, grant, digest, want string }{
		{"alice", "a", "a", "1", ""},
		{"alice", "a", "a-child", "2", ""},
		{"alice", "a", "a-child", "2", ""}, // again
		{"alice", "a", "a-child-too", "3", "2 calls of this grant wait for a person already; wait until one is decided"},
		{"alice", "b", "b", "1", ""},
		{"alice", "c", "c", "1", `3 calls of "alice" wait for a person already; wait until one is decided`},
		{"dana", "d", "d", "1", ""},
		{"erin", "e", "e", "1", "too many calls wait for a person; try again later"},
	} {
		got := ""
		if err := one(tt.subject, tt.root, tt.grant, tt.digest); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("%s %s %s: %q; want %q", tt.subject, tt.grant, tt.digest, got, tt.want)
		}
	}
	large := deploy
	large.Arguments = make([]byte, MaxArguments+1)
	if _, _, err := d.Ask(large); err == nil || err.Error() != "the call needs a person's approval and has 65543 bytes of arguments; a person can be shown 65536" {
		t.Errorf("large arguments: %v", err)
	}
	d.EndGrants([]string{"a"})
	if err := one("erin", "e", "e", "1"); err != nil {
		t.Errorf("after a grant has ended: %v", err)
	}
}

// Tickets whose call has been made are kept to be looked at, and go first when there is no room.
func TestCallsThatWereMadeKeepNobodyOut(t *testing.T) {
	d, c := desk(Options{Most: 2})
	var ids []string
	for _, digest := range []string{"1", "2", "3"} {
		call := deploy
		call.Digest = digest
		ticket, _ := ask(t, d, call)
		if _, err := d.Decide(ticket.ID, bob, true, ""); err != nil {
			t.Fatal(err)
		}
		if _, ok := ask(t, d, call); !ok {
			t.Fatal("the approval is not taken")
		}
		ids = append(ids, ticket.ID)
		c.now = c.now.Add(time.Second)
	}
	got := d.List(bob)
	if len(got) != 2 || got[0].ID != ids[1] || got[1].ID != ids[2] || got[0].State != Used {
		t.Errorf("kept: %+v; want the newest two, used", got)
	}
	if _, err := d.Decide(ids[2], bob, true, ""); err == nil || !strings.Contains(err.Error(), " has been used already, by bob at ") {
		t.Errorf("deciding what has been used: %v", err)
	}
}

// A policy that comes back brings no approval with it that was given before it went.
func TestApprovalsEndWithTheirPolicy(t *testing.T) {
	d, _ := desk(Options{})
	old, _ := ask(t, d, deploy)
	if _, err := d.Decide(old.ID, bob, true, ""); err != nil {
		t.Fatal(err)
	}
	d.EndPolicies("r2")
	d.EndPolicies(deploy.PolicyRevision)
	if next, ok := ask(t, d, deploy); ok || next.ID == old.ID {
		t.Errorf("under the policy that came back: %s %v; want a new ticket", next.State, ok)
	}
}

func TestTicketsAreSeenByWhomTheyConcern(t *testing.T) {
	d, _ := desk(Options{})
	ask(t, d, deploy)
	for _, tt := range []struct {
		who  Approver
		want int
	}{{bob, 1}, {Approver{Operator: true}, 1}, {Approver{Subject: "alice", Issuer: "i"}, 1}, {Approver{Subject: "alice", Issuer: "other"}, 0}, {Approver{}, 0}} {
		if got := len(d.List(tt.who)); got != tt.want {
			t.Errorf("%+v sees %d; want %d", tt.who, got, tt.want)
		}
	}
}
