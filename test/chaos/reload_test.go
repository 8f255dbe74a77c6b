package chaos

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestReloadUnderLoadFailsNoRequest changes the policy and the configuration every second, a limit
// and a server among it, while calls come from all sides. Not one call fails. Lasts RELOAD (10s).
func TestReloadUnderLoadFailsNoRequest(t *testing.T) {
	s := newServer(t)
	g := newGate(t, "limits: {concurrentPerGrant: 64}\n", map[string]string{"files": at(s.url)})
	g.start(t)
	token := g.token(t)
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	var load sync.WaitGroup
	var calls atomic.Int64
	for c := range 8 {
		load.Go(func() {
			for n := 0; ctx.Err() == nil; n++ {
				r, err := g.call(context.Background(), token, "read_file", fmt.Sprintf("/%d/%d", c, n))
				if err != nil || !r.done() && !r.stale() {
					t.Errorf("call %d of caller %d: %v %d %s; want done", n, c, err, r.Status, r.Raw)
					return
				}
				if r.done() {
					calls.Add(1)
				}
				time.Sleep(time.Millisecond)
			}
		})
	}
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	config := g.read(t, "sallyport.yaml")
	changes := 0
	for end := time.Now().Add(lasts(t, "RELOAD", 10*time.Second)); time.Now().Before(end) && !t.Failed(); changes++ {
		g.save(t, "policies/authz.rego", fmt.Sprintf("%s\n# %d\nallow if \"nobody-%d\" in input.subject.roles\n", policy, changes, changes))
		next := strings.Replace(config, "concurrentPerGrant: 64", fmt.Sprintf("concurrentPerGrant: %d", 65+changes%2), 1)
		if changes%2 == 0 {
			next += "  more: " + at(s.url) + "\n"
		}
		before := g.number(t, "sallyport_reloads_total")
		g.save(t, "sallyport.yaml", next)
		eventually(t, "the change is installed", func() error {
			if n := g.number(t, "sallyport_reloads_total"); n <= before {
				return fmt.Errorf("%v reloads, as before the change", n)
			}
			return nil
		})
		<-tick.C
	}
	if n := strings.Count(g.log.String(), "policies installed"); n < changes/2 {
		t.Errorf("policies were installed %d times, after %d changes", n, changes)
	}
	if n := g.number(t, "sallyport_reloads_failed_total"); n != 0 {
		t.Errorf("%v of %d changes were not installed", n, changes)
	}
	stop()
	load.Wait()
	t.Logf("%d changes of both, %d calls", changes, calls.Load())
	if n := calls.Load(); n < int64(changes) {
		t.Errorf("%d calls were served under %d changes: too few to show anything", n, changes)
	}
}
