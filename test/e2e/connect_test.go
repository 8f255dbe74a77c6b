package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/identity/grant"
)

// carrier is a running `sallyport connect`, and us as its client.
type carrier struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	out  *bufio.Reader
	talk *logBuffer
}

// startConnect runs `sallyport connect` until the test ends.
func startConnect(t *testing.T, url string, args ...string) *carrier {
	t.Helper()
	c := &carrier{cmd: exec.Command(binary, append([]string{"connect", url}, args...)...), talk: &logBuffer{}}
	c.cmd.Stderr = c.talk
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	out, err := c.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	c.out = bufio.NewReader(out)
	if err := c.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.cmd.Process.Kill() // it has ended already, where all went well
		_ = c.cmd.Wait()
		if t.Failed() {
			t.Logf("connect said:\n%s", c.talk)
		}
	})
	return c
}

// read calls read_file and returns the line that connect answers with.
func (c *carrier) read(t *testing.T, id int) string {
	t.Helper()
	if _, err := fmt.Fprintf(c.in, `{"jsonrpc":"2.0","id":%d,"method":"tools/call","params":{%s,"name":"read_file","arguments":{"path":"/srv/docs/a"}}}`+"\n", id, modern); err != nil {
		t.Fatal(err)
	}
	line, err := c.out.ReadString('\n')
	if err != nil {
		t.Fatalf("connect gave no answer: %v\n%s", err, c.talk)
	}
	return line
}

// end closes the client's side and returns how connect exits.
func (c *carrier) end(t *testing.T) int {
	t.Helper()
	if err := c.in.Close(); err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, c.out)
	_ = c.cmd.Wait()
	return c.cmd.ProcessState.ExitCode()
}

// grantsFor is what `grant list` says of a task.
func (g *gate) grantsFor(t *testing.T, task string) []grant.Status {
	t.Helper()
	out, talk, code := sallyport(t, "grant", "list", "--config", g.config, "-o", "json")
	var all, found []grant.Status
	if err := json.Unmarshal([]byte(out), &all); err != nil || code != 0 {
		t.Fatalf("grant list: exit %d, %v: %s %s", code, err, out, talk)
	}
	for _, one := range all {
		if one.Task == task {
			found = append(found, one)
		}
	}
	return found
}

// federated is a gateway that exchanges the provider's tokens for an audience.
func federated(t *testing.T, p *provider, audience string) *gate {
	t.Helper()
	return startGate(t, setup{policies: map[string]string{"authz.rego": readersRead}, servers: map[string]string{"files": newRecorder(t).url},
		more: fmt.Sprintf("identity:\n  federation:\n    - {name: zitadel, issuer: %q, audience: %s, require: {sub: id2}, roles: [reader]}\n", p.issuer, audience)})
}

// connect shows the token of a real provider, that a file holds or a command prints, has a grant
// for it that is bound to its key, and gives it back when its client ends.
func TestConnectCarriesWhoARealProviderKnows(t *testing.T) {
	p := startProvider(t)
	g := federated(t, p, providerClient)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(p.idToken(t, "test-user2")), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, source := range []string{"file:" + file, "exec:cat " + file} {
		c := startConnect(t, g.url(g.endpoint), "--from", source, "--task", source)
		if got := c.read(t, 1); !strings.Contains(got, `"done"`) {
			t.Errorf("--from %s: %s", source, got)
		}
		found := g.grantsFor(t, source)
		if len(found) != 1 || found[0].State != grant.Active || found[0].Subject != "zitadel:id2" || found[0].Issuer != p.issuer || found[0].JKT == "" || found[0].Usage.Calls != 1 {
			t.Errorf("--from %s: grants %+v; want one of zitadel:id2, bound to a key, with one call", source, found)
		}
		if code := c.end(t); code != 0 {
			t.Errorf("--from %s: exit %d; want 0", source, code)
		}
		if found := g.grantsFor(t, source); len(found) != 1 || found[0].State != grant.Completed {
			t.Errorf("--from %s: grants %+v afterwards; want one that is completed", source, found)
		}
	}
}

// Whoever an issuer vouched for loses everything at once when the issuer is not trusted any more.
func TestRevokingAnIssuerEndsWhatConnectCarries(t *testing.T) {
	p := startProvider(t)
	g := federated(t, p, providerClient)
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte(p.idToken(t, "test-user2")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := startConnect(t, g.url(g.endpoint), "--from", "file:"+file, "--task", "CI-1")
	if got := c.read(t, 1); !strings.Contains(got, `"done"`) {
		t.Fatal(got)
	}
	if out, talk, code := sallyport(t, "grant", "revoke", "--config", g.config, "--issuer", p.issuer); code != 0 {
		t.Fatalf("grant revoke: exit %d: %s%s", code, out, talk)
	}
	found := g.grantsFor(t, "CI-1")
	if len(found) != 1 || found[0].State != grant.Revoked {
		t.Fatalf("grants %+v; want one that is revoked", found)
	}
	want := "task grant " + found[0].ID + " has ended: revoked by "
	for id := range 2 {
		if got := c.read(t, 2+id); !strings.Contains(got, want) || !strings.Contains(got, "start the task again") {
			t.Errorf("answer %s; want %q in it", got, want)
		}
	}
	if code := c.end(t); code != 3 {
		t.Errorf("exit %d; want 3", code)
	}
	if found := g.grantsFor(t, "CI-1"); len(found) != 1 {
		t.Errorf("%d grants; want one: the next exchange undoes no revocation", len(found))
	}
}

// A token that the provider made for somebody else is no identity here, and the log says why.
func TestConnectIsRefusedWithAProvidersTokenForAnother(t *testing.T) {
	p := startProvider(t)
	g := federated(t, p, "somebody-else")
	token := p.idToken(t, "test-user2")
	c := startConnect(t, g.url(g.endpoint), "--from", "exec:echo "+token, "--task", "CI-2")
	const want = "refused: the subject_token is not accepted; the gateway's log says why (invalid_request)"
	if got := c.read(t, 1); !strings.Contains(got, want) {
		t.Errorf("answer %s; want %q in it", got, want)
	}
	if code := c.end(t); code != 1 {
		t.Errorf("exit %d; want 1", code)
	}
	if found := g.grantsFor(t, "CI-2"); len(found) != 0 {
		t.Errorf("grants %+v; want none", found)
	}
	g.says(t, "zitadel: aud is not its audience")
	if strings.Contains(g.log.String(), token) {
		t.Error("the gateway's log holds the token")
	}
	if strings.Contains(c.talk.String(), token) {
		t.Error("connect's talk holds the token")
	}
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.Status != http.StatusUnauthorized {
		t.Errorf("the provider's token by itself: %d; want 401", r.Status)
	}
}
