package e2e

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/identity/pop"
)

const readersWait = `package mcp.authz

import rego.v1

allow if "reader" in input.subject.roles
`

// wait is the call that takes thirty seconds.
const (
	waitModern = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{` + modern + `,"name":%q,"arguments":{}}}`
	waitLegacy = `{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"wait","arguments":{}}}`
)

// revocation is a gateway before three servers that are slow: one of each era over HTTP, and a
// program of which each grant has its own.
type revocation struct {
	g              *gate
	modern, legacy *slow
	dir            string // of the program
}

func newRevocation(t *testing.T) *revocation {
	t.Helper()
	r := &revocation{modern: newSlow(t, "2026-07-28"), legacy: newSlow(t, "2025-11-25"), dir: t.TempDir()}
	r.g = startGate(t, setup{policies: map[string]string{"authz.rego": readersWait},
		servers:  map[string]string{"modern": r.modern.url, "legacy": r.legacy.url},
		programs: map[string]string{"program": slowYAML(t, r.dir)}})
	return r
}

// answer is how something ended that a client had open.
type answer struct {
	what   string
	status int
	body   string
	err    error
}

// begin opens all that can be open under a grant, at /mcp and at the servers' own URLs, and
// returns when it is under way. Each end comes on the channel.
func (r *revocation) begin(t *testing.T, h *holder) (ends <-chan answer, open int) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 2*patience)
	t.Cleanup(stop)
	session := r.session(t, h)
	for _, s := range []*slow{r.modern, r.legacy} {
		s.reset() // of what the gateway has opened for itself, and of the test before
	}
	_ = os.Remove(filepath.Join(r.dir, "call"))
	out := make(chan answer, 5)
	start := func(what, method, path, body string, header ...string) {
		open++
		go func() {
			a := answer{what: what}
			resp, err := h.open(ctx, method, path, body, header...)
			if a.err = err; err == nil {
				var text []byte
				text, a.err = io.ReadAll(resp.Body)
				_ = resp.Body.Close()
				a.status, a.body = resp.StatusCode, string(text)
			}
			out <- a
		}()
	}
	newer := func(method, name string) []string {
		return []string{"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", method, "Mcp-Name", name}
	}
	start("modern call", "POST", "/mcp", fmt.Sprintf(waitModern, "modern__wait"), newer("tools/call", "modern__wait")...)
	start("subscription", "POST", "/mcp/modern", `{"jsonrpc":"2.0","id":8,"method":"subscriptions/listen","params":{`+modern+`,"notifications":{"toolsListChanged":true}}}`,
		newer("subscriptions/listen", "")[:4]...)
	start("legacy call", "POST", "/mcp/legacy", waitLegacy, "MCP-Protocol-Version", "2025-11-25", "Mcp-Session-Id", session)
	start("legacy stream", "GET", "/mcp/legacy", "", "MCP-Protocol-Version", "2025-11-25", "Mcp-Session-Id", session)
	start("program call", "POST", "/mcp", fmt.Sprintf(waitModern, "program__wait"), newer("tools/call", "program__wait")...)
	eventually(t, "all is under way", func() error {
		for what, at := range map[string]time.Time{"modern call": r.modern.at(toldCall), "subscription": r.modern.at(toldStream),
			"legacy call": r.legacy.at(toldCall), "legacy stream": r.legacy.at(toldStream)} {
			if at.IsZero() {
				return fmt.Errorf("no %s", what)
			}
		}
		if !slowRuns(t, r.dir) {
			return fmt.Errorf("no program call")
		}
		return nil
	})
	return out, open
}

// session begins a session of the older era.
func (r *revocation) session(t *testing.T, h *holder) string {
	t.Helper()
	resp, err := h.open(t.Context(), "POST", "/mcp/legacy", `{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}}`)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	id := resp.Header.Get("Mcp-Session-Id")
	if id == "" {
		text, _ := io.ReadAll(resp.Body)
		t.Fatalf("initialize: %d %s; want a session", resp.StatusCode, text)
	}
	return id
}

// within is the bound that the product promises for the end of everything.
const within = time.Second

// ended waits for the ends at the servers and returns how long each took from began.
func (r *revocation) ended(t *testing.T, began time.Time) map[string]time.Duration {
	t.Helper()
	took := map[string]time.Duration{}
	eventually(t, "all has ended at the servers", func() error {
		for what, at := range map[string]time.Time{"modern call": r.modern.at(toldCallGone), "subscription": r.modern.at(toldStreamEnd),
			"legacy call": r.legacy.at(toldCancelled), "legacy stream": r.legacy.at(toldStreamEnd), "legacy session": r.legacy.at(toldDeleted)} {
			if at.IsZero() {
				return fmt.Errorf("the %s goes on", what)
			}
			took[what] = at.Sub(began)
		}
		if slowRuns(t, r.dir) {
			return fmt.Errorf("the program runs")
		}
		if _, ok := took["program"]; !ok {
			took["program"] = time.Since(began)
		}
		return nil
	})
	return took
}

// Whatever way a grant is named when it is revoked, all that is under way under it ends at the
// servers within a second, programs that read nothing included. Clients hear of it, the record
// says it, and the token is worth nothing from then on.
func TestRevokingAGrantEndsWhatItWasDoing(t *testing.T) {
	r := newRevocation(t)
	for _, by := range []string{"id", "--task", "--subject", "--client", "--key", "--all"} {
		t.Run(by, func(t *testing.T) {
			// A machine that is busy may be late by itself, but not again and again.
			var late string
			for try := range 3 {
				if late = r.revokes(t, by, fmt.Sprint(strings.Trim(by, "-"), try)); late == "" {
					return
				}
				t.Log(late)
			}
			t.Errorf("three times: %s; want at most %v", late, within)
		})
	}
}

// revokes revokes a grant in one way, and says what went on for too long.
func (r *revocation) revokes(t *testing.T, by, name string) (late string) {
	t.Helper()
	key, err := pop.NewKey()
	if err != nil {
		t.Fatal(err)
	}
	created := r.g.createGrant(t, "--task", "task-"+name, "--subject", "subject-"+name, "--client", "client-"+name, "--key", key.JKT())
	other := r.g.holder(t, r.g.createGrant(t, "--subject", "bystander-"+name).ID, nil)
	h := r.g.holder(t, created.ID, key)
	ends, open := r.begin(t, h)

	which := map[string][]string{"id": {created.ID}, "--task": {by, created.Task}, "--subject": {by, created.Subject},
		"--client": {by, created.ClientID}, "--key": {by, key.JKT()}, "--all": {by}}[by]
	args := append([]string{"grant", "revoke", "--config", r.g.config, "--why", "lost-" + name}, which...)
	began := time.Now()
	out, stderr, code := sallyport(t, args...)
	if code != 0 || !strings.Contains(out, created.ID) {
		t.Fatalf("sallyport %v: exit %d: %s%s; want the id", args, code, out, stderr)
	}
	took := r.ended(t, began)
	for what, d := range took {
		if d > within {
			late = fmt.Sprintf("the %s went on for %v", what, d)
		}
	}
	t.Logf("ended at the servers after %v, the command included", took)
	for range open {
		a := <-ends
		if (strings.Contains(a.what, "call") && (a.status != http.StatusUnauthorized || a.err != nil)) || strings.Contains(a.body, "waited") {
			t.Errorf("the client's %s: %d %.300s, %v; want a refusal", a.what, a.status, a.body, a.err)
		}
	}
	r.refused(t, h)
	if resp := list(t, other); (resp == http.StatusOK) != (by != "--all") {
		t.Errorf("another grant's token after revoking by %s: %d", by, resp)
	}
	r.recorded(t, created.ID, "lost-"+name)
	return late
}

// list asks for the tools and returns the status of the answer.
func list(t *testing.T, h *holder) int {
	t.Helper()
	resp, err := h.open(t.Context(), "POST", "/mcp/modern", `{"jsonrpc":"2.0","id":9,"method":"tools/list","params":{`+modern+`}}`,
		"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/list")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	return resp.StatusCode
}

// refused tries the token again, which is worth nothing more.
func (r *revocation) refused(t *testing.T, h *holder) {
	t.Helper()
	r.modern.reset()
	resp, err := h.open(t.Context(), "POST", "/mcp", fmt.Sprintf(waitModern, "modern__wait"),
		"MCP-Protocol-Version", "2026-07-28", "Mcp-Method", "tools/call", "Mcp-Name", "modern__wait")
	if err != nil {
		t.Fatal(err)
	}
	_ = resp.Body.Close()
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(resp.Header.Get("WWW-Authenticate"), "resource_metadata") {
		t.Errorf("a call after the end: %d %v; want 401 with a challenge", resp.StatusCode, resp.Header)
	}
	if !r.modern.at(toldCall).IsZero() {
		t.Error("a call after the end reached the server")
	}
}

// recorded looks for the revocation, and for the ends of what it cut short.
func (r *revocation) recorded(t *testing.T, id, why string) {
	t.Helper()
	eventually(t, "the record tells it", func() error {
		acts, cut := 0, map[string]int{}
		for _, d := range r.g.records(t) {
			switch {
			case d.Method == "grant/revoke" && strings.Contains(d.Detail, why) && strings.Contains(d.Detail, id):
				acts++
			case d.Grant == id && d.Phase == "outcome" && strings.Contains(d.Detail, "revoked"):
				cut[d.Method]++
			}
		}
		if acts != 1 || cut["tools/call"] != 3 || cut["subscriptions/listen"] < 2 {
			return fmt.Errorf("%d revocations (want 1), cut short %v (want 3 calls and 2 streams)", acts, cut)
		}
		return nil
	})
}
