package e2e

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestServeSaysWhyItDoesNotStart shows the words that a person reads for each thing that keeps
// the gateway from starting. In every case it exits and has listened on nothing.
func TestServeSaysWhyItDoesNotStart(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	withPolicy := func(name, text string) func(*testing.T, *gate) {
		return func(t *testing.T, g *gate) { g.writePolicy(t, name, text) }
	}
	edit := func(old, new string) func(*testing.T, *gate) {
		return func(t *testing.T, g *gate) {
			text, err := os.ReadFile(g.config)
			if err == nil {
				err = os.WriteFile(g.config, []byte(strings.ReplaceAll(string(text), strings.ReplaceAll(old, "ADDR", g.addr), new)), 0o600)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	for _, tt := range []struct {
		name  string
		spoil func(*testing.T, *gate)
		want  []string
	}{
		{"a port that is taken", edit("listen: ADDR", "listen: "+taken.Addr().String()), []string{taken.Addr().String(), "taken"}},
		{"an unknown key", edit("state: ", "statte: x\nstate: "), []string{"sallyport.yaml:3", "statte"}},
		{"a public address without TLS", edit("listen: ADDR", "listen: 0.0.0.0:8080"), []string{"0.0.0.0:8080", "tls"}},
		{"no policy directory", edit("policies: ./policies", "policies: ./nowhere"), []string{"nowhere"}},
		{"a policy that does not parse", withPolicy("authz.rego", strings.Replace(readersRead, "==", "== =", 1)), []string{"authz.rego:7", "== ="}},
		{"a policy without allow", withPolicy("authz.rego", "package mcp.authz\n\nimport rego.v1\n\ndeny contains \"no\" if false\n"), []string{"allow"}},
		{"a policy whose test fails", withPolicy("authz_test.rego", "package mcp.authz_test\n\nimport rego.v1\n\nimport data.mcp.authz\n\ntest_wrong if authz.allow with input as {}\n"), []string{"authz_test.rego", "test_wrong"}},
		{"a policy that asks the network", withPolicy("more.rego", "package mcp.authz\n\nimport rego.v1\n\nallow if http.send({\"method\": \"get\", \"url\": \"http://127.0.0.1/\"}).status_code == 200\n"), []string{"more.rego:5", "http.send"}},
		{"a state directory that others can read", func(t *testing.T, g *gate) {
			if err := os.MkdirAll(filepath.Join(g.state, "keys"), 0o755); err != nil { // the point
				t.Fatal(err)
			}
		}, []string{"state", "0700"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g := newGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": "http://127.0.0.1:1/mcp"}})
			tt.spoil(t, g)
			_, said, code := sallyport(t, "serve", "--config", g.config)
			if code == 0 {
				t.Errorf("exit 0, want a failure")
			}
			for _, want := range tt.want {
				if !strings.Contains(said, want) {
					t.Errorf("it does not say %q:\n%s", want, said)
				}
			}
		})
	}
}

// TestServerThatIsDownIsNamedAndComesBack follows one server through its absence: the gateway
// starts without it, says so to the operator and to the caller, and serves it when it is there.
func TestServerThatIsDownIsNamedAndComesBack(t *testing.T) {
	addr := freeAddress(t)
	g := newGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": "http://" + addr + "/mcp"}})
	g.start(t)
	token := g.token(t, "reader")
	call := func() rpc { return g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`) }
	if r := call(); r.Status != http.StatusOK || r.Error == nil || r.Error.Code != 502 || !strings.Contains(r.Error.Message, `"files"`) {
		t.Errorf("call to a server that is down: %d %s; want error 502 that names it", r.Status, r.Raw)
	}
	if _, body, err := get("http://" + g.admin + "/readyz"); err != nil || !strings.Contains(body, "files") {
		t.Errorf("/readyz does not name the server: %v %s", err, body)
	}

	rec := &recorder{}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	srv := &http.Server{Handler: rec} // a test's own client needs no deadlines
	go func() { _ = srv.Serve(l) }()
	defer srv.Close()
	eventually(t, "the server is served once it is there", func() error {
		if r := call(); r.text() != "done" {
			return fmt.Errorf("%d %s", r.Status, r.Raw)
		}
		return nil
	})
	_ = srv.Close()
	if r := call(); r.Status != http.StatusOK || r.Error == nil || r.Error.Code != 502 {
		t.Errorf("call to a server that went down: %d %s; want error 502", r.Status, r.Raw)
	}
}

func TestEmptiedPolicyDirectoryChangesNothing(t *testing.T) {
	up := newRecorder(t)
	g := startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": up.url}})
	token := g.token(t, "reader")
	if err := os.Remove(filepath.Join(g.policies, "authz.rego")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the operator is told", func() error {
		if _, body, err := get("http://" + g.admin + "/readyz"); err != nil || !strings.Contains(body, "not installed") {
			return fmt.Errorf("/readyz: %v %s", err, body)
		}
		return nil
	})
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Errorf("allowed call: %d %s; want what held before", r.Status, r.Raw)
	}
	if r := g.modernCall(t, token, "read_file", `{"path":"/etc/passwd"}`); !r.isError() {
		t.Errorf("refused call: %d %s; want what held before", r.Status, r.Raw)
	}
}
