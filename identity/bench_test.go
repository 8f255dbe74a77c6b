package identity_test

import (
	"testing"
	"time"

	"sallyport/identity"
	"sallyport/identity/identitytest"
	"sallyport/identity/pop"
)

func BenchmarkVerifyCached(b *testing.B) {
	i := identitytest.New(b)
	r := &identity.Request{Header: identitytest.Header(i.Mint("alice", "reader"))}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Verifier.Verify(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyUncached(b *testing.B) {
	i := identitytest.New(b)
	tok := i.Mint("alice", "reader")
	b.ReportAllocs()
	for b.Loop() {
		if _, err := i.Verifier.VerifyAt(tok, i.Now()); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkVerifyWithDPoP is a cached token with a fresh proof, as `sallyport connect` sends it.
func BenchmarkVerifyWithDPoP(b *testing.B) {
	var i *identitytest.Issuer
	var k *pop.Key
	var token string
	r := &identity.Request{Method: "POST", Path: "/mcp"}
	next := func(n int) {
		var err error
		if n%50_000 == 0 { // fewer than a checker takes of one key
			i = identitytest.New(b)
			if k, err = pop.NewKey(); err != nil {
				b.Fatal(err)
			}
			token = i.MintBound(k.JKT(), "alice", "reader")
		}
		proof, err := k.Proof("POST", identitytest.Audience, token, i.Proofs.Nonce(), time.Now())
		if err != nil {
			b.Fatal(err)
		}
		r.Header = identitytest.ProofHeader(token, proof)
	}
	b.ReportAllocs()
	for n := 0; b.Loop(); n++ {
		b.StopTimer()
		next(n)
		b.StartTimer()
		if _, err := i.Verifier.Verify(b.Context(), r); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkProve is the client's side.
func BenchmarkProve(b *testing.B) {
	k, err := pop.NewKey()
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := k.Proof("POST", identitytest.Audience, "a.token", "nonce", time.Now()); err != nil {
			b.Fatal(err)
		}
	}
}
