package gateway

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport/identity/grant"
)

const kib = 1 << 10

// filler is a body that comes as fast as it is read, up to a point, and then not until it is released. It
// counts what is held of all of them.
type filler struct {
	left    int
	of      *atomic.Int64
	release <-chan struct{}
}

func (b *filler) Read(p []byte) (int, error) {
	if b.left == 0 {
		<-b.release
		return 0, io.ErrUnexpectedEOF
	}
	n := min(len(p), b.left)
	for i := range n {
		p[i] = ' '
	}
	b.left -= n
	b.of.Add(int64(n))
	return n, nil
}

func (b *filler) Close() error { return nil }

// Bodies that are half sent under as many grants as somebody likes take no more than the room there is, and of
// that one subject has half; small calls, and large ones of others, go on.
func TestHalfSentBodiesOfManyGrantsStayWithinTheRoom(t *testing.T) {
	for _, chunked := range []bool{false, true} {
		f := newFixture(t)
		f.snap.Limits.RequestBytes = 256 * kib
		f.swap()
		f.g.room.most = 1 << 20
		var came atomic.Int64
		release := make(chan struct{})
		var ended sync.WaitGroup
		const grants, each = 20, 4
		for range grants {
			_, token := f.under(grant.Grant{})
			for range each {
				r := f.request(http.MethodPost, token, "")
				r.Body, r.ContentLength = &filler{left: 200 * kib, of: &came, release: release}, 256*kib
				if chunked {
					r.ContentLength = -1
				}
				ended.Go(func() { f.serve(r) })
			}
		}
		// Of what was not announced some is read before there is room for it.
		least := int64(2 * 200 * kib)
		most := least
		if chunked {
			least += (grants*each - 2) * smallBody
			most += (grants*each - 2) * 2 * smallBody
		}
		eventually(t, "as much is read as may be", func() bool { return came.Load() >= least })
		time.Sleep(20 * time.Millisecond)
		if n := came.Load(); n > most {
			t.Errorf("chunked %v: %d bytes of bodies are held; want at most %d", chunked, n, most)
		}
		if _, token := f.under(grant.Grant{}); toolText(f.post(token, readCall).Body.String()) != "ok" {
			t.Errorf("chunked %v: a small call of the same subject is not served", chunked)
		}
		large := legacyCall("ask", `{"path":"/srv/a","text":"`+strings.Repeat("x", 100*kib)+`"}`)
		if got := f.post(f.other, large).Body.String(); !strings.Contains(got, `"resultType":"complete"`) {
			t.Errorf("chunked %v: a large call of another subject meanwhile: %s", chunked, got)
		}
		close(release)
		ended.Wait()
		if r := f.g.room; r.taken != 0 || len(r.by)+len(r.waiting) != 0 {
			t.Errorf("chunked %v: %d bytes are taken by %v after all has ended, %d wait", chunked, r.taken, r.by, len(r.waiting))
		}
	}
}

// A body has its room for as long as its call is under way, and no longer; a stream holds none.
func TestABodyHasItsRoomWhileItsCallIsUnderWay(t *testing.T) {
	f := newFixture(t)
	f.snap.Limits.RequestBytes = 256 * kib
	f.swap()
	var during int64
	answer := f.up.answer
	f.up.answer = func(ctx context.Context, out Outbound) (*Reply, error) {
		during = f.g.room.taken
		return answer(ctx, out)
	}
	call := legacyCall("ask", `{"text":"`+strings.Repeat("x", 100*kib)+`"}`)
	f.post(f.reader, call)
	if f.g.room.taken != 0 || during != int64(len(call)) {
		t.Errorf("%d bytes are taken during a call of %d, and %d after it", during, len(call), f.g.room.taken)
	}
}

// Who finds no room within the time that a body has is told so, and nothing is read of what was sent.
func TestWhoFindsNoRoomIsRefused(t *testing.T) {
	f := newFixture(t)
	f.snap.Limits.BodyTimeout, f.snap.Limits.RequestBytes = 20*time.Millisecond, 256*kib
	f.swap()
	f.g.room.most = 100 * kib
	if err := f.g.room.take(t.Context(), holder{subject: "x"}, 100*kib, 0); err != nil {
		t.Fatal(err)
	}
	w := f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a","x":"`+strings.Repeat("x", smallBody)+`"}`))
	const want = "there is no room for a body of more than 65536 bytes: those of other requests fill it, and none has ended within 20ms; send less at once, or again later"
	if w.Code != 200 || !strings.Contains(w.Body.String(), want) || len(f.up.requests()) != 0 {
		t.Errorf("%d %s, %d requests upstream; want %q", w.Code, w.Body, len(f.up.requests()), want)
	}
}

// Room is given in turn: a large body is not overtaken for ever, whoever has half is passed by, and one that
// is larger than all waits until it is alone.
func TestRoomIsGivenInTurn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{most: 100, by: map[holder]int64{}}
		in := make(chan string, 10)
		ask := func(who string, bytes int64) {
			go func() {
				if err := r.take(t.Context(), holder{subject: who}, bytes, time.Hour); err == nil {
					in <- who
				}
			}()
			synctest.Wait()
		}
		now := func(want string) {
			t.Helper()
			synctest.Wait()
			var came []string
			for len(in) > 0 {
				came = append(came, <-in)
			}
			slices.Sort(came) // of those who come in together nobody is first
			if got := strings.Join(came, " "); got != want {
				t.Errorf("%q came in; want %q", got, want)
			}
		}
		ask("a", 40)
		ask("a", 20) // more than half
		ask("b", 50)
		now("a b")
		ask("c", 30) // does not fit
		ask("d", 5)  // would, and comes after c
		now("")
		r.give(holder{subject: "b"}, 50)
		now("c d")
		ask("e", 1000)
		r.give(holder{subject: "c"}, 30)
		r.give(holder{subject: "d"}, 5)
		now("")
		r.give(holder{subject: "a"}, 40)
		now("a") // which waited for its own
		r.give(holder{subject: "a"}, 20)
		now("e")
		r.give(holder{subject: "e"}, 1000)
		if r.taken != 0 || len(r.by)+len(r.waiting) != 0 {
			t.Errorf("%d taken by %v, %d wait", r.taken, r.by, len(r.waiting))
		}
	})
}

// Who gives up lets in those who waited behind it.
func TestWhoGivesUpOnRoomHoldsUpNobody(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := &room{most: 100, by: map[holder]int64{}}
		if err := r.take(t.Context(), holder{subject: "a"}, 60, 0); err != nil {
			t.Fatal(err)
		}
		gone := errors.New("gone")
		ctx, cancel := context.WithCancelCause(t.Context())
		got := make(chan error, 3)
		go func() { got <- r.take(ctx, holder{subject: "b"}, 50, time.Hour) }()
		synctest.Wait()
		go func() { got <- r.take(t.Context(), holder{subject: "c"}, 45, time.Minute) }()
		synctest.Wait()
		go func() { got <- r.take(t.Context(), holder{subject: "d"}, 10, time.Hour) }()
		synctest.Wait()
		cancel(gone)
		if err := <-got; !errors.Is(err, gone) {
			t.Errorf("who was cancelled: %v", err)
		}
		if err := <-got; !errors.Is(err, errNoRoom) { // a minute later, before d
			t.Errorf("who waited for too long: %v", err)
		}
		if err := <-got; err != nil || r.by[holder{subject: "d"}] != 10 || r.taken != 70 {
			t.Errorf("who waited behind them: %v; %d taken", err, r.taken)
		}
	})
}
