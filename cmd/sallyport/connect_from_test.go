package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/identity/grant"
)

// Each outside identity makes a grant with its first exchange, which ends with connect.
func TestConnectExchangesOutsideIdentities(t *testing.T) {
	r := newConnectRig(t, aReader)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(r.outside(r.issuer)), 0o600); err != nil {
		t.Fatal(err)
	}
	github := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, q *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = fmt.Fprintf(w, `{"value":%q}`, r.outside(q.URL.Query().Get("audience")))
	}))
	defer github.Close()
	const ci = `{"jsonrpc":"2.0","id":1,"result":{"subject":"ci:https%3A//ci.example","roles":"reader","proof":"dpop"}}`
	const agent = `{"jsonrpc":"2.0","id":1,"result":{"subject":"agent:agent-7","roles":"writer","proof":"dpop"}}`
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"file", nil, []string{"--from", "file:" + file}, ci},
		{"exec", nil, []string{"--from", "exec:cat " + file}, ci},
		{"github", []string{githubURL + "=" + github.URL, githubToken + "=t"}, []string{"--from", "github"}, ci},
		{"key", nil, []string{"--from", "key:" + r.key, "--client", "agent-7"}, agent},
	} {
		t.Run(tt.name, func(t *testing.T) {
			for _, v := range tt.env { // as a job has them
				name, value, _ := strings.Cut(v, "=")
				t.Setenv(name, value)
			}
			c := r.connect(tt.env, append(tt.args, "--task", tt.name)...)
			if got := c.ask(1); got != tt.want {
				t.Errorf("answer = %s\nwant     %s", got, tt.want)
			}
			for _, v := range tt.env {
				if name, _, _ := strings.Cut(v, "="); os.Getenv(name) != "" {
					t.Errorf("%s is still in the environment", name)
				}
			}
			if code := c.end(); code != exitFine {
				t.Errorf("exit %d; want 0; talk:\n%s", code, c.talk)
			}
			found := r.grants.List(grant.Filter{Task: tt.name})
			if len(found) != 1 || found[0].State != grant.Completed || found[0].JKT == "" {
				t.Errorf("grants of %s = %+v; want one, bound and completed", tt.name, found)
			}
		})
	}
}

// A rule that gives a role less than was asked for, a token for somebody else, a grant that is
// revoked: the words of the gateway reach the client.
func TestConnectSaysWhatTheTokenEndpointRefuses(t *testing.T) {
	r := newConnectRig(t, aReader)
	file := filepath.Join(t.TempDir(), "token")
	put := func(token string) {
		if err := os.WriteFile(file, []byte(token), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	put(r.outside("https://other.example"))
	c := r.connect(nil, "--from", "file:"+file)
	if got := c.ask(1); !strings.Contains(got, "exchange at "+r.issuer+"/oauth/token: refused: the subject_token is not accepted; the gateway's log says why (invalid_request)") {
		t.Errorf("a token for another: %s", got)
	}
	if code := c.exit(); code != exitFailed {
		t.Errorf("exit %d; want 1", code)
	}
	put(r.outside(r.issuer))
	c = r.connect(nil, "--from", "file:"+file, "--role", "writer")
	if got := c.ask(1); !strings.Contains(got, "writer") || !strings.Contains(got, "refused: ") {
		t.Errorf("a role that the rule does not give: %s", got)
	}
	c = r.connect(nil, "--from", "file:"+file)
	c.ask(1)
	id := r.one().ID
	if _, err := r.grants.Revoke(t.Context(), grant.Filter{ID: id}, grant.Revoked, "dana", "lunch"); err != nil {
		t.Fatal(err)
	}
	put(r.outside(r.issuer))
	want := `{"jsonrpc":"2.0","id":2,"error":{"code":401,"message":"task grant ` + id + ` has ended: revoked by dana (lunch); start the task again"}}`
	if got := c.ask(2); got != want {
		t.Errorf("answer = %s\nwant     %s", got, want)
	}
	if code := c.end(); code != exitNo {
		t.Errorf("exit %d; want 3; talk:\n%s", code, c.talk)
	}
	if all := r.grants.List(grant.Filter{All: true}); len(all) != 1 {
		t.Errorf("%d grants; want 1: what was revoked is not made anew", len(all))
	}
}
