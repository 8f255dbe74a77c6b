package federate

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/identity/jose"
)

// server stands for what an issuer publishes. It answers after delay.
type server struct {
	mu      sync.Mutex
	kids    []string
	fresh   time.Duration
	delay   time.Duration
	err     error
	fetches int
}

func (s *server) load(ctx context.Context) (jose.KeySet, time.Duration, error) {
	s.mu.Lock()
	s.fetches++
	set, fresh, delay, err := jose.KeySet{ByID: map[string]jose.Key{}}, s.fresh, s.delay, s.err
	for _, kid := range s.kids {
		set.ByID[kid] = jose.Key{ID: kid}
	}
	s.mu.Unlock()
	select {
	case <-time.After(delay):
		return set, fresh, err
	case <-ctx.Done():
		return jose.KeySet{}, 0, context.Cause(ctx)
	}
}

// publishes changes what the server answers from now on.
func (s *server) publishes(change func(*server)) {
	s.mu.Lock()
	defer s.mu.Unlock()
	change(s)
}

func (s *server) count() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.fetches
}

// remote runs f with the keys of a server, in a time of its own, and closes them.
func remote(t *testing.T, s *server, f func(t *testing.T, k *remoteKeys, log *bytes.Buffer)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		k := newRemoteKeys("https://idp.example", s.load, time.Now, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{
			ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
				if a.Key == slog.TimeKey {
					return slog.Attr{}
				}
				return a
			}})))
		defer k.close()
		f(t, k, &log)
	})
}

// ask asks for a key and says how long it took.
func ask(t *testing.T, k *remoteKeys, kid string) (time.Duration, error) {
	t.Helper()
	began := time.Now()
	_, err := k.key(t.Context(), kid)
	return time.Since(began), err
}

func has(t *testing.T, k *remoteKeys, kid string) {
	t.Helper()
	if took, err := ask(t, k, kid); err != nil || took != 0 {
		t.Errorf("key %s after %s: %v; want it at once", kid, took, err)
	}
}

func TestKnownKeysNeverWaitForTheNetwork(t *testing.T) {
	s := &server{kids: []string{"a"}}
	remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
		if took, err := ask(t, k, "a"); err != nil || took != 0 {
			t.Fatal(took, err)
		}
		s.publishes(func(s *server) { s.delay = time.Minute })
		time.Sleep(minFresh) // the set is stale now
		has(t, k, "a")       // begins a fetch that hangs
		waiting := make(chan error)
		go func() { _, err := k.key(t.Context(), "junk"); waiting <- err }()
		synctest.Wait()
		for range 100 {
			has(t, k, "a")
		}
		if err := <-waiting; !errors.Is(err, ErrUnknownKey) || !strings.HasSuffix(err.Error(), "; newer ones cannot be read: no answer within 5s") {
			t.Errorf("unknown key while the issuer hangs: %v", err)
		}
		has(t, k, "a")
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches; want 2", n)
		}
	})
}

func TestUnknownKeysAreLookedForOnceIn10Seconds(t *testing.T) {
	s := &server{kids: []string{"a"}, delay: time.Second}
	remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
		if took, err := ask(t, k, "a"); err != nil || took != time.Second {
			t.Fatalf("the first key: %s, %v", took, err)
		}
		for i := range 50 {
			if took, err := ask(t, k, fmt.Sprint("junk", i)); took != 0 || !errors.Is(err, ErrUnknownKey) || err.Error() != "unknown signing key: none of the 1 keys of its issuer has the token's kid" {
				t.Fatalf("junk: %s, %v; want it refused at once", took, err)
			}
		}
		s.publishes(func(s *server) { s.kids = []string{"a", "b"} })
		time.Sleep(fetchPause)
		if took, err := ask(t, k, "b"); err != nil || took != time.Second {
			t.Errorf("a new key: %s, %v; want it after one fetch", took, err)
		}
		if n := s.count(); n != 2 {
			t.Errorf("%d fetches; want 2", n)
		}
	})
}

func TestAbsentKeysAreBelievedAbsentFor30Seconds(t *testing.T) {
	s := &server{kids: []string{"a"}}
	remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
		has(t, k, "a")
		time.Sleep(fetchPause)
		for range 2 * int(absentFor/fetchPause) {
			if _, err := ask(t, k, "junk"); !errors.Is(err, ErrUnknownKey) {
				t.Error(err)
			}
			time.Sleep(fetchPause)
		}
		if n := s.count(); n != 3 { // the first, and one in each half minute
			t.Errorf("%d fetches in a minute for one absent key; want 3", n)
		}
	})
}

func TestCallersShareOneFetchUpToABound(t *testing.T) {
	s := &server{kids: []string{"a"}, delay: time.Second}
	remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
		answers := make(chan error, maxWaiting)
		for range maxWaiting {
			go func() { _, err := k.key(t.Context(), "a"); answers <- err }()
		}
		synctest.Wait()
		const want = "keys of the issuer are not available: too many callers wait for them; the next try is in 10s"
		if took, err := ask(t, k, "a"); took != 0 || !errors.Is(err, ErrKeys) || err.Error() != want {
			t.Errorf("one caller more: %s, %v; want %s", took, err, want)
		}
		for range maxWaiting {
			if err := <-answers; err != nil {
				t.Error(err)
			}
		}
		if n := s.count(); n != 1 {
			t.Errorf("%d fetches; want 1", n)
		}
	})
}

