package admin

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"sallyport/identity/mint"
)

// fakePins remembers what was asked.
type fakePins struct {
	asked []string
	err   error
}

func (f *fakePins) Look(_ context.Context, server, kind, name string) (json.RawMessage, error) {
	f.asked = append(f.asked, fmt.Sprintf("look %s %s %s", server, kind, name))
	return json.RawMessage(`[]`), f.err
}

func (f *fakePins) Review(_ context.Context, who, server, kind, name, digest string) (json.RawMessage, error) {
	f.asked = append(f.asked, fmt.Sprintf("review by %s: %s %s %s %s", who, server, kind, name, digest))
	return json.RawMessage(`[{}]`), f.err
}

type refusedPins struct{}

func (refusedPins) Error() string { return "not approved: because" }
func (refusedPins) Refused() bool { return true }

func TestOnlyOperatorsLookAtPinsAndApprove(t *testing.T) {
	pins := &fakePins{}
	r := start(t, func(o *Options) { o.Pins = pins })
	ask := PinAsk{Server: "s", Kind: "tool", Name: "t", Digest: "sha256:1"}
	if got, err := r.Look(t.Context(), ask); err != nil || string(got) != "[]" {
		t.Errorf("Look = %s, %v", got, err)
	}
	if got, err := r.Review(t.Context(), ask); err != nil || string(got) != "[{}]" {
		t.Errorf("Review = %s, %v", got, err)
	}
	want := "look s tool t; review by user boss (uid 1000): s tool t sha256:1"
	if got := strings.Join(pins.asked, "; "); got != want {
		t.Errorf("asked %s; want %s", got, want)
	}
	r.uid.Store(dev)
	_ = r.Client.Close() // the next connection is another user's
	for _, err := range []error{second(r.Look(t.Context(), ask)), second(r.Review(t.Context(), ask))} {
		refused, ok := errors.AsType[*mint.Refusal](err)
		const text = "user dev is no operator, and only an operator may look at pinned definitions and approve them; the gateway's configuration says who is (identity.local)"
		if !ok || refused.Message != text || refused.Status != http.StatusForbidden {
			t.Errorf("dev: %v", err)
		}
	}
	if len(pins.asked) != 2 {
		t.Errorf("who is no operator reached the pins: %v", pins.asked)
	}
}

func second[T any](_ T, err error) error { return err }

func TestAReviewThatIsRefusedIsANo(t *testing.T) {
	r := start(t, func(o *Options) { o.Pins = &fakePins{err: refusedPins{}} })
	refused, ok := errors.AsType[*mint.Refusal](second(r.Review(t.Context(), PinAsk{})))
	if !ok || refused.Code != "refused" || refused.Status != http.StatusConflict || refused.Message != "not approved: because" {
		t.Errorf("Review = %+v", refused)
	}
}

func TestAGatewayWithoutPinsSaysSo(t *testing.T) {
	r := start(t)
	if err := second(r.Look(t.Context(), PinAsk{})); err == nil || err.Error() != "this gateway keeps no pinned definitions" {
		t.Errorf("Look = %v", err)
	}
}
