package chaos

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// held is what a gateway holds at one time.
type held struct{ goroutines, files, bytes, resident float64 }

// holds reads the gateway's own page of numbers.
func (g *gate) holds(t *testing.T) held {
	t.Helper()
	return held{g.number(t, "go_goroutines"), g.number(t, "process_open_fds"), g.number(t, "go_memstats_heap_inuse_bytes"), g.number(t, "process_resident_memory_bytes")}
}

// number is one of that page.
func (g *gate) number(t *testing.T, name string) float64 {
	t.Helper()
	status, page := g.get("/metrics")
	if status != http.StatusOK {
		t.Fatalf("/metrics: %d %s", status, page)
	}
	for line := range strings.Lines(page) {
		if text, ok := strings.CutPrefix(line, name+" "); ok {
			n, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
			if err != nil {
				t.Fatal(err)
			}
			return n
		}
	}
	t.Fatalf("/metrics has no %s", name)
	return 0
}

// TestNothingGrowsUnderLoad calls, lists, opens and drops streams, and makes and ends grants, at a pace
// that leaves the machine room. What the gateway holds in the last quarter is no more than in the second,
// but for noise, and when the load has gone descriptors and goroutines are what they were. Lasts SOAK (20s).
func TestNothingGrowsUnderLoad(t *testing.T) {
	s := newServer(t)
	g := newGate(t, "limits: {concurrentPerGrant: 64}\n", map[string]string{"files": at(s.url)})
	g.start(t)
	g.mustCall(t, g.token(t), "read_file", "/first")
	before := g.holds(t)

	lasting := lasts(t, "SOAK", 20*time.Second)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var token atomic.Value
	token.Store(g.token(t))
	pause := lasts(t, "PACE", 5*time.Millisecond)
	var load sync.WaitGroup
	var calls atomic.Int64
	for c := range 8 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r, err := g.call(context.Background(), token.Load().(string), "read_file", fmt.Sprintf("/%d/%d", c, n))
				if err != nil || !r.done() && !r.stale() {
					t.Errorf("call %d of caller %d: %v %d %s", n, c, err, r.Status, r.Raw)
					return
				}
				if r.done() {
					calls.Add(1)
				}
				time.Sleep(pause)
			}
		})
	}
	var samples []held
	every := max(lasting/40, 250*time.Millisecond)
	renew := time.Now()
	tick := time.NewTicker(every)
	defer tick.Stop()
	const enough = 8 // samples: quarters are compared, also of a run on a machine that took its time
	for end := time.Now().Add(lasting); time.Now().Before(end) || len(samples) < enough; <-tick.C {
		w := g.dial(t) // a client that comes, asks half of something, and goes
		_ = w.say(g.post("", "Content-Length: 100") + `{"jsonrpc"`)
		_ = w.Close()
		g.must(t, "grant", "revoke", g.must(t, "grant", "create", "--role", "agent"))
		if time.Since(renew) > 5*time.Minute {
			token.Store(g.token(t))
			renew = time.Now()
		}
		samples = append(samples, g.holds(t))
	}
	stop()
	load.Wait()
	for i, h := range samples {
		t.Logf("%6s  goroutines %4.0f  files %4.0f  heap %6.1f MiB  resident %6.1f MiB",
			(time.Duration(i) * every).Round(time.Second), h.goroutines, h.files, h.bytes/(1<<20), h.resident/(1<<20))
	}
	t.Logf("%d calls", calls.Load())
	if n := calls.Load(); n < int64(len(samples)) {
		t.Errorf("%d calls were served while %d samples were taken: too few to show anything", n, len(samples))
	}
	// The heap rises to several times what is used before it is collected: only a long run shows its trend.
	heapRoom := 32.0 * (1 << 20)
	if lasting < 10*time.Minute {
		heapRoom *= 8
	}
	quarter := len(samples) / 4
	for _, of := range []struct {
		what string
		read func(held) float64
		room float64 // noise, beside a tenth
	}{
		{"goroutines", func(h held) float64 { return h.goroutines }, 20},
		{"files", func(h held) float64 { return h.files }, 20},
		{"bytes of heap", func(h held) float64 { return h.bytes }, heapRoom},
		{"resident bytes", func(h held) float64 { return h.resident }, heapRoom},
	} {
		early, late := middleOf(samples[quarter:2*quarter], of.read), middleOf(samples[3*quarter:], of.read)
		if late > early*1.1+of.room {
			t.Errorf("%s: %.0f in the second quarter, %.0f in the last", of.what, early, late)
		}
	}
	clients.CloseIdleConnections()
	eventually(t, "what the load held is given back", func() error {
		if now := g.holds(t); now.files > before.files+10 || now.goroutines > before.goroutines+20 {
			return fmt.Errorf("before %+v, now %+v", before, now)
		}
		return nil
	})
	g.verify(t)
}

func middleOf(samples []held, read func(held) float64) float64 {
	var all []float64
	for _, s := range samples {
		all = append(all, read(s))
	}
	slices.Sort(all)
	return all[len(all)/2]
}
