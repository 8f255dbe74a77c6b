package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"time"

	"sallyport/identity"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
	"sallyport/identity/pop"
)

// verifyBatch is how many verifications are timed together; their proofs are made before.
const verifyBatch = 2000

// verification is one way to verify a token. Each batch gets requests that were never seen, so
// that every proof is new.
type verification struct {
	name     string
	verifier *identity.Verifier
	requests func(n int) ([]*identity.Request, error)
}

// verifications are a token and a token bound to a key, each from the cache and past it.
func (b *bench) verifications() ([]verification, error) {
	const url, path = "http://127.0.0.1:8080", "/mcp"
	keys, err := mint.OpenKeyring(filepath.Join(b.dir, "verify-keys"), nil)
	if err != nil {
		return nil, err
	}
	issuer := mint.NewIssuer(mint.IssuerConfig{URL: url, Audience: url + path, Keys: keys})
	key, err := pop.NewKey()
	if err != nil {
		return nil, err
	}
	var out []verification
	for _, bound := range []bool{false, true} {
		for _, size := range []int{0, 1} { // two tokens by turns find no place in a cache of one
			proofs := pop.NewChecker(pop.CheckerOptions{MaxPerKey: 1 << 24})
			v, err := identity.NewVerifier(identity.VerifierConfig{Issuer: url, Audience: url + path, Keys: keys,
				PublicURL: url, Proofs: proofs, CacheSize: size})
			if err != nil {
				return nil, err
			}
			jkt, scheme, name := "", "Bearer ", "token"
			if bound {
				jkt, scheme, name = key.JKT(), "DPoP ", "token and proof"
			}
			if size == 1 {
				name += ", not cached"
			} else {
				name += ", cached"
			}
			var tokens [2]string
			for i := range tokens {
				ask := mint.Request{Subject: "bench", ClientID: "bench", Roles: []string{"reader"}, Grant: grant.NewID(), TTL: 15 * time.Minute, JKT: jkt}
				if tokens[i], _, err = issuer.Mint(ask); err != nil {
					return nil, err
				}
			}
			out = append(out, verification{name, v, func(n int) ([]*identity.Request, error) {
				requests := make([]*identity.Request, n)
				nonce := proofs.Nonce()
				for i := range requests {
					token := tokens[i%2]
					h := http.Header{"Authorization": {scheme + token}}
					if bound {
						proof, err := key.Proof(http.MethodPost, url+path, token, nonce, time.Now())
						if err != nil {
							return nil, err
						}
						h["Dpop"] = []string{proof}
					}
					requests[i] = &identity.Request{Method: http.MethodPost, Header: h, Path: path}
				}
				return requests, nil
			}})
		}
	}
	return out, nil
}

// verify times the verifications in interleaved rounds, in nanoseconds each.
func (b *bench) verify(ctx context.Context) error {
	ways, err := b.verifications()
	if err != nil {
		return err
	}
	took := map[string][]float64{}
	for range b.rounds {
		for _, w := range ways {
			requests, err := w.requests(verifyBatch)
			if err != nil {
				return err
			}
			began := time.Now()
			for _, r := range requests {
				if _, err := w.verifier.Verify(ctx, r); err != nil {
					return fmt.Errorf("%s: %w", w.name, err)
				}
			}
			took[w.name] = append(took[w.name], float64(time.Since(began).Nanoseconds())/verifyBatch)
		}
	}
	fmt.Printf("\nverification, in one goroutine\n")
	numbers := map[string]any{}
	for _, w := range ways {
		ns := median(took[w.name])
		numbers[w.name] = ns
		fmt.Printf("  %-32s %8.1f µs\n", w.name, ns/1000)
	}
	b.report.group("identity")["verify_ns"] = numbers
	return nil
}

// lookups compares the look-up of a grant among many with that among few.
func (b *bench) lookups(ctx context.Context) error {
	const few, many, finds = 10, 100_000, 100_000
	took := map[int][]float64{}
	registries, ids := map[int]*grant.Registry{}, map[int][]string{}
	for _, n := range []int{few, many} {
		r, err := grant.NewRegistry(ctx, grant.NewMemory(), grant.Options{})
		if err != nil {
			return err
		}
		defer func() { _ = r.Close() }()
		for i := range n {
			g, err := r.Create(ctx, grant.Grant{Subject: fmt.Sprint("subject-", i), Roles: []string{"reader"}, Tools: []string{"files.read_*"}, Expires: time.Now().Add(time.Hour)})
			if err != nil {
				return err
			}
			ids[n] = append(ids[n], g.ID)
		}
		registries[n] = r
	}
	var ratios []float64
	for range b.rounds {
		for _, n := range []int{few, many} {
			order := rand.Perm(finds)
			began := time.Now()
			for _, i := range order {
				if _, err := registries[n].Find(ids[n][i%n]); err != nil {
					return err
				}
			}
			took[n] = append(took[n], float64(time.Since(began).Nanoseconds())/finds)
		}
		last := len(took[few]) - 1
		ratios = append(ratios, took[many][last]/took[few][last])
	}
	fmt.Printf("\nlook-up of a live grant: %.0f ns among %d, %.0f ns among %d, ratio %.2f\n",
		median(took[few]), few, median(took[many]), many, median(ratios))
	b.report.group("identity")["find"] = map[string]any{"ns_10": median(took[few]), "ns_100000": median(took[many]), "ratio": median(ratios)}
	return nil
}
