package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"sallyport/identity/grant"
)

// manyAtOnce lets all calls of a race be under way at the same time, so that it is the count
// that bounds them.
const manyAtOnce = "limits: {concurrentPerGrant: 2000}\n"

const readFile = `{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{` + modern + `,"name":"read_file","arguments":{"path":"/srv/docs/a"}}}`

// show is what `sallyport grant show` says.
func (g *gate) show(t *testing.T, id string) grant.Status {
	t.Helper()
	out, said, code := sallyport(t, "grant", "show", id, "--config", g.config, "-o", "json")
	var s grant.Status
	if err := json.Unmarshal([]byte(out), &s); code != 0 || err != nil {
		t.Fatalf("grant show: exit %d, %v: %s", code, err, said)
	}
	return s
}

// charged is what the record on disk charges to a grant.
func (g *gate) charged(t *testing.T, id string) (calls int64) {
	t.Helper()
	for _, d := range g.records(t) {
		if d.Grant == id {
			calls += d.Calls
		}
	}
	return calls
}

// race sends a thousand calls by as many callers at once as it is told, and counts the answers.
// Those that a killed gateway gave no answer to are neither.
func (g *gate) race(t *testing.T, token string, callers int) (done, limited int64) {
	t.Helper()
	var ok, no atomic.Int64
	var racing sync.WaitGroup
	for range callers {
		racing.Go(func() {
			for n := 0; n < 1000/callers; n++ {
				r, err := g.tryPost(t.Context(), token, readFile, "Mcp-Method", "tools/call", "Mcp-Name", "read_file")
				switch {
				case err != nil: // killed
				case r.stale():
					n--
					time.Sleep(50 * time.Millisecond)
				case r.text() == "done":
					ok.Add(1)
				case r.isError() && strings.HasSuffix(r.text(), "allows 100 calls and all are used; ask for a new grant"):
					no.Add(1)
				default:
					t.Errorf("answer: %d %s", r.Status, r.Raw)
				}
			}
		})
	}
	racing.Wait()
	return ok.Load(), no.Load()
}

func TestOfAThousandCallsAHundredAreMade(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}, more: manyAtOnce})
	made := g.createGrant(t, "--max-calls", "100")
	done, limited := g.race(t, g.holder(t, made.ID, nil).token, 1000)
	if n := len(up.seen()); done != 100 || limited != 900 || n != 100 {
		t.Errorf("%d answered, %d limited, %d at the server; want 100, 900, 100", done, limited, n)
	}
	s := g.show(t, made.ID)
	if s.State != grant.Exhausted || s.Usage.Calls != 100 || s.CallsLeft == nil || *s.CallsLeft != 0 {
		t.Errorf("grant show: %s, %d used, left %v; want exhausted, 100, 0", s.State, s.Usage.Calls, s.CallsLeft)
	}
	if n := g.charged(t, made.ID); n != 100 {
		t.Errorf("the record charges %d; want 100", n)
	}
}

// TestAKilledGatewayGivesNoCallTwice kills the gateway in a race, as the power does, and goes on
// with the race after a start: what was given out before is not given out again.
func TestAKilledGatewayGivesNoCallTwice(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}, more: manyAtOnce})
	made := g.createGrant(t, "--max-calls", "100")
	token := g.holder(t, made.ID, nil).token
	first := g.cmd.Process
	up.onCall = func(n int) {
		if n == 40 {
			_ = first.Signal(syscall.SIGKILL)
		}
	}
	g.race(t, token, 20)
	<-g.exited
	reached, charged := int64(len(up.seen())), g.charged(t, made.ID)
	if reached < 40 || charged < reached || charged >= 100 {
		t.Fatalf("killed with %d at the server and %d on record; want at least 40, some left, and no more at the server than on record", reached, charged)
	}

	g.start(t)
	if s := g.show(t, made.ID); s.Usage.Calls != charged {
		t.Errorf("grant show after the start: %d used; want the %d of the record", s.Usage.Calls, charged)
	}
	done, limited := g.race(t, token, 1000)
	if done != 100-charged || limited != 1000-done {
		t.Errorf("%d answered and %d limited in the second life; want the %d that were left", done, limited, 100-charged)
	}
	if n := int64(len(up.seen())); n > 100 || n != reached+done {
		t.Errorf("%d at the server over both lives, %d of them in the first; want at most 100", n, reached)
	}
	if s, n := g.show(t, made.ID), g.charged(t, made.ID); s.Usage.Calls != 100 || n != 100 {
		t.Errorf("grant show: %d used, %d on record; want 100", s.Usage.Calls, n)
	}
	t.Logf("killed with %d of 100 at the server, %d on record", reached, charged)
}

// What surely did not reach a server is given back, and a start after it knows that.
func TestCallsToAServerThatIsDownAreGivenBack(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: &recorder{}} // a test's own client needs no deadlines
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": "http://" + l.Addr().String() + "/mcp"}})
	made := g.createGrant(t, "--max-calls", "3")
	token := g.holder(t, made.ID, nil).token
	call := func() rpc { return g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`) }
	if r := call(); r.text() != "done" {
		t.Fatalf("call while it is up: %d %s", r.Status, r.Raw)
	}
	_ = srv.Close()
	for range 5 {
		if r := call(); r.Error == nil || r.Error.Code != 502 {
			t.Fatalf("call while it is down: %d %s; want 502", r.Status, r.Raw)
		}
	}
	left := func() error {
		if s := g.show(t, made.ID); s.Usage.Calls != 1 || s.CallsLeft == nil || *s.CallsLeft != 2 {
			return fmt.Errorf("%d used, left %v; want 1 and 2", s.Usage.Calls, s.CallsLeft)
		}
		return nil
	}
	if err := left(); err != nil {
		t.Error(err)
	}
	eventually(t, "what was given back is on record", func() error {
		if n := g.charged(t, made.ID); n != 1 {
			return fmt.Errorf("%d charged; want 1", n)
		}
		return nil
	})
	g.signal(syscall.SIGKILL)
	g.start(t)
	if err := left(); err != nil {
		t.Errorf("after the start: %v", err)
	}
}
