package config

import (
	"crypto/tls"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/identity/mint"
)

// Both ways of noticing, so that the poll is known to do it alone.
var ways = map[string]watchOptions{
	"notified": {notify: true, poll: time.Hour, settle: 5 * time.Millisecond},
	"polling":  {poll: 5 * time.Millisecond, settle: 5 * time.Millisecond},
}

func TestANewPolicyIsFollowedAndABrokenOneChangesNothing(t *testing.T) {
	for name, way := range ways {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			i := install(t, server.URL)
			i.open()
			i.follow(way)
			i.write("policies/authz.rego", strings.ReplaceAll(readers, `"read"`, `"write"`))
			eventually(t, "the new policy allows write", func() bool { return i.call("/mcp/a", "write") == "done" })
			if got := i.call("/mcp/a", "read"); got != "Unknown tool: read" {
				t.Errorf("read → %s; want it hidden by the new policy", got)
			}
			for _, tt := range []struct{ name, text, want string }{
				{"authz.rego", "package mcp.authz\n\nallow if {\n\tinput.tool.nmae ==\n}\n", "authz.rego:5"},
				{"authz.rego", "package mcp.authz\n\nallow if http.send({\"url\": \"http://x\"})\n", "http.send"},
				{"authz.rego", "package mcp.authz\n\ndeny contains \"x\" if false\n", "no rule `allow`"},
				{"authz_test.rego", "package mcp.authz_test\n\ntest_never if false\n", "authz_test.rego:3: test test_never failed"},
			} {
				i.write("policies/authz.rego", strings.ReplaceAll(readers, `"read"`, `"write"`))
				i.write("policies/"+tt.name, tt.text)
				eventually(t, "the log says "+tt.want, func() bool { return strings.Contains(i.logs.String(), tt.want) })
				code, text := i.readyz()
				if code != http.StatusOK || !strings.Contains(text, tt.want) {
					t.Errorf("readyz: %d %q; want ready, and %s", code, text, tt.want)
				}
				if got := i.call("/mcp/a", "write"); got != "done" {
					t.Errorf("with a broken policy (%s): write → %s; want the one before to serve on", tt.want, got)
				}
			}
			if err := os.Remove(filepath.Join(i.dir, "policies/authz_test.rego")); err != nil {
				t.Fatal(err)
			}
			eventually(t, "all is well again", func() bool { _, text := i.readyz(); return text == "ready\n" })
		})
	}
}

func TestAPolicyDirectoryThatGoesAwayChangesNothing(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.open()
	i.follow(ways["polling"])
	dir := filepath.Join(i.dir, "policies")
	if err := os.Remove(filepath.Join(dir, "authz.rego")); err != nil {
		t.Fatal(err)
	}
	eventually(t, "emptied: the log says so", func() bool { return strings.Contains(i.logs.String(), "no .rego file in the policy directory") })
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("emptied: read → %s; want done", got)
	}
	if err := os.Rename(dir, dir+".away"); err != nil {
		t.Fatal(err)
	}
	eventually(t, "missing: readiness says so", func() bool { _, text := i.readyz(); return strings.Contains(text, "no such file or directory") })
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("missing: read → %s; want done", got)
	}
	i.write("policies/authz.rego", strings.ReplaceAll(readers, `"read"`, `"write"`))
	eventually(t, "the policy that comes back is followed", func() bool { return i.call("/mcp/a", "write") == "done" })
}

func TestServersComeAndGoWithTheFile(t *testing.T) {
	a, b := newFakeServer(t), newFakeServer(t)
	i := install(t, a.URL)
	i.open()
	i.follow(ways["notified"])
	kept := i.current.servers["a"]
	i.write("sallyport.yaml", "mcpServers:\n  a: {url: \""+a.URL+"\"}\n  b: {url: \""+b.URL+"\"}\n")
	eventually(t, "b is there", func() bool { return i.call("/mcp/b", "read") == "done" })
	i.mu.Lock()
	if i.current.servers["a"] != kept {
		t.Error("a server that did not change was made anew")
	}
	i.mu.Unlock()
	i.write("sallyport.yaml", "enforce: false\nmcpServers:\n  b: {url: \""+b.URL+"\"}\n")
	eventually(t, "a is gone", func() bool { return i.call("/mcp/a", "read") != "done" })
	if got := i.call("/mcp/b", "write"); got != "done" {
		t.Errorf("record-only: write → %s; want done", got)
	}
	i.write("sallyport.yaml", "enfroce: true\nmcpServers:\n  b: {url: \""+b.URL+"\"}\n")
	eventually(t, "the log names the line", func() bool {
		return strings.Contains(i.logs.String(), "sallyport.yaml:1: enfroce: unknown key; did you mean enforce?")
	})
	if got := i.call("/mcp/b", "read"); got != "done" {
		t.Errorf("broken file: read → %s; want done", got)
	}
}

