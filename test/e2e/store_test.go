package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// A gateway whose store of grants has gone can no longer know what was revoked, so it refuses
// all that needs a grant, within a second, and says so to whoever watches over it. What it knew
// does not come back with an empty store.
func TestStoreThatGoesAwayRefusesWithinASecond(t *testing.T) {
	for name, spoil := range map[string]func(file string) error{
		"removed": os.Remove,
		"replaced by its own copy": func(file string) error {
			text, err := os.ReadFile(file)
			if err == nil {
				err = os.WriteFile(file+".new", text, 0o600)
			}
			if err == nil {
				err = os.Rename(file+".new", file)
			}
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			up := newRecorder(t)
			g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
			made := g.createGrant(t)
			token := g.holder(t, made.ID, nil).token
			call := func() rpc {
				r, err := g.tryPost(t.Context(), token, readFile, "Mcp-Method", "tools/call", "Mcp-Name", "read_file")
				if err != nil {
					t.Fatal(err)
				}
				return r
			}
			if r := call(); r.text() != "done" {
				t.Fatalf("call while all is well: %d %s", r.Status, r.Raw)
			}
			gone := time.Now()
			if err := spoil(filepath.Join(g.state, "grants.db")); err != nil {
				t.Fatal(err)
			}
			var r rpc
			var let time.Duration // until the newest call that was let through was made
			eventually(t, "calls are refused", func() error {
				at := time.Since(gone)
				if r = call(); r.Status != http.StatusServiceUnavailable {
					let = at
					return fmt.Errorf("%d %s", r.Status, r.Raw)
				}
				return nil
			})
			t.Logf("let through for %v", let)
			if let > time.Second {
				t.Errorf("calls were let through for %v; want at most a second", let)
			}
			if r.Error == nil || r.Error.Code != 503 || r.Error.Message != "which grants live is not known at the moment" {
				t.Errorf("refusal: %s", r.Raw)
			}
			g.saysItIsStale(t, made.ID)

			before := len(up.seen())
			g.signal(syscall.SIGTERM)
			g.start(t)
			switch r := g.post(t, token, readFile, "Mcp-Method", "tools/call", "Mcp-Name", "read_file"); {
			case name == "removed" && r.Status != http.StatusUnauthorized:
				t.Errorf("call after a start with an empty store: %d %s; want 401", r.Status, r.Raw)
			case name == "removed" && len(up.seen()) != before:
				t.Error("the call reached the server")
			case name != "removed" && r.text() != "done":
				t.Errorf("call after a start with the copy: %d %s", r.Status, r.Raw)
			}
		})
	}
}

// saysItIsStale asks everybody who should know, and for what cannot be given now.
func (g *gate) saysItIsStale(t *testing.T, id string) {
	t.Helper()
	status, body, err := get("http://" + g.admin + "/readyz")
	if err != nil || status != http.StatusServiceUnavailable || !strings.Contains(body, "every call is refused") || !strings.Contains(body, "store") {
		t.Errorf("/readyz: %d %s %v; want 503 and why", status, body, err)
	}
	eventually(t, "the log says what happened and what to do", func() error {
		for _, want := range []string{"the store of grants is gone", "refused until the gateway is started anew"} {
			if !strings.Contains(g.log.String(), want) {
				return fmt.Errorf("it lacks %q", want)
			}
		}
		return nil
	})
	for _, args := range [][]string{
		{"grant", "create", "--role", "reader"}, {"token", "mint", "--role", "reader"}, {"token", "headers", "--grant", id},
	} {
		out, said, code := sallyport(t, append(args, "--config", g.config)...)
		if code == 0 || out != "" || !strings.Contains(said, "store of grants does not answer") {
			t.Errorf("sallyport %v: exit %d, %s%s; want a refusal that says why", args, code, out, said)
		}
	}
}
