package chaos

import (
	"context"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestKilledAtRandomUnderLoad kills the gateway again and again, in mid-load and while it starts.
// Whatever reached a server has exactly one decision on record, which was there before; nothing is
// recorded twice; what grants have spent, what they have touched and that they are revoked
// survives; the record verifies. Lasts CHAOS (20s).
func TestKilledAtRandomUnderLoad(t *testing.T) {
	files, web := newServer(t), newServer(t)
	g := newGate(t, "limits: {concurrentPerGrant: 64}\n", map[string]string{
		"files": fmt.Sprintf(`{type: http, url: %q, tools: {"read_private": {labels: [source:private]}}}`, files.url),
		"web":   fmt.Sprintf(`{type: http, url: %q, labels: [sink:external]}`, web.url)})
	g.start(t)
	l := newLedger(t, g)
	files.onCall = l.reached
	worker := g.must(t, "grant", "create", "--role", "agent", "--max-calls", "1000000000", "--ttl", "24h")
	reader := g.must(t, "grant", "create", "--role", "agent", "--task", "reader", "--ttl", "24h")
	spy := g.token(t, "--grant", reader)
	if r := g.served(t, spy, "read_private", "/secret"); !r.done() {
		t.Fatalf("reading what is private: %d %s", r.Status, r.Raw)
	}

	const seed = 7
	chance := rand.New(rand.NewPCG(seed, seed))
	end := time.Now().Add(lasts(t, "CHAOS", 20*time.Second))
	kills, inStart := 0, 0
	for cycle := 0; time.Now().Before(end); cycle++ {
		revoked := g.must(t, "grant", "create", "--role", "agent")
		dead := g.token(t, "--grant", revoked)
		g.must(t, "grant", "revoke", revoked)
		spy = g.token(t, "--grant", reader)
		g.loadUntilKilled(t, cycle, g.token(t, "--grant", worker), time.Duration(chance.IntN(2000))*time.Millisecond)
		kills++
		for chance.IntN(3) == 0 { // and while it starts
			g.launch(t)
			time.Sleep(time.Duration(chance.IntN(150)) * time.Millisecond)
			g.signal(syscall.SIGKILL)
			kills, inStart = kills+1, inStart+1
		}
		g.start(t)
		l.read(t, worker)
		g.survived(t, worker, l.charged)
		if r := g.served(t, dead, "read_file", "/dead"); r.Status != http.StatusUnauthorized {
			t.Errorf("cycle %d: a call under a grant that was revoked before the kill: %d %s; want 401", cycle, r.Status, r.Raw)
		}
		if r := g.servedAt(t, "/mcp/web", spy, "send", "/secret"); !strings.Contains(r.text(), "may not leave") {
			t.Errorf("cycle %d: sending what was read before the kill: %d %s; want a refusal", cycle, r.Status, r.Raw)
		}
		if t.Failed() {
			t.Fatalf("cycle %d of seed %d", cycle, seed)
		}
	}
	g.verify(t)
	if web.calls.Load() != 0 {
		t.Errorf("%d calls reached the server outside", web.calls.Load())
	}
	if files.calls.Load() <= 1 { // the spy's
		t.Error("no call under load has reached the server, so this shows nothing")
	}
	t.Logf("%d kills, %d of them while it started; %d calls reached the server, %d charged, %d looked for before their answer",
		kills, inStart, files.calls.Load(), l.charged, l.looked.Load())
}

// loadUntilKilled calls from all sides and kills the gateway after some time.
func (g *gate) loadUntilKilled(t *testing.T, cycle int, token string, after time.Duration) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var load sync.WaitGroup
	pause := lasts(t, "PACE", 3*time.Millisecond)
	for c := range 6 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r, err := g.call(ctx, token, "read_file", fmt.Sprintf("/%d/%d/%d", cycle, c, n))
				if err != nil {
					return // killed
				}
				if !r.done() && !r.stale() {
					t.Errorf("call in cycle %d: %d %s", cycle, r.Status, r.Raw)
					return
				}
				time.Sleep(pause) // an hour's record has to fit on a disk
			}
		})
	}
	time.Sleep(after)
	g.signal(syscall.SIGKILL)
	stop()
	load.Wait()
}

// survived holds what a grant has spent, as the gateway knows it after a start, to the record.
func (g *gate) survived(t *testing.T, id string, charged int64) {
	t.Helper()
	var s struct{ Usage struct{ Calls int64 } }
	out := g.must(t, "grant", "show", id, "-o", "json")
	if err := json.Unmarshal([]byte(out), &s); err != nil || s.Usage.Calls != charged {
		t.Errorf("grant show: %d calls used, %v; the record charges %d", s.Usage.Calls, err, charged)
	}
}
