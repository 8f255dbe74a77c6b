package identity_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"time"

	"pgregory.net/rapid"

	"sallyport/identity"
	"sallyport/identity/identitytest"
)

func TestCachedTokenExpiresOnTime(t *testing.T) {
	now := start
	i := identitytest.At(t, func() time.Time { return now })
	tok := i.Mint("alice")
	first, err := i.Verifier.VerifyToken(tok)
	if err != nil {
		t.Fatal(err)
	}
	now = start.Add(300*time.Second - time.Nanosecond)
	if again, err := i.Verifier.VerifyToken(tok); err != nil || again != first {
		t.Errorf("a nanosecond before exp: %p, %v; want the cached %p", again, err, first)
	}
	now = start.Add(300 * time.Second)
	for range 2 {
		if who, err := i.Verifier.VerifyToken(tok); who != nil || !errors.Is(err, identity.ErrExpired) {
			t.Errorf("at exp: %v, %v; want ErrExpired", who, err)
		}
	}
}

func TestCachedTokenIsForgottenWithItsKey(t *testing.T) {
	i := identitytest.New(t)
	tok := i.Mint("alice")
	if _, err := i.Verifier.VerifyToken(tok); err != nil {
		t.Fatal(err)
	}
	i.DropKey()
	if who, err := i.Verifier.VerifyToken(tok); who != nil || !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("after its key left: %v, %v; want ErrUnknownKey", who, err)
	}
}

// keysAt is a key source whose set changes and whose epoch stands still: what was cached under that
// epoch must not outlive the last key.
type keysAt struct{ set *identity.KeySet }

func (k *keysAt) Keys() *identity.KeySet { return k.set }

func TestCachedTokenNeedsAKeyWhateverTheEpoch(t *testing.T) {
	i := identitytest.New(t)
	keys := &keysAt{i.Keys()}
	v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: identitytest.URL, Audience: identitytest.Audience, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	tok := i.Mint("alice")
	if _, err := v.VerifyToken(tok); err != nil {
		t.Fatal(err)
	}
	keys.set = &identity.KeySet{Epoch: i.Keys().Epoch}
	if who, err := v.VerifyToken(tok); who != nil || !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("with no key left: %v, %v; want ErrUnknownKey", who, err)
	}
	keys.set = nil
	if who, err := v.VerifyToken(tok); who != nil || !errors.Is(err, identity.ErrUnknownKey) {
		t.Errorf("with no set at all: %v, %v; want ErrUnknownKey", who, err)
	}
}

func TestRefusalIsNotCached(t *testing.T) {
	now := start.Add(-time.Minute)
	i := identitytest.At(t, func() time.Time { return now })
	tok := i.With(i.Claims("alice"), map[string]any{"iat": start.Unix(), "exp": start.Unix() + 60})
	if _, err := i.Verifier.VerifyToken(tok); !errors.Is(err, identity.ErrNotYet) {
		t.Fatalf("a minute early: %v; want ErrNotYet", err)
	}
	now = start
	if _, err := i.Verifier.VerifyToken(tok); err != nil {
		t.Errorf("on time: %v", err)
	}
}

func TestVerifyIsSafeForConcurrentUse(t *testing.T) {
	i := identitytest.New(t)
	tokens := []string{i.Mint("alice"), i.Mint("bob"), i.Expired(), i.Forged()}
	var wg sync.WaitGroup
	for n := range 8 {
		wg.Go(func() {
			for k := range 50 {
				tok := tokens[(n+k)%len(tokens)]
				who, err := i.Verifier.VerifyToken(tok)
				if (err == nil) != who.Valid() {
					t.Errorf("%v, %v", who, err)
				}
				if n == 0 && k == 25 {
					i.DropKey()
				}
			}
		})
	}
	wg.Wait()
}

func TestKeyTellsPrincipalsApart(t *testing.T) {
	part := rapid.SampledFrom([]string{"", "a", "b", "1:a", "a1:b", "1:", ":", "0:", "a1:a"})
	name := rapid.SampledFrom([]string{"a", "b", "1:a", "a1:b", "1:", ":", "0:", "a1:a"})
	draw := func(t *rapid.T) identity.Principal {
		return identity.Principal{Issuer: name.Draw(t, "iss"), Subject: name.Draw(t, "sub"), ClientID: part.Draw(t, "client"), Grant: part.Draw(t, "grant")}
	}
	rapid.Check(t, func(t *rapid.T) {
		p, q := draw(t), draw(t)
		same := p.Issuer == q.Issuer && p.Subject == q.Subject && p.ClientID == q.ClientID && p.Grant == q.Grant
		if (p.Key() == q.Key()) != same {
			t.Fatalf("%+v and %+v: keys %q and %q", p, q, p.Key(), q.Key())
		}
	})
}

func TestKeyOutlivesTheToken(t *testing.T) {
	i := identitytest.New(t)
	var keys []string
	for _, changes := range []map[string]any{nil, {"jti": "another", "roles": []string{"x"}, "task": "T"}} {
		who, err := i.Verifier.VerifyToken(i.With(i.Claims("alice"), changes))
		if err != nil {
			t.Fatal(err)
		}
		keys = append(keys, who.Key())
	}
	if keys[0] != keys[1] || !strings.Contains(keys[0], "5:alice") {
		t.Errorf("keys of two tokens of one principal: %q", keys)
	}
}

func TestZeroPrincipalIsNobody(t *testing.T) {
	var none *identity.Principal
	for _, p := range []*identity.Principal{none, {}, {Subject: "a"}, {Issuer: "i"}, {ClientID: "c", Grant: "g", Roles: []string{"admin"}}} {
		if p.Valid() || p.Key() != "" {
			t.Errorf("%+v: valid %v, key %q; want nobody", p, p.Valid(), p.Key())
		}
	}
}
