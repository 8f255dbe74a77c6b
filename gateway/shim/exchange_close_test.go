package shim

import (
	"context"
	"errors"
	"testing"
)

// hangs is a command, or an issuer, that does not answer.
type hangs chan struct{}

func (h hangs) Prove(ctx context.Context, _ string) (Proof, error) {
	h <- struct{}{}
	<-ctx.Done()
	return Proof{}, ctx.Err()
}

// The end of a client waits for a renewal under way no longer than it may.
func TestCloseKeepsItsBoundWhileATokenIsFetched(t *testing.T) {
	h := make(hangs)
	x := newFakeIssuer(t, goodAnswer).source(t, ExchangeConfig{Credential: h})
	fetching, stop := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() {
		defer close(done)
		_, _ = x.Token(fetching, exchangeAsk) // it fails when the test ends it
	}()
	<-h
	bound, cancel := context.WithCancel(t.Context())
	cancel()
	if err := x.Close(bound); !errors.Is(err, context.Canceled) {
		t.Errorf("Close = %v; want the end of its own time", err)
	}
	stop()
	<-done
}
