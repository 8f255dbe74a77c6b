package config

import (
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// tokenEndpoint gives a token that says for whom it is.
func tokenEndpoint(t *testing.T) string {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, secret, _ := r.BasicAuth()
		who := "gateway"
		if assertion := r.FormValue("subject_token"); assertion != "" {
			part, _ := base64.RawURLEncoding.DecodeString(strings.Split(assertion+"..", ".")[1])
			var claims struct{ Sub, Aud string }
			_ = json.Unmarshal(part, &claims)
			who = claims.Sub + "-" + strings.TrimPrefix(claims.Aud, "http://"+r.Host)
		}
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(map[string]any{"access_token": "token-of-" + who + "-by-" + id + "-" + secret, "token_type": "Bearer", "expires_in": 600,
			"issued_token_type": "urn:ietf:params:oauth:token-type:access_token"})
	}))
	t.Cleanup(s.Close)
	return s.URL + "/token"
}

func TestEveryKindOfCredentialReachesItsServer(t *testing.T) {
	endpoint := tokenEndpoint(t)
	oauth := ", tokenURL: \"" + endpoint + "\", clientID: me, clientSecret: {type: file, path: secret}}"
	for name, tt := range map[string]struct{ credential, catalogue, call string }{
		"file":           {"{type: file, path: secret}", "hunter1-of-file", "hunter1-of-file"},
		"env":            {"{type: env, name: SECRET}", "hunter1-of-env", "hunter1-of-env"},
		"exec":           {"{type: exec, command: [sh, -c, \"echo hunter1-of-$GIVEN$CANARY\"], env: {GIVEN: exec}}", "hunter1-of-exec", "hunter1-of-exec"},
		"for each":       {"{type: exec, command: [sh, -c, \"echo hunter1-of-$SALLYPORT_SUBJECT\"], perPrincipal: true}", "hunter1-of-", "hunter1-of-dev"},
		"client":         {"{type: clientCredentials" + oauth, "token-of-gateway-by-me-hunter1-of-file", "token-of-gateway-by-me-hunter1-of-file"},
		"token exchange": {"{type: tokenExchange" + oauth, "token-of-gateway-by-me-hunter1-of-file", "token-of-dev-/token-by-me-hunter1-of-file"},
	} {
		t.Run(name, func(t *testing.T) {
			server := newFakeServer(t)
			i := install(t, server.URL)
			i.write("secret", "hunter1-of-file\n")
			i.write("sallyport.yaml", "mcpServers:\n  a:\n    url: "+server.URL+"\n    credential: "+tt.credential+"\n")
			i.environ = map[string]string{"PATH": "/usr/bin:/bin", "SECRET": "hunter1-of-env", "CANARY": "canary"}
			i.open()
			first, _ := server.seen()
			if got := i.call("/mcp/a", "read"); got != "done" {
				t.Fatalf("call: %s", got)
			}
			all, _ := server.seen()
			if got := first[0].Get("Authorization"); got != "Bearer "+tt.catalogue {
				t.Errorf("for the catalogue it sent %q; want %q", got, "Bearer "+tt.catalogue)
			}
			if got := all[len(all)-1].Get("Authorization"); got != "Bearer "+tt.call {
				t.Errorf("for the call it sent %q; want %q", got, "Bearer "+tt.call)
			}
			if text := i.logs.String(); strings.Contains(text, "hunter1") || strings.Contains(text, "token-of") {
				t.Errorf("a secret is in the log:\n%s", text)
			}
		})
	}
}

func TestAProgramGetsItsCredentialsAndANewOneWhenTheyChange(t *testing.T) {
	i := install(t, "http://127.0.0.1:1/")
	i.write("secret", "hunter1-hunter1")
	i.write("sallyport.yaml", "mcpServers:\n  a: "+command(t, "sandbox: none, envFrom: {KEY: {type: file, path: secret}, OTHER: {type: exec, command: [sh, -c, echo other-one]}}")+"\n")
	i.environ = map[string]string{"PATH": "/usr/bin:/bin"}
	i.open()
	before := i.callModern("/mcp/a", "read")
	// What it says is scrubbed: its own secrets do not come back by it.
	if strings.Contains(before, "hunter1-hunter1") || strings.Contains(before, "other-one") || !strings.Contains(before, `"KEY=`) || !strings.Contains(before, `"OTHER=`) {
		t.Errorf("with its secrets it says %s; want the variables, and not their values", before)
	}
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if same := i.callModern("/mcp/a", "read"); pidOf(t, same) != pidOf(t, before) {
		t.Error("nothing changed, and it is another process")
	}
	i.write("secret", "hunter2-hunter2")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after := i.callModern("/mcp/a", "read"); pidOf(t, after) == pidOf(t, before) {
		t.Error("the file has another secret, and the process is the same")
	}
}

func TestCredentialsThatCannotBeUsedAreNamed(t *testing.T) {
	dir, env := project(t, `{"mcpServers": {
"gone": {"url": "http://h/", "credential": {"type": "file", "path": "gone"}},
"empty": {"url": "http://h/", "credential": {"type": "file", "path": "empty"}},
"wide": {"url": "http://h/", "credential": {"type": "file", "path": "wide"}},
"taken": {"url": "http://h/", "credential": {"type": "file", "path": "wide", "allowReadable": true}},
"unset": {"url": "http://h/", "credential": {"type": "env", "name": "UNSET"}},
"prog": {"command": "srv", "envFrom": {
 "KEY": {"type": "exec", "command": ["no-such-program"]}}},
"key": {"url": "http://h/", "credential": {"type": "clientCredentials", "tokenURL": "https://h/", "clientID": "me", "clientAuth": "privateKeyJWT", "key": "gone"}}
}}`, "bin/srv", "policies/authz.rego")
	for name, text := range map[string]string{"empty": " \n", "wide": "hunter2"} {
		if err := os.WriteFile(dir+"/"+name, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(dir+"/wide", 0o644); err != nil { // this is the fault
		t.Fatal(err)
	}
	err := loaded(t, dir, env).CheckFiles()
	if err == nil {
		t.Fatal("accepted")
	}
	got := strings.Split(strings.ReplaceAll(err.Error(), dir+"/", ""), "\n")
	want := []string{
		".mcp.json:2: mcpServers.gone.credential: read credential gone: no such file or directory",
		".mcp.json:3: mcpServers.empty.credential: credential empty is empty",
		".mcp.json:4: mcpServers.wide.credential: credential wide can be read by everybody on this machine (mode 0644); chmod 0600 it, or 0640 with a group of its own",
		".mcp.json:6: mcpServers.unset.credential: the environment has no UNSET, which is a credential; set it where the gateway is started",
		".mcp.json:8: mcpServers.prog.envFrom.KEY: there is no program no-such-program in the gateway's PATH; install it, or write its path",
		".mcp.json:9: mcpServers.key.credential: read key gone: no such file or directory",
	}
	if diff := cmp.Diff(want, got); diff != "" || slices.ContainsFunc(got, func(s string) bool { return strings.Contains(s, "hunter2") }) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}
