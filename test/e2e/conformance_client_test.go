package e2e

import (
	"bufio"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// authScenarios are those of the suite in which a client proves itself in a way that `connect`
// knows, and for each the checks that it does not pass, with the reason. All others must pass. One
// that passes after all fails the test as well.
var authScenarios = []struct {
	name     string
	min      int // checks that are not just notes
	explains map[string]string
}{
	{"auth/client-credentials-jwt", 5, nil},
	{"auth/wif-jwt-bearer", 5, nil},
	{"auth/dpop", 6, map[string]string{"sep-1932-client-token-request-proof": notByCode}},
	{"auth/dpop-nonce", 8, map[string]string{"sep-1932-client-token-request-proof": notByCode, "sep-1932-client-as-nonce": notByCode}},
}

// notByCode is why. That the proofs of `connect` at the token endpoint are good, with the nonce
// where one is wanted, is seen by what follows: the suite's server binds the token to the key of a
// proof that it has checked, and the checks at the MCP server compare that key.
const notByCode = "the suite looks at proofs of the authorization code alone, which needs a browser; connect identifies a program, here by client_credentials"

// TestConnectPassesTheConformanceSuitesAuthorization has the official suite judge `connect` as a
// client, in both eras, where it has a scenario for how connect proves itself.
func TestConnectPassesTheConformanceSuitesAuthorization(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(authScenarios) * len(eras) {
		s, e := authScenarios[i/len(eras)], eras[i%len(eras)]
		t.Run(strings.TrimPrefix(s.name, "auth/")+" "+e.name, func(t *testing.T) {
			dir := t.TempDir()
			// The scenarios are extensions, which no revision has on its list.
			output, code := nodeProgram(t, dir, "conformance", "client", "--scenario", s.name, "-o", "out", "--spec-version", e.revision, "--force",
				"--command", fmt.Sprintf("env %s=%s %s", clientDrives, binary, self))
			if _, err := os.Stat(filepath.Join(dir, cameThrough)); err != nil {
				t.Errorf("the session through connect was not answered, or did not end well (exit %d)", code)
			}
			passed, failed := verdicts(t, dir)
			for id := range failed {
				if s.explains[id] == "" {
					t.Errorf("%s failed", id)
				}
			}
			for id, why := range s.explains {
				if !failed[id] {
					t.Errorf("%s passed, which it cannot: %s", id, why)
				}
			}
			if len(passed)+len(failed) < s.min {
				t.Errorf("%d checks: %v; want at least %d", len(passed)+len(failed), slices.Sorted(maps.Keys(passed)), s.min)
			}
			t.Logf("passed: %s", strings.Join(slices.Sorted(maps.Keys(passed)), " "))
			if t.Failed() {
				t.Logf("%.6000s", output)
			}
		})
	}
}

// verdicts reads what the suite has left below dir of its only scenario.
func verdicts(t *testing.T, dir string) (passed, failed map[string]bool) {
	t.Helper()
	passed, failed = map[string]bool{}, map[string]bool{}
	files, err := filepath.Glob(filepath.Join(dir, "out", "*", "*", "checks.json"))
	if err != nil || len(files) != 1 {
		t.Errorf("the suite left %d results; want one", len(files))
		return passed, failed
	}
	text, err := os.ReadFile(files[0])
	var checks []check
	if err == nil {
		err = json.Unmarshal(text, &checks)
	}
	if err != nil {
		t.Errorf("read the suite's results: %v", err)
	}
	for _, c := range checks {
		switch c.Status {
		case "SUCCESS":
			passed[c.ID] = true
		case "FAILURE", "WARNING":
			failed[c.ID] = true
		}
	}
	return passed, failed
}

// clientDrives is the variable that makes this test binary the client that the suite runs: it
// drives the `connect` of the binary that the variable names.
const clientDrives = "CONFORMANCE_CLIENT_DRIVES"

// driveConnect is that client: it lists and calls once at the URL of the suite's server.
func driveConnect(program string) (err error) {
	source, err := suiteSource(os.Getenv("MCP_CONFORMANCE_CONTEXT"))
	if err != nil {
		return err
	}
	cmd := exec.Command(program, append([]string{"connect", os.Args[len(os.Args)-1]}, source...)...)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := cmd.Start(); err != nil {
		return err
	}
	err = converse(in, bufio.NewReader(out), os.Getenv("MCP_CONFORMANCE_PROTOCOL_VERSION"))
	if err := errors.Join(err, in.Close(), cmd.Wait()); err != nil {
		return err
	}
	return os.WriteFile(cameThrough, nil, 0o600)
}

// cameThrough is a file that the client leaves where its session was answered and ended well.
const cameThrough = "came-through"

// suiteSource is how connect proves itself, with what the suite hands to its clients.
func suiteSource(text string) ([]string, error) {
	var given struct {
		Client string `json:"client_id"`
		Key    string `json:"private_key_pem"`
		Token  string `json:"valid_jwt"`
	}
	if text != "" {
		if err := json.Unmarshal([]byte(text), &given); err != nil {
			return nil, err
		}
	}
	if given.Token != "" {
		return []string{"--from", "file:token"}, os.WriteFile("token", []byte(given.Token), 0o600)
	}
	if given.Key == "" { // any client will do
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			return nil, err
		}
		der, err := x509.MarshalPKCS8PrivateKey(key)
		if err != nil {
			return nil, err
		}
		given.Client, given.Key = "anybody", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: der}))
	}
	return []string{"--from", "key:client.pem", "--client", given.Client}, os.WriteFile("client.pem", []byte(given.Key), 0o600)
}

// converse is a short session: it lists and calls, in the older protocol after the handshake.
func converse(in io.Writer, out *bufio.Reader, revision string) error {
	type step struct{ say, want string }
	list, call := `{"jsonrpc":"2.0","id":2,"method":"tools/list","params":{%s}}`, `{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{%s"name":"test-tool","arguments":{}}}`
	steps := []step{{fmt.Sprintf(list, modern), "test-tool"}, {fmt.Sprintf(call, modern+","), `"test"`}}
	if revision == "2025-11-25" {
		steps = []step{
			{`{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"e2e","version":"1"}}}`, "serverInfo"},
			{`{"jsonrpc":"2.0","method":"notifications/initialized"}`, ""},
			{fmt.Sprintf(list, ""), "test-tool"}, {fmt.Sprintf(call, ""), `"test"`},
		}
	}
	for _, step := range steps {
		if _, err := fmt.Fprintln(in, step.say); err != nil {
			return err
		}
		if step.want == "" {
			continue
		}
		line, err := out.ReadString('\n')
		if err != nil {
			return err
		}
		if !strings.Contains(line, step.want) {
			return fmt.Errorf("%s was answered with %s", step.say, line)
		}
	}
	return nil
}
