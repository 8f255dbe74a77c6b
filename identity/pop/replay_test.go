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
	if err := r.take("key", "id", 5, Owner{}); err != nil {
		t.Fatal(err)
	}
	r.begin(6)
	if err := r.take("key", "id", 5, Owner{}); !errors.Is(err, ErrReplay) {
		t.Errorf("a period later: %v; want ErrReplay", err)
	}
	r.begin(7)
	for _, key := range []string{"key", "another"} {
		if err := r.take(key, "id", 5, Owner{}); !errors.Is(err, ErrNonce) {
			t.Errorf("%s, two periods later: %v; want ErrNonce", key, err)
		}
	}
	r.begin(3)
	if err := r.take("key", "id", 5, Owner{}); !errors.Is(err, ErrNonce) {
		t.Errorf("after a period that began late: %v; want ErrNonce", err)
	}
}

func TestKeysWithoutProofsTakeNoRoom(t *testing.T) {
	var r replays
	r.init(10, 1000)
	r.begin(1)
	for i := range 1000 {
		if err := r.take(strconv.Itoa(i), "id", int64(i%2), Owner{}); err != nil { // half of them of the period before
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

// One owner has a sixteenth of the room, and has it again when their proofs are forgotten.
func TestOneOwnerHasAPartOfTheRoom(t *testing.T) {
	var r replays
	r.init(10, 64)
	ann, bob := Owner{"https://idp.example", "ann"}, Owner{"https://idp.example", "bob"}
	for period := int64(1); period < 6; period += 2 {
		r.begin(period)
		for i := range 4 {
			if err := r.take(strconv.Itoa(i), strconv.FormatInt(period, 10), period, ann); err != nil {
				t.Fatal(err)
			}
		}
		if err := r.take("more", "id", period, ann); !errors.Is(err, ErrFull) || err.Error() != `no room to remember another proof of possession: 4 keys of "ann" have sent proofs in the last two minutes` {
			t.Errorf("a fifth key of one owner: %v", err)
		}
		for i := range 4 {
			if err := r.take(strconv.Itoa(i), "second", period, ann); err != nil {
				t.Errorf("a known key: %v", err)
			}
			if err := r.take("bob"+strconv.Itoa(i), strconv.FormatInt(period, 10), period, bob); err != nil {
				t.Errorf("another owner's: %v", err)
			}
		}
	}
	r.begin(9)
	if n := r.keys.Load(); n != 0 || len(r.each.keys) != 0 {
		t.Errorf("%d keys and %d owners are kept; want none", n, len(r.each.keys))
	}
}
