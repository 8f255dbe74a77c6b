package federate

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

func TestAssertionsOfClientsAreUsedOnce(t *testing.T) {
	i := newIssuer(t, "batch")
	rule := clientRule(i.file(t))
	now := start
	clock := func() time.Time { return now }
	f, err := New([]Rule{rule}, Options{Now: clock})
	if err != nil {
		t.Fatal(err)
	}
	first, second := i.token(t, clientClaims, nil), i.token(t, clientClaims.but(doc{"jti": "two"}), nil)
	used := func(f *Federation, token string, want error) {
		t.Helper()
		if _, err := f.Verify(t.Context(), token, ClientAssertion); !errors.Is(err, want) {
			t.Errorf("%v; want %v", err, want)
		}
	}
	used(f, first, nil)
	used(f, first, ErrReplay)
	used(f, second, nil)
	used(f, i.token(t, clientClaims.but(doc{"exp": start.Unix() + 61}), nil), ErrReplay) // another token of the same id

	// A reload keeps what was used.
	reloaded, err := New([]Rule{rule}, Options{Now: clock, Previous: f})
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
	used(reloaded, first, ErrReplay)
	reloaded.Close()

	// A restart remembers nothing, so it takes nothing from before.
	now = start.Add(time.Second)
	restarted := federationAt(t, clock, rule)
	_, err = restarted.Verify(t.Context(), first, ClientAssertion)
	const want = "federation rule batch: assertion has been used before, perhaps: it was made before this gateway began; make another"
	if !errors.Is(err, ErrReplay) || err.Error() != want {
		t.Errorf("after a restart:\n got %v\nwant %s", err, want)
	}
	used(restarted, i.token(t, clientClaims.but(doc{"iat": now.Unix()}), nil), nil)
}

func federationAt(t *testing.T, now func() time.Time, rules ...Rule) *Federation {
	t.Helper()
	f, err := New(rules, Options{Now: now})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(f.Close)
	return f
}

// A token that is refused for another reason does not use up its id: else whoever guesses it
// could shut the client out.
func TestForgedAssertionsUseUpNothing(t *testing.T) {
	i, other := newIssuer(t, "batch"), newIssuer(t, "other")
	f := federation(t, clientRule(i.file(t)))
	if _, err := f.Verify(t.Context(), other.token(t, clientClaims, doc{"kid": i.jwk.Kid}), ClientAssertion); !errors.Is(err, ErrSignature) {
		t.Fatalf("forged: %v; want ErrSignature", err)
	}
	if _, err := f.Verify(t.Context(), i.token(t, clientClaims, nil), ClientAssertion); err != nil {
		t.Errorf("the client's own: %v", err)
	}
}

func TestMemoryOfAssertionsRefusesWhenFull(t *testing.T) {
	r := newReplays(start)
	end := start.Add(time.Minute)
	for n := range maxReplayed {
		if err := r.take(fmt.Sprint(n), start.Unix(), end, start); err != nil {
			t.Fatal(err)
		}
	}
	const want = "too many assertions of one client: 10000 are remembered until they end, at most 5m0s"
	if err := r.take("one more", start.Unix(), end, start); !errors.Is(err, ErrFull) || err.Error() != want {
		t.Errorf("full: %v; want %s", err, want)
	}
	if err := r.take("0", start.Unix(), end, start); !errors.Is(err, ErrReplay) {
		t.Errorf("a used one, full: %v; want ErrReplay", err)
	}
	if err := r.take("one more", end.Unix(), end.Add(time.Minute), end); err != nil || len(r.seen) != 1 {
		t.Errorf("when those have ended: %v, %d remembered; want it taken and alone", err, len(r.seen))
	}
}

func TestNoAssertionIsTakenTwiceWhileItLives(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		r, now := newReplays(start), start
		ends := map[string]time.Time{} // of the ids that were taken
		for range rapid.IntRange(1, 40).Draw(t, "steps") {
			now = now.Add(time.Duration(rapid.IntRange(0, 90).Draw(t, "pass")) * time.Second)
			jti := rapid.StringMatching(`[ab]{1,2}`).Draw(t, "jti")
			until := now.Add(time.Duration(rapid.IntRange(1, 300).Draw(t, "life")) * time.Second)
			err := r.take(jti, now.Unix(), until, now)
			if alive := now.Before(ends[jti]); alive != errors.Is(err, ErrReplay) {
				t.Fatalf("%s: %v although alive is %t", jti, err, alive)
			}
			if err == nil {
				ends[jti] = until
			}
		}
	})
}