func TestAChangeThatNeedsARestartIsNamedAndNotTaken(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.open()
	i.write("sallyport.yaml", "listen: 127.0.0.1:9\nstate: elsewhere\nmcpServers:\n  a: {url: \""+server.URL+"\"}\n")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if want := "keys=\"[listen publicURL state]\""; !strings.Contains(i.logs.String(), want) {
		t.Errorf("log lacks %s:\n%s", want, i.logs)
	}
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("read → %s; want done at the old address", got)
	}
	if code, text := i.readyz(); code != http.StatusOK || !strings.Contains(text, "changed, and taken at the next start only: listen, publicURL, state\n") {
		t.Errorf("readyz: %d %q; want ready, and the keys that wait for a restart", code, text)
	}
}

func TestACredentialReachesItsServerAndIsReadAgain(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.write("secret", "hunter1\n")
	i.write("sallyport.yaml", "mcpServers:\n  a:\n    url: "+server.URL+"\n    headers: {X-Team: blue}\n    credential: {type: file, path: secret}\n")
	i.open()
	i.follow(ways["notified"])
	carries := func(value string) bool {
		headers, _ := server.seen()
		last := headers[len(headers)-1]
		return last.Get("Authorization") == "Bearer "+value && last.Get("X-Team") == "blue"
	}
	if i.call("/mcp/a", "read"); !carries("hunter1") {
		t.Error("the call went without the credential")
	}
	i.write("secret", "hunter2")
	eventually(t, "the new credential is used", func() bool { return i.call("/mcp/a", "read") == "done" && carries("hunter2") })
	if text := i.logs.String(); strings.Contains(text, "hunter") {
		t.Errorf("a secret is in the log:\n%s", text)
	}
	i.write("secret", " \n")
	eventually(t, "an empty credential is refused", func() bool { return strings.Contains(i.logs.String(), "secret is empty") })
	if i.call("/mcp/a", "read"); !carries("hunter2") {
		t.Error("with a broken credential the one before must serve on")
	}
}

func TestACertificateIsReadAgain(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.pair("one")
	i.write("sallyport.yaml", "tls: {cert: cert.pem, key: key.pem}\nmcpServers:\n  a: {url: \""+server.URL+"\"}\n")
	i.open()
	i.follow(ways["notified"])
	front, err := tls.Listen("tcp", "127.0.0.1:0", i.TLS())
	if err != nil {
		t.Fatal(err)
	}
	served := &http.Server{Handler: i.Handler(), ReadHeaderTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = served.Serve(front) }() // ends when it is closed
	t.Cleanup(func() { _ = served.Close() })
	address := front.Addr().String()
	if got := peerName(t, address); got != "one" {
		t.Errorf("certificate of %s; want one", got)
	}
	i.pair("two")
	eventually(t, "the new certificate is shown", func() bool { return peerName(t, address) == "two" })
	i.write("key.pem", "no key")
	eventually(t, "a broken pair is refused", func() bool { return strings.Contains(i.logs.String(), "sallyport.yaml:1: tls: read certificate") })
	if got := peerName(t, address); got != "two" {
		t.Errorf("certificate of %s; want two to serve on", got)
	}
}

// The life of tokens follows the file, like everything that is not on the list of what does not.
func TestTokenTTLFollowsAReload(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.open()
	text, err := os.ReadFile(filepath.Join(i.dir, "sallyport.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, ttl := range []time.Duration{20 * time.Second, time.Minute} {
		i.write("sallyport.yaml", string(text)+"\nidentity: {tokenTTL: "+ttl.String()+"}\n")
		if err := i.Reload(t.Context()); err != nil {
			t.Fatal(err)
		}
		by := mint.Asker{Name: "test", Subject: "dev", ClientID: "test", Roles: []string{"reader"}, Operator: true}
		g, err := i.authority.Grant(t.Context(), by, mint.Ask{})
		if err != nil {
			t.Fatal(err)
		}
		_, claims, err := i.authority.Token(t.Context(), by, mint.TokenAsk{Grant: g.ID})
		if got := time.Duration(claims.ExpiresAt-claims.IssuedAt) * time.Second; err != nil || got != ttl {
			t.Errorf("a token lives for %s, %v; want %s", got, err, ttl)
		}
	}
}
