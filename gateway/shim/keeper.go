package shim

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// tokenTimeout bounds one attempt to get a token.
	tokenTimeout = 30 * time.Second
	// leastRest is what a token must have left to be sent: less, and it ends on the way.
	leastRest = 200 * time.Millisecond
)

// keeper keeps one token fresh. Renewals never overlap: whoever needs one waits for the one
// that is under way.
type keeper struct {
	source  Source
	measure func() (string, error)
	proofs  *prover
	now     func() time.Time
	log     *slog.Logger

	mu    sync.Mutex // guards what follows
	token Token
	renew time.Time // when half of its life is over
	fetch *fetch    // under way, or nil
	ended error     // the grant has ended; final
}

// fetch is one renewal.
type fetch struct {
	done  chan struct{}
	token Token
	err   error
}

// get returns a token that is good now. From half of its life on it is renewed meanwhile, so
// that nobody waits while the source answers in time.
func (k *keeper) get(ctx context.Context) (Token, error) {
	k.mu.Lock()
	if k.ended != nil {
		defer k.mu.Unlock()
		return Token{}, k.ended
	}
	now := k.now()
	if k.token.Value != "" && now.Add(leastRest).Before(k.token.Expires) {
		defer k.mu.Unlock()
		if !now.Before(k.renew) {
			k.begin(ctx)
		}
		return k.token, nil
	}
	f := k.begin(ctx)
	k.mu.Unlock()
	return f.wait(ctx)
}

// another returns a token other than the one that was refused.
func (k *keeper) another(ctx context.Context, refused string) (Token, error) {
	k.mu.Lock()
	if k.ended != nil {
		defer k.mu.Unlock()
		return Token{}, k.ended
	}
	if k.token.Value != refused && k.token.Value != "" {
		defer k.mu.Unlock()
		return k.token, nil
	}
	f := k.begin(ctx)
	k.mu.Unlock()
	return f.wait(ctx)
}

// alive asks the source anew and returns an error only where the grant has ended.
func (k *keeper) alive(ctx context.Context) error {
	k.mu.Lock()
	f := k.begin(ctx)
	k.mu.Unlock()
	if _, err := f.wait(ctx); errors.Is(err, ErrEnded) {
		return err
	}
	return nil
}

// begin starts a renewal unless one is under way; mu is held. A renewal belongs to all who
// wait for it, so it does not end with the request that began it.
func (k *keeper) begin(ctx context.Context) *fetch {
	if k.fetch != nil {
		return k.fetch
	}
	f := &fetch{done: make(chan struct{})}
	k.fetch = f
	ctx = context.WithoutCancel(ctx)
	go func() {
		ctx, cancel := context.WithTimeout(ctx, tokenTimeout)
		defer cancel()
		f.token, f.err = k.ask(ctx)
		k.finish(f)
		close(f.done)
	}()
	return f
}

// ask gets a token from the source.
func (k *keeper) ask(ctx context.Context) (Token, error) {
	ask := SourceAsk{JKT: k.proofs.thumbprint()}
	if ask.JKT != "" {
		ask.Proof = func(method, url, nonce string) (string, error) {
			return k.proofs.key.Proof(method, url, "", nonce, k.proofs.time())
		}
	}
	if k.measure != nil {
		var err error
		if ask.Measured, err = k.measure(); err != nil {
			return Token{}, fmt.Errorf("measure the agent's files: %w", err)
		}
	}
	t, err := k.source.Token(ctx, ask)
	if err == nil && t.Value == "" {
		err = errors.New("the source gave an empty token")
	}
	return t, err
}

func (k *keeper) finish(f *fetch) {
	k.mu.Lock()
	defer k.mu.Unlock()
	k.fetch = nil
	now := k.now()
	switch {
	case errors.Is(f.err, ErrEnded):
		k.ended = f.err
		k.log.Error(f.err.Error())
	case f.err != nil && k.token.Value != "":
		// Asked again by the next request, while the old token lasts.
		k.renew = now.Add(max(k.token.Expires.Sub(now)/4, 0))
		k.log.Warn("token not renewed", "error", f.err)
	case f.err == nil:
		k.token = f.token
		k.renew = now.Add(max(f.token.Expires.Sub(now)/2, 0))
	}
}

// end returns why the grant has ended, or nil.
func (k *keeper) end() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.ended
}

func (f *fetch) wait(ctx context.Context) (Token, error) {
	select {
	case <-f.done:
		return f.token, f.err
	case <-ctx.Done():
		return Token{}, context.Cause(ctx)
	}
}