func TestIssuerThatIsDownIsAskedOnceIn10Seconds(t *testing.T) {
	s := &server{kids: []string{"a"}, err: errors.New("read https://idp.example/keys: connection refused")}
	remote(t, s, func(t *testing.T, k *remoteKeys, log *bytes.Buffer) {
		for _, want := range []string{
			"keys of the issuer are not available: read https://idp.example/keys: connection refused; the next try is in 10s",
			"keys of the issuer are not available: read https://idp.example/keys: connection refused; the next try is in 7s",
		} {
			if took, err := ask(t, k, "a"); took != 0 || !errors.Is(err, ErrKeys) || err.Error() != want {
				t.Errorf("%s, %v\nwant at once %s", took, err, want)
			}
			time.Sleep(3 * time.Second)
		}
		s.publishes(func(s *server) { s.err = nil })
		time.Sleep(4 * time.Second)
		has(t, k, "a")
		synctest.Wait()
		const want = `level=WARN msg="the keys of an issuer cannot be read" issuer=https://idp.example err="read https://idp.example/keys: connection refused" until_then="its tokens are refused"
level=INFO msg="the keys of an issuer can be read again" issuer=https://idp.example keys=1
`
		if log.String() != want {
			t.Errorf("log:\n%s\nwant:\n%s", log, want)
		}
	})
}

func TestOldKeysServeForADayAndNoLonger(t *testing.T) {
	s := &server{kids: []string{"a"}}
	remote(t, s, func(t *testing.T, k *remoteKeys, log *bytes.Buffer) {
		has(t, k, "a")
		s.publishes(func(s *server) { s.err = errors.New("down") })
		time.Sleep(maxStale - time.Second)
		has(t, k, "a")
		synctest.Wait()
		if want := `until_then="the keys read 23h59m59s ago serve, for 1s more"`; !strings.Contains(log.String(), want) {
			t.Errorf("log %s; want %s", log, want)
		}
		time.Sleep(time.Second)
		if _, err := ask(t, k, "a"); !errors.Is(err, ErrKeys) || err.Error() != "keys of the issuer are not available: down; the next try is in 9s" {
			t.Errorf("after a day: %v; want ErrKeys", err)
		}
	})
}

func TestKeysThatAreWithdrawnVerifyNoMore(t *testing.T) {
	s := &server{kids: []string{"a", "b"}}
	remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
		has(t, k, "a")
		s.publishes(func(s *server) { s.kids = []string{"b"} })
		time.Sleep(minFresh)
		has(t, k, "b") // begins the fetch
		synctest.Wait()
		if _, err := ask(t, k, "a"); !errors.Is(err, ErrUnknownKey) {
			t.Errorf("a key that was withdrawn: %v; want ErrUnknownKey", err)
		}
	})
}

func TestFreshnessIsBetween5MinutesAndAnHour(t *testing.T) {
	for said, want := range map[time.Duration]time.Duration{0: minFresh, time.Second: minFresh, 20 * time.Minute: 20 * time.Minute, 365 * 24 * time.Hour: maxFresh} {
		s := &server{kids: []string{"a"}, fresh: said}
		remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
			has(t, k, "a")
			time.Sleep(want - time.Second)
			has(t, k, "a")
			synctest.Wait()
			if n := s.count(); n != 1 {
				t.Errorf("max-age %s: asked again before %s", said, want)
			}
			time.Sleep(time.Second)
			has(t, k, "a")
			synctest.Wait()
			if n := s.count(); n != 2 {
				t.Errorf("max-age %s: not asked again after %s", said, want)
			}
		})
	}
}

func TestCallerThatLeavesWaitsNoLonger(t *testing.T) {
	s := &server{kids: []string{"a"}, delay: time.Second}
	remote(t, s, func(t *testing.T, k *remoteKeys, _ *bytes.Buffer) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := k.key(ctx, "a"); !errors.Is(err, ErrKeys) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%v; want ErrKeys for the caller's deadline", err)
		}
		time.Sleep(time.Second)
		synctest.Wait()
		has(t, k, "a") // the fetch went on for the others
	})
}

func TestClosedKeysAskNobody(t *testing.T) {
	s := &server{kids: []string{"a"}, delay: time.Second}
	remote(t, s, func(t *testing.T, k *remoteKeys, log *bytes.Buffer) {
		answer := make(chan error)
		go func() { _, err := k.key(t.Context(), "a"); answer <- err }()
		synctest.Wait()
		k.close()
		if err := <-answer; !errors.Is(err, ErrKeys) || !errors.Is(err, context.Canceled) {
			t.Errorf("the caller that waited: %v; want ErrKeys", err)
		}
		time.Sleep(fetchPause)
		synctest.Wait()
		if _, err := ask(t, k, "a"); !errors.Is(err, ErrKeys) || s.count() != 1 || log.Len() > 0 {
			t.Errorf("after close: %v, %d fetches, log %q; want ErrKeys, 1 and none", err, s.count(), log)
		}
	})
}

func TestClockThatIsPutBackHoldsNothingUp(t *testing.T) {
	s := &server{kids: []string{"a"}}
	synctest.Test(t, func(t *testing.T) {
		back := time.Duration(0)
		k := newRemoteKeys("https://idp.example", s.load, func() time.Time { return time.Now().Add(-back) }, slog.New(slog.DiscardHandler))
		defer k.close()
		has(t, k, "a")
		s.publishes(func(s *server) { s.kids = []string{"b"} })
		back = time.Hour
		has(t, k, "b")
	})
}
