package admin

import (
	"context"
	"strings"
	"testing"

	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

func (r *rig) state(t *testing.T, id string) grant.Status {
	t.Helper()
	found, err := r.List(t.Context(), grant.Filter{ID: id})
	if err != nil || len(found) != 1 {
		t.Fatalf("grant %s = %v, %v", id, found, err)
	}
	return found[0]
}

func held(t *testing.T, r *rig) (*Held, string, context.CancelFunc) {
	t.Helper()
	c := r.as(t, dev)
	g, err := c.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	h, err := c.Hold(ctx, g.ID)
	if err != nil {
		t.Fatal(err)
	}
	r.as(t, operator)
	r.uid.Store(operator)
	return h, g.ID, cancel
}

func TestGrantIsCompletedWhenItsHolderGoes(t *testing.T) {
	for name, leave := range map[string]func(h *Held, cancel context.CancelFunc){
		"release": func(h *Held, _ context.CancelFunc) { h.Release() },
		"cancel":  func(_ *Held, cancel context.CancelFunc) { cancel() },
	} {
		t.Run(name, func(t *testing.T) {
			r := start(t)
			h, id, cancel := held(t, r)
			if g := r.state(t, id); g.State != grant.Active {
				t.Fatalf("held grant is %s; want active", g.State)
			}
			leave(h, cancel)
			eventually(t, "the grant is completed", func() bool { return r.state(t, id).State == grant.Completed })
			if g := r.state(t, id); g.EndedWhy != "its holder ended" {
				t.Errorf("ended because %q; want that its holder ended", g.EndedWhy)
			}
		})
	}
}

func TestHolderHearsThatItsGrantHasEnded(t *testing.T) {
	r := start(t)
	h, id, _ := held(t, r)
	if _, err := r.Revoke(t.Context(), grant.Filter{ID: id}, grant.Revoked, "lost laptop"); err != nil {
		t.Fatal(err)
	}
	how, err := h.Wait()
	if err != nil || !strings.Contains(how, "the grant "+id+" has ended: revoked") || !strings.Contains(how, "lost laptop") {
		t.Errorf("Wait = %q, %v; want who ended it and why", how, err)
	}
	_, err = r.Hold(t.Context(), id)
	wantRefusal(t, "hold what has ended", err, "invalid_grant", "has ended: revoked")
}

// A gateway that is started again must not end the tasks of the machine.
func TestGatewayThatStopsEndsNoGrant(t *testing.T) {
	r := start(t)
	h, id, _ := held(t, r)
	r.stop()
	if err := <-r.stopped; err != nil {
		t.Fatal(err)
	}
	r.stopped <- nil
	if how, err := h.Wait(); err == nil || err.Error() != "the gateway no longer watches over the grant" {
		t.Errorf("Wait = %q, %v; want that nobody watches", how, err)
	}
	for _, act := range r.recorded() {
		if act.Method == mint.ActRevoke {
			t.Errorf("act %v on grant %s; want none: the gateway only stops", act, id)
		}
	}
}

func TestNobodyHoldsTheGrantOfAnother(t *testing.T) {
	r := start(t)
	_, id, _ := held(t, r)
	_, err := r.as(t, other).Hold(t.Context(), id)
	wantRefusal(t, "another's grant", err, "not_found", "no grant of yours is called")
}

// Whoever holds as many grants as he may can still end them.
func TestHoldsLeaveRoomForOtherRequests(t *testing.T) {
	r := start(t)
	c := r.as(t, dev)
	g, err := c.Grant(t.Context(), mint.Ask{Roles: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	for range maxHolds {
		h, err := c.Hold(t.Context(), g.ID)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(h.Release)
	}
	if _, err := c.Hold(t.Context(), g.ID); err == nil || !strings.Contains(err.Error(), "64 grants of yours are held already") {
		t.Errorf("one more hold: %v", err)
	}
	if ended, err := c.Revoke(t.Context(), grant.Filter{ID: g.ID}, grant.Revoked, ""); err != nil || len(ended) != 1 {
		t.Errorf("revoke: %v, %v; want the grant ended", ended, err)
	}
}
