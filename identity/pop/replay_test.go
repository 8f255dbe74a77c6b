package pop

import (
	"errors"
	"strconv"
	"testing"
)

// A request can stand still between the look at its nonce and here, for as long as two minutes
// on a machine that was suspended; meanwhile the proof may have been taken and forgotten.
func TestAProofThatWaitedUntilItsNonceEndedIsNotTaken(t *testing.T) {
	var r replays
	r.init(10, 10)
	r.begin(5)
	if err := r.take("key", "id", 5); err != nil {
		t.Fatal(err)
	}
	r.begin(6)
	if err := r.take("key", "id", 5); !errors.Is(err, ErrReplay) {
		t.Errorf("a period later: %v; want ErrReplay", err)
	}
	r.begin(7)
	for _, key := range []string{"key", "another"} {
		if err := r.take(key, "id", 5); !errors.Is(err, ErrNonce) {
			t.Errorf("%s, two periods later: %v; want ErrNonce", key, err)
		}
	}
	r.begin(3)
	if err := r.take("key", "id", 5); !errors.Is(err, ErrNonce) {
		t.Errorf("after a period that began late: %v; want ErrNonce", err)
	}
}

func TestKeysWithoutProofsTakeNoRoom(t *testing.T) {
	var r replays
	r.init(10, 1000)
	r.begin(1)
	for i := range 1000 {
		if err := r.take(strconv.Itoa(i), "id", int64(i%2)); err != nil { // half of them of the period before
			t.Fatal(err)
		}
	}
	for n, want := range []int64{2: 500, 3: 0} {
		r.begin(int64(n))
		held := int64(0)
		for i := range r.shard {
			held += int64(len(r.shard[i].byKey))
		}
		if got := r.keys.Load(); n > 1 && (got != want || held != want) {
			t.Errorf("in period %d: %d keys counted, %d held; want %d", n, got, held, want)
		}
	}
}
