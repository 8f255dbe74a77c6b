package admin

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"sallyport/gateway/approval"
)

// withDesk starts a server with a desk on which a call of dev's waits for a writer.
func withDesk(t *testing.T) (*rig, *approval.Desk, string, *[]string, *error) {
	t.Helper()
	desk := approval.New(approval.Options{})
	var written []string
	var fails error
	r := start(t, func(o *Options) {
		o.Approvals = Approvals{Desk: desk, Record: func(_ context.Context, by approval.Approver, ticket approval.Ticket, approve bool, why string) error {
			if fails == nil {
				written = append(written, by.Name+" "+ticket.ID+" "+why)
			}
			return fails
		}}
	})
	ticket, _, err := desk.Ask(approval.Call{Method: "tools/call", Server: "ci", Tool: "deploy", Digest: "d", Subject: "other", Issuer: gatewayURL,
		Grant: "gr_1", By: "writer", Arguments: json.RawMessage(`{"to":"prod"}`)})
	if err != nil {
		t.Fatal(err)
	}
	return r, desk, ticket.ID, &written, &fails
}

func TestACallIsDecidedByWhomItConcernsAndOnRecordFirst(t *testing.T) {
	r, desk, id, written, fails := withDesk(t)
	ctx := t.Context()
	_, err := r.as(t, other).DecideCall(ctx, ApprovalAsk{ID: id, Approve: true})
	wantRefusal(t, "by the caller", err, "access_denied", id+` is a call of your own ("other"); somebody else must decide about it`)
	_, err = r.as(t, stranger).DecideCall(ctx, ApprovalAsk{ID: id, Approve: true})
	if err == nil {
		t.Error("somebody without any rule decided")
	}
	*fails = errors.New("disk full")
	if _, err := r.as(t, dev).DecideCall(ctx, ApprovalAsk{ID: id, Approve: true}); err == nil {
		t.Error("decided without a record")
	}
	if got := desk.List(approval.Approver{Operator: true}); got[0].State != approval.Pending {
		t.Errorf("after a record that failed it is %s; want pending", got[0].State)
	}
	*fails = nil
	_, err = r.as(t, dev).DecideCall(ctx, ApprovalAsk{ID: id, Approve: true, Why: strings.Repeat("x", 501)})
	wantRefusal(t, "a long reason", err, "invalid_request", "the reason has 501 bytes; a model has to read it, so it has at most 500")
	list, err := r.as(t, dev).Waiting(ctx)
	if err != nil || len(list) != 1 || string(list[0].Arguments) != `{"to":"prod"}` {
		t.Errorf("Waiting = %+v, %v", list, err)
	}
	got, err := r.as(t, dev).DecideCall(ctx, ApprovalAsk{ID: id, Approve: true, Why: "ok"})
	if err != nil || got.State != approval.Approved {
		t.Fatalf("DecideCall = %+v, %v", got, err)
	}
	if want := "user dev (uid 1001) " + id + " ok"; len(*written) != 1 || (*written)[0] != want {
		t.Errorf("record %q; want %q", *written, want)
	}
	_, err = r.as(t, operator).DecideCall(ctx, ApprovalAsk{ID: id, Approve: false})
	if err == nil || !strings.Contains(err.Error(), id+" has been approved already, by user dev (uid 1001)") {
		t.Errorf("given twice: %v", err)
	}
}

func TestWithoutADeskNothingWaits(t *testing.T) {
	r := start(t)
	_, err := r.as(t, operator).Waiting(t.Context())
	wantRefusal(t, "list", err, "not_found", "this gateway has no calls that wait for a person")
	_, err = r.as(t, operator).DecideCall(t.Context(), ApprovalAsk{ID: "ap_x"})
	wantRefusal(t, "decide", err, "not_found", "this gateway has no calls that wait for a person")
}

// Of people who decide at the same moment one does, and the record has no decision but that.
func TestOfRacingDecisionsOneIsRecordedAndCounts(t *testing.T) {
	r, desk, id, written, _ := withDesk(t)
	r.uid.Store(dev)
	var made atomic.Int64
	var all sync.WaitGroup
	for i := range 8 {
		all.Go(func() {
			c := Dial(r.path)
			defer c.Close()
			if _, err := c.DecideCall(t.Context(), ApprovalAsk{ID: id, Approve: i%2 == 0}); err == nil {
				made.Add(1)
			}
		})
	}
	all.Wait()
	if made.Load() != 1 || len(*written) != 1 {
		t.Errorf("%d decisions were made and %d recorded; want one: %q", made.Load(), len(*written), *written)
	}
	if got := desk.List(approval.Approver{Operator: true})[0]; got.State == approval.Pending || got.DecidedBy != "user dev (uid 1001)" {
		t.Errorf("the ticket is %s, by %q", got.State, got.DecidedBy)
	}
}
