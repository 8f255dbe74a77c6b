package catalog

import (
	"errors"
	"strconv"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"

	"sallyport/gateway/wire"
)

func built(body string) func() ([]byte, error) {
	return func() ([]byte, error) { return []byte(body), nil }
}

func notBuilt(t *testing.T) func() ([]byte, error) {
	return func() ([]byte, error) {
		t.Helper()
		t.Error("built again")
		return nil, nil
	}
}

func TestViewsTellEveryPartOfTheKeyApart(t *testing.T) {
	v := NewViews(1 << 20)
	base := ViewKey{Revision: "r", SubjectKey: "s", Server: "v", Digest: "d", Cursor: "c"}
	keys := []ViewKey{base}
	for _, change := range []func(*ViewKey){
		func(k *ViewKey) { k.Revision = "x" }, func(k *ViewKey) { k.SubjectKey = "x" }, func(k *ViewKey) { k.Server = "x" },
		func(k *ViewKey) { k.Digest = "x" }, func(k *ViewKey) { k.Cursor = "x" }, func(k *ViewKey) { k.Era = wire.Modern },
	} {
		k := base
		change(&k)
		keys = append(keys, k)
	}
	for i, k := range keys {
		if got, err := v.Get(k, built(strconv.Itoa(i))); err != nil || string(got) != strconv.Itoa(i) {
			t.Errorf("Get(%+v) = %s, %v; want %d: another caller's view", k, got, err, i)
		}
	}
	for i, k := range keys {
		if got, _ := v.Get(k, notBuilt(t)); string(got) != strconv.Itoa(i) {
			t.Errorf("Get(%+v) = %s the second time; want %d", k, got, i)
		}
	}
}

func TestViewsAreBounded(t *testing.T) {
	const most = 100_000
	v := NewViews(most)
	for i := range 10_000 {
		k := ViewKey{SubjectKey: strconv.Itoa(i)}
		if _, err := v.Get(k, func() ([]byte, error) { return make([]byte, i%2000), nil }); err != nil {
			t.Fatal(err)
		}
		sum := int64(0)
		if i%500 == 0 {
			for e := v.order.Front(); e != nil; e = e.Next() {
				sum += e.Value.(*view).size()
			}
			if sum != v.bytes || sum > most || len(v.byKey) != v.order.Len() || len(v.flights) != 0 {
				t.Fatalf("after %d: %d bytes, counted %d, limit %d; %d keys, %d entries", i, sum, v.bytes, most, len(v.byKey), v.order.Len())
			}
		}
	}
	if v.order.Len() == 0 {
		t.Error("nothing is kept")
	}
	// The spare capacity of a body counts too, and what is larger than all is not kept.
	_, _ = v.Get(ViewKey{Server: "big"}, func() ([]byte, error) { return make([]byte, 1, most+1), nil })
	if _, kept := v.byKey[ViewKey{Server: "big"}]; kept {
		t.Error("a body over the limit was kept")
	}
}

func TestViewsDropTheLeastRecentlyUsed(t *testing.T) {
	key := func(s string) ViewKey { return ViewKey{Server: s} }
	v := NewViews(3 * (1 + 1 + viewOverhead))
	for _, s := range []string{"a", "b", "c"} {
		_, _ = v.Get(key(s), func() ([]byte, error) { return make([]byte, 1, 1), nil })
	}
	_, _ = v.Get(key("a"), notBuilt(t))
	_, _ = v.Get(key("d"), func() ([]byte, error) { return make([]byte, 1, 1), nil })
	_, _ = v.Get(key("a"), notBuilt(t))
	_, _ = v.Get(key("c"), notBuilt(t))
	again := false
	_, _ = v.Get(key("b"), func() ([]byte, error) { again = true; return nil, nil })
	if !again {
		t.Error("b was kept; want it dropped, as the least recently used")
	}
}

func TestViewsWithoutRoomKeepNothing(t *testing.T) {
	v := NewViews(0)
	for i := range 3 {
		if got, err := v.Get(ViewKey{}, built(strconv.Itoa(i))); err != nil || string(got) != strconv.Itoa(i) {
			t.Errorf("Get = %s, %v; want %d", got, err, i)
		}
	}
}

func TestErrorsAreNotKept(t *testing.T) {
	v := NewViews(1 << 20)
	broken := errors.New("policy")
	if _, err := v.Get(ViewKey{}, func() ([]byte, error) { return nil, broken }); !errors.Is(err, broken) {
		t.Errorf("Get = %v; want %v", err, broken)
	}
	if got, err := v.Get(ViewKey{}, built("x")); err != nil || string(got) != "x" {
		t.Errorf("Get = %s, %v after an error", got, err)
	}
}

func TestOneBuildsAndTheOthersWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewViews(1 << 20)
		var builds atomic.Int32
		release := make(chan struct{})
		var wg sync.WaitGroup
		for range 20 {
			wg.Go(func() {
				got, err := v.Get(ViewKey{}, func() ([]byte, error) {
					builds.Add(1)
					<-release
					return []byte("x"), nil
				})
				if err != nil || string(got) != "x" {
					t.Errorf("Get = %s, %v", got, err)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if builds.Load() != 1 {
			t.Errorf("%d builds; want 1", builds.Load())
		}
	})
}

func TestAPanicReachesItsCallerAndFreesTheOthers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		v := NewViews(1 << 20)
		release := make(chan struct{})
		var wg sync.WaitGroup
		var panicked, failed atomic.Int32
		for range 5 {
			wg.Go(func() {
				defer func() {
					if recover() != nil {
						panicked.Add(1)
					}
				}()
				if _, err := v.Get(ViewKey{}, func() ([]byte, error) { <-release; panic("boom") }); errors.Is(err, errBuildPanicked) {
					failed.Add(1)
				}
			})
		}
		synctest.Wait()
		close(release)
		wg.Wait()
		if panicked.Load() != 1 || failed.Load() != 4 {
			t.Errorf("%d panicked, %d failed; want 1 and 4", panicked.Load(), failed.Load())
		}
		if got, err := v.Get(ViewKey{}, built("x")); err != nil || string(got) != "x" {
			t.Errorf("Get = %s, %v after a panic", got, err)
		}
	})
}

func TestViewsAreSafeForConcurrentUse(t *testing.T) {
	v := NewViews(20 * (viewOverhead + 10))
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for i := range 500 {
				name := strconv.Itoa((g + i) % 40)
				if got, err := v.Get(ViewKey{Server: name}, built(name)); err != nil || string(got) != name {
					t.Errorf("Get(%s) = %s, %v", name, got, err)
				}
			}
		})
	}
	wg.Wait()
}
