//go:build linux

package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sallyport/identity/grant"
)

const agentsReadAndNote = `package mcp.authz

import rego.v1

allow if {
	"agent" in input.subject.roles
	input.tool.name in {"read_text_file", "note"}
}
`

// upstreamSecret is what the gateway shows to a server, and an agent must never see.
const upstreamSecret = "canary-of-the-servers-credential"

// office is a gateway before a program that reads files and a server that wants a credential.
type office struct {
	*gate
	notes *recorder
	file  string // that the program reads
}

const textOfTheFile = "the text of a"

// newOffice starts it. more is what else its configuration says.
func newOffice(t *testing.T, more string) *office {
	t.Helper()
	o := &office{notes: newRecorder(t)}
	docs, secret := t.TempDir(), filepath.Join(t.TempDir(), "secret")
	o.file = filepath.Join(docs, "a.txt")
	for file, text := range map[string]string{o.file: textOfTheFile + "\n", secret: upstreamSecret} {
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	o.gate = startGate(t, setup{policies: map[string]string{"authz.rego": agentsReadAndNote}, more: more, programs: map[string]string{
		"files": npmServer(t, "server-filesystem", fmt.Sprintf(", %q", docs), docs),
		"notes": fmt.Sprintf("{type: http, url: %q, credential: {type: file, path: %q, header: Authorization, prefix: \"Bearer \"}}", o.notes.url, secret)}})
	return o
}

// way is a way from Claude Code to the gateway.
type way struct {
	name   string
	more   func(t *testing.T) string                    // of the gateway's configuration; nil: nothing
	server func(t *testing.T, o *office) map[string]any // as mcp.json has it
	prefix func(o *office) []string                     // what runs Claude Code; nil: nothing
	env    []string
	ended  []string // what the model sees of two calls when the grant has been revoked
}

// Claude Code keeps to itself why its helper failed, and asks no more before somebody tells it to.
var (
	connectEnded = []string{"has ended: revoked by ", "has ended: revoked by "}
	helperEnded  = []string{"rejected the credential from its headersHelper", "needs authentication"}
)

// connecting is the server of those that come by connect.
func connecting(_ *testing.T, o *office) map[string]any {
	return map[string]any{"type": "stdio", "command": binary, "args": []string{"connect", o.url("/mcp"), "--config", o.config, "--role", "agent"}}
}

// ways are those that the documentation names, but for the plain token.
func ways(t *testing.T) []way {
	p := newPapers(t)
	return []way{
		{name: "connect", server: connecting, ended: connectEnded},
		{name: "run", server: connecting, ended: connectEnded, prefix: func(o *office) []string {
			return []string{binary, "run", "--config", o.config, "--role", "agent", "--"}
		}},
		{name: "headersHelper", ended: helperEnded, server: func(t *testing.T, o *office) map[string]any {
			return map[string]any{"type": "http", "url": o.url("/mcp"), "headersHelper": o.headers(t, "agent")}
		}},
		{name: "mutual TLS", ended: helperEnded, env: p.env(), more: func(*testing.T) string { return p.config() }, server: func(t *testing.T, o *office) map[string]any {
			return map[string]any{"type": "http", "url": strings.Replace(o.url("/mcp"), "http:", "https:", 1), "headersHelper": p.headers(t, o.gate)}
		}},
	}
}

// TestClaudeCodeHoldsNothingAndLosesAccessWithItsGrant runs a real Claude Code by each way. It reads
// a file and keeps a note; then its grant is revoked, the next calls reach no server and the model
// is told. Neither its environment and its children's, nor any file that it leaves, nor what it
// printed holds a token, a private key or the credential of a server.
func TestClaudeCodeHoldsNothingAndLosesAccessWithItsGrant(t *testing.T) {
	program := claude(t)
	for _, w := range ways(t) {
		t.Run(w.name, func(t *testing.T) {
			more := ""
			if w.more != nil {
				more = w.more(t)
			}
			o, dir := newOffice(t, more), t.TempDir()
			writeJSON(t, filepath.Join(dir, "mcp.json"), map[string]any{"mcpServers": map[string]any{"gw": w.server(t, o)}})
			search := newSearch(t, o.gate)
			var pid int
			started := make(chan struct{})
			read, note := step{"mcp__gw__files__read_text_file", map[string]any{"path": o.file}}, step{"mcp__gw__notes__note", map[string]any{"text": "x"}}
			m := newModel(t, []step{read, note, read, note}, func(n int) {
				<-started
				switch n {
				case 1:
					search.processes(t, pid)
				case 2:
					if _, talk, code := sallyport(t, "grant", "revoke", "--config", o.config, "--all"); code != 0 {
						t.Errorf("grant revoke: exit %d: %s", code, talk)
					}
				}
			})
			command := []string{program}
			if w.prefix != nil {
				command = append(w.prefix(o), program)
			}
			cmd, said := claudeCommand(t, dir, m.url, command...), &logBuffer{}
			cmd.Env, cmd.Stdout, cmd.Stderr = append(append(cmd.Env, w.env...), mark), said, said
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			pid = cmd.Process.Pid
			close(started)
			if err := cmd.Wait(); err != nil {
				t.Fatalf("claude: %v\n%.3000s", err, said)
			}

			_, results := m.saw()
			wants := append([]string{textOfTheFile, "done"}, w.ended...)
			if len(results) != len(wants) {
				t.Fatalf("the model got %d results, want %d: %q", len(results), len(wants), results)
			}
			for i, want := range wants {
				if !strings.Contains(results[i], want) {
					t.Errorf("result %d is %q, want it to hold %q", i+1, results[i], want)
				}
			}
			t.Logf("the model of a revoked grant sees %q", results[2:])
			calls := o.notes.seen()
			if len(calls) != 1 || calls[0].header.Get("Authorization") != "Bearer "+upstreamSecret {
				t.Errorf("the server got %d calls; want one, with its credential", len(calls))
			}
			search.text(t, "what it printed", []byte(said.String()))
			search.files(t, dir)
		})
	}
}

// TestClaudeCodeNoticesNoRenewal has a session of more than ten seconds with tokens of two: no call
// that Claude Code makes can use the token of the one before.
func TestClaudeCodeNoticesNoRenewal(t *testing.T) {
	const life, calls = 2 * time.Second, 6
	program := claude(t)
	for _, w := range ways(t)[:2] {
		t.Run(w.name, func(t *testing.T) {
			o, dir := newOffice(t, fmt.Sprintf("identity: {tokenTTL: %v}\n", life)), t.TempDir()
			writeJSON(t, filepath.Join(dir, "mcp.json"), map[string]any{"mcpServers": map[string]any{"gw": w.server(t, o)}})
			began := time.Now()
			last := began
			m := newModel(t, slices.Repeat([]step{{"mcp__gw__notes__note", map[string]any{"text": "x"}}}, calls), func(int) {
				eventually(t, "the token of the call before has ended", func() error {
					if time.Since(last) <= life {
						return fmt.Errorf("it may live")
					}
					return nil
				})
				last = time.Now()
			})
			command := []string{program}
			if w.prefix != nil {
				command = append(w.prefix(o), program)
			}
			if out, err := claudeCommand(t, dir, m.url, command...).CombinedOutput(); err != nil {
				t.Fatalf("claude: %v\n%.3000s", err, out)
			}
			if _, results := m.saw(); !slices.Equal(results, slices.Repeat([]string{"done"}, calls)) {
				t.Errorf("the model got %q; want %d times done", results, calls)
			}
			out, _, _ := sallyport(t, "grant", "list", "--config", o.config, "-o", "json")
			var grants []grant.Status
			if err := json.Unmarshal([]byte(out), &grants); err != nil || len(grants) != 1 || grants[0].Usage.Calls != calls || grants[0].State != grant.Completed {
				t.Errorf("grants %s, %v; want one, completed, with %d calls", out, err, calls)
			}
			tokens := 0
			for _, d := range o.records(t) {
				if d.Method == "token/mint" {
					tokens++
				}
			}
			if tokens < calls {
				t.Errorf("%d tokens were issued for %d calls; want one for each at least", tokens, calls)
			}
			t.Logf("%d calls in %v with %d tokens", calls, time.Since(began).Round(time.Second), tokens)
		})
	}
}
