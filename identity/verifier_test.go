package identity_test

import (
	"errors"
	"testing"

	"sallyport/identity/identitytest"
)

func TestHostileTokensAreRefused(t *testing.T) {
	i := identitytest.New(t)
	for _, h := range i.Hostile() {
		who, err := i.Verifier.Verify(t.Context(), identitytest.Header(h.Token), "")
		if who != nil || !errors.Is(err, h.Err) {
			t.Errorf("%s: %v, %v; want %v", h.Name, who, err, h.Err)
		}
	}
	if who, err := i.Verifier.Verify(t.Context(), identitytest.Header(i.Mint("alice")), ""); err != nil || who.Subject != "alice" {
		t.Errorf("a good token: %+v, %v", who, err)
	}
}
