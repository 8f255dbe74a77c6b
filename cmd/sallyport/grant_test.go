package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/admin"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// socketOf starts an admin socket that knows the user of this process by rule, and the roles
// reader and writer.
func socketOf(t *testing.T, rule admin.LocalRule) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "cmd") // short enough for a socket
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) }) // the system's, in the end
	keys, err := mint.OpenKeyring(filepath.Join(dir, "keys"), nil)
	if err != nil {
		t.Fatal(err)
	}
	grants, err := grant.NewRegistry(t.Context(), grant.NewMemory(), grant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = grants.Close() }) // in memory
	auth, err := mint.NewAuthority(mint.AuthorityConfig{Issuer: mint.NewIssuer(mint.IssuerConfig{URL: "http://gateway.example", Audience: "http://gateway.example/mcp", Keys: keys}),
		Grants: grants, Record: func(context.Context, mint.Act) error { return nil },
		Role: func(name string) error {
			if name != "reader" && name != "writer" {
				return errors.New("no policy knows the role \"" + name + "\"; the nearest is \"reader\"")
			}
			return nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "s")
	ln, err := admin.Listen(path, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	rule.UID = uint32(os.Getuid())
	go func() {
		ended <- admin.Serve(ctx, ln, admin.Options{Authority: auth, Local: func() []admin.LocalRule { return []admin.LocalRule{rule} }, Log: slog.New(slog.DiscardHandler)})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("Serve = %v", err)
		}
	})
	return path
}

// shell runs commands against one socket.
type shell struct {
	t   *testing.T
	env []string
}

func shellOf(t *testing.T, rule admin.LocalRule) shell {
	return shell{t, []string{"SALLYPORT_SOCKET=" + socketOf(t, rule), "HOME=" + t.TempDir()}}
}

func (s shell) run(args ...string) (code int, out, talk string) {
	s.t.Helper()
	var o, e bytes.Buffer
	code = run(args, strings.NewReader(""), &o, &e, s.env)
	return code, o.String(), e.String()
}

// fine runs a command that must succeed and say nothing beside its result.
func (s shell) fine(args ...string) string {
	s.t.Helper()
	code, out, talk := s.run(args...)
	if code != exitFine || talk != "" {
		s.t.Fatalf("%v: exit %d, %q; want 0 and no talk", args, code, talk)
	}
	return strings.TrimSuffix(out, "\n")
}

var anOperator = admin.LocalRule{User: "boss", Operator: true}

func TestGrantLivesFromCreateToRevoke(t *testing.T) {
	s := shellOf(t, anOperator)
	file := filepath.Join(t.TempDir(), "args.json")
	if err := os.WriteFile(file, []byte(`[{"tools":"files.read_*","schema":{"properties":{"path":{"pattern":"^/srv/docs/"}}}}]`), 0o600); err != nil {
		t.Fatal(err)
	}
	id := s.fine("grant", "create", "--role", "reader", "--tools", "files.read_*,files.list", "--max-calls", "7", "--budget", "files.list=2",
		"--ttl", "45m", "--task", "JIRA-1234", "--subject", "ci", "--args", file, "--reason", "the docs")
	if !strings.HasPrefix(id, "gr_") {
		t.Fatalf("create printed %q; want an id and nothing else", id)
	}
	table := s.fine("grant", "list")
	for _, want := range []string{"ID ", id, "JIRA-1234", "ci", "reader", "files.read_*,files.list", "0/7", "in 4", "active", "no"} {
		if !strings.Contains(table, want) {
			t.Errorf("list has no %q:\n%s", want, table)
		}
	}
	page := s.fine("grant", "show", id)
	for _, want := range []string{"budget: 2 calls of files.list", `arguments of files.read_*: schema {"properties"`, "reason: the docs", "approved by: user boss (uid ", "made through: operator"} {
		if !strings.Contains(page, want) {
			t.Errorf("show has no %q:\n%s", want, page)
		}
	}
	var list []map[string]any
	if err := json.Unmarshal([]byte(s.fine("grant", "list", "-o", "json", "--task", "JIRA-1234")), &list); err != nil || len(list) != 1 {
		t.Fatalf("list -o json has %d grants, %v; want 1", len(list), err)
	}
	if g := list[0]; g["id"] != id || g["task"] != "JIRA-1234" || g["state"] != "active" {
		t.Errorf("list -o json = %v", g)
	}
	if out := s.fine("grant", "list", "--task", "OTHER", "-o", "json"); out != "[]" {
		t.Errorf("list of what is not there = %s; want an empty array", out)
	}
	if out := s.fine("grant", "revoke", "--task", "JIRA-1234", "--why", "done"); out != id {
		t.Errorf("revoke printed %q; want %s", out, id)
	}
	if out := s.fine("grant", "list", "--live"); out != "no grants" {
		t.Errorf("list --live after revoke = %s", out)
	}
	if page := s.fine("grant", "show", id); !strings.Contains(page, "state: revoked") || !strings.Contains(page, "ended why: done") {
		t.Errorf("show after revoke:\n%s", page)
	}
}

func TestRevokeAllFreezesEverything(t *testing.T) {
	s := shellOf(t, anOperator)
	a, b := s.fine("grant", "create", "--role", "reader"), s.fine("grant", "create", "--role", "writer", "--subject", "ci")
	if out := s.fine("grant", "revoke", "--all"); !strings.Contains(out, a) || !strings.Contains(out, b) {
		t.Errorf("revoke --all = %q; want %s and %s", out, a, b)
	}
	if out := s.fine("grant", "revoke", "--all", "-o", "json"); out != "[]" {
		t.Errorf("revoke --all of nothing = %q; want an empty array", out)
	}
}

func TestTokenNamesALivingGrant(t *testing.T) {
	s := shellOf(t, anOperator)
	id := s.fine("grant", "create", "--role", "reader")
	for _, args := range [][]string{
		{"token", "mint", "--grant", id}, {"token", "mint", "--grant", id, "--role", "reader", "--subject", "boss", "--ttl", "1m"},
		{"token", "mint", "--role", "writer"}, {"token", "mint", "--role", "writer", "--ttl", "1s", "--subject", "ci"},
	} {
		if out := s.fine(args...); strings.Count(out, ".") != 2 || strings.Contains(out, "\n") {
			t.Errorf("%v printed %d parts; want a token and nothing else", args, strings.Count(out, ".")+1)
		}
	}
	var header map[string]string
	if err := json.Unmarshal([]byte(s.fine("token", "headers", "--grant", id)), &header); err != nil || len(header) != 1 || !strings.HasPrefix(header["Authorization"], "Bearer ey") {
		t.Errorf("headers has %d members, %v; want Authorization alone", len(header), err)
	}
	if list := s.fine("grant", "list"); strings.Count(list, "gr_") != 3 {
		t.Errorf("grants after headers:\n%s\nwant one made by hand and two of tokens minted without", list)
	}
}

func TestHeadersExitThreeOnceTheGrantHasEnded(t *testing.T) {
	s := shellOf(t, anOperator)
	id := s.fine("grant", "create", "--role", "reader")
	s.env = append(s.env, "SALLYPORT_GRANT="+id)
	s.fine("token", "headers")
	s.fine("grant", "revoke", id, "--why", "lost laptop")
	code, out, talk := s.run("token", "headers")
	if code != exitNo || out != "" || !strings.Contains(talk, id) || !strings.Contains(talk, "lost laptop") {
		t.Errorf("headers of an ended grant: exit %d, %q, %q; want 3, nothing, and why", code, out, talk)
	}
	if list := s.fine("grant", "list", "--live"); list != "no grants" {
		t.Errorf("headers made a grant:\n%s", list)
	}
}

func TestGrantCommandsSayWhatIsWrong(t *testing.T) {
	s := shellOf(t, anOperator)
	id := s.fine("grant", "create", "--role", "reader", "--client", "editor")
	dir := t.TempDir()
	bad := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	for _, tt := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"grant", "create"}, exitUsage, "a grant needs at least one role (--role)"},
		{[]string{"grant", "create", "--role", "reeder"}, exitNo, `no policy knows the role "reeder"; the nearest is "reader"`},
		{[]string{"grant", "create", "--role", "reader", "--ttl", "25h"}, exitUsage, "a grant lives from 1s to 24h"},
		{[]string{"grant", "create", "--role", "reader", "--tools", "files"}, exitUsage, `--tools files: a tool is named SERVER.TOOL; write "*.files" for the tool of any server, or "files.*" for all tools of a server`},
		{[]string{"grant", "create", "--role", "reader", "--tools", "files__read"}, exitUsage, `--tools files__read: that is how a client shows it; write "files.read"`},
		{[]string{"grant", "create", "--role", "reader", "--max-calls", "0"}, exitUsage, "--max-calls 0: want at least 1, or leave it away for the default"},
		{[]string{"grant", "create", "--role", "reader", "--ttl", "0"}, exitUsage, "--ttl 0: want a life such as 45m, or leave it away for the default"},
		{[]string{"connect", "http://127.0.0.1/mcp", "--max-calls", "0"}, exitUsage, "--max-calls 0: want at least 1"},
		{[]string{"run", "--ttl", "0s", "--", "true"}, exitUsage, "--ttl 0: want a life such as 45m"},
		{[]string{"run", "--tools", "files__read", "--", "true"}, exitUsage, `write "files.read"`},
		{[]string{"grant", "create", "--role", "reader", "--budget", "mail.send"}, exitUsage, "--budget mail.send: want GLOB=N, such as 'mail.send=3'"},
		{[]string{"grant", "create", "--role", "reader", "--budget", "mail.send=0"}, exitUsage, "--budget mail.send=0: want GLOB=N"},
		{[]string{"grant", "create", "--role", "reader", "--not-before", "noon"}, exitUsage, "--not-before noon: want a time such as 2026-01-02T15:04:05Z"},
		{[]string{"grant", "create", "--role", "reader", "--args", dir + "/none"}, exitFailed, "read the constraints of arguments: "},
		{[]string{"grant", "create", "--role", "reader", "--args", bad("object", `{"tools":"a.b"}`)}, exitFailed, "object: want a JSON array such as"},
		{[]string{"grant", "create", "--role", "reader", "--args", bad("unknown", `[{"tool":"a.b"}]`)}, exitFailed, `unknown field "tool"`},
		{[]string{"grant", "create", "--role", "reader", "--args", bad("twice", `[{"tools":"a.b","tools":"a.c"}]`)}, exitFailed, "twice: "},
		{[]string{"grant", "create", "--role", "reader", "--args", bad("huge", `[`+strings.Repeat(" ", maxConstraints)+`]`)}, exitFailed, "and constraints may have 65536"},
		{[]string{"grant", "create", "--role", "reader", "--cert", bad("key.pem", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}, exitFailed, "holds no certificate in PEM; name the client's certificate, not its key"},
		{[]string{"grant", "create", "--role", "reader", "--cert", bad("cert.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}, exitFailed, "read the certificate in "},
		{[]string{"grant", "show", "gr_none"}, exitNo, "no grant is called gr_none, or it is not yours, or it ended more than a day ago"},
		{[]string{"grant", "show", "gr_\x1b[2J"}, exitNo, `no grant is called "gr_\x1b[2J"`},
		{[]string{"grant", "revoke"}, exitUsage, "which grant? Give its id, or --task, --subject, --client, --key, --issuer or --all"},
		{[]string{"grant", "revoke", id, "--all"}, exitUsage, "--all ends every grant, and something else says which; give one of them"},
		{[]string{"grant", "revoke", "--task", "NONE"}, exitNo, "no grant of yours that lives matches; `sallyport grant list` shows what there is"},
		{[]string{"token", "mint"}, exitUsage, "a token needs at least one role (--role), or a grant (--grant)"},
		{[]string{"token", "mint", "--grant", id, "--ttl", "16m"}, exitUsage, "a token lives from 1s to 15m in whole seconds, not 16m0s"},
		{[]string{"token", "mint", "--grant", id, "--role", "writer"}, exitUsage, "the roles of " + id + " are reader, and so its token's; leave --role out"},
		{[]string{"token", "mint", "--grant", id, "--subject", "ci"}, exitUsage, "the subject of " + id + " is boss, and so its token's; leave --subject out"},
		{[]string{"token", "mint", "--grant", id, "--client", "other"}, exitUsage, "the client of " + id + " is editor, and so its token's; leave --client out"},
		{[]string{"token", "headers"}, exitUsage, "which grant? Give its id (--grant, SALLYPORT_GRANT); `sallyport grant create` makes one"},
		{[]string{"token", "headers", "--role", "reader"}, exitUsage, "`token headers` never makes a grant, so it takes no --role; make one with `sallyport grant create --role reader` and give its id (--grant), or use `sallyport connect`"},
		{[]string{"token", "headers", "--grant", "gr_none"}, exitNo, "gr_none"},
	} {
		code, out, talk := s.run(tt.args...)
		if code != tt.code || out != "" || !strings.Contains(talk, tt.want) {
			t.Errorf("%q: exit %d, %q, %q; want %d, nothing printed, %q", tt.args, code, out, talk, tt.code, tt.want)
		}
	}
}

func TestUserWhoIsNoOperatorMintsOnlyOfGrants(t *testing.T) {
	s := shellOf(t, admin.LocalRule{User: "dev", Roles: []string{"reader"}})
	code, out, talk := s.run("token", "mint", "--role", "reader")
	if code != exitNo || out != "" || !strings.Contains(talk, "only an operator may mint a token without a grant of its own; ask for one with `sallyport grant create`") {
		t.Errorf("mint by a user: exit %d, %q, %q; want 3 and what to do", code, out, talk)
	}
	id := s.fine("grant", "create", "--role", "reader")
	s.fine("token", "mint", "--grant", id)
}

func TestCommandsBelowRunDoNotTakeItsRelayForTheGateway(t *testing.T) {
	s := shellOf(t, anOperator)
	s.env = append(s.env, "SALLYPORT_RELAY=1")
	for _, args := range [][]string{{"grant", "list"}, {"measure", "diff"}, {"measure", "approve", "--measure", "*.go"}} {
		code, _, talk := s.run(args...)
		if code != exitFailed || !strings.Contains(talk, "this command runs below `sallyport run`, whose socket carries MCP and answers nothing else; use `sallyport connect`, or run this in another terminal") {
			t.Errorf("%q below run: exit %d, %q", args, code, talk)
		}
	}
}

func TestSocketThatIsNamedIsTheOnlyOneAsked(t *testing.T) {
	s := shell{t, []string{"SALLYPORT_SOCKET=" + t.TempDir() + "/none", "HOME=" + t.TempDir()}}
	code, _, talk := s.run("grant", "list")
	if code != exitFailed || !strings.Contains(talk, "no gateway listens at ") {
		t.Errorf("list: exit %d, %q; want that no gateway listens, and no state opened", code, talk)
	}
}

// Another command may have the state open for a moment, or a gateway whose socket is gone.
func TestCommandSaysThatTheStateIsInUse(t *testing.T) {
	state := filepath.Join(t.TempDir(), "state")
	s := shell{t, []string{"SALLYPORT_STATE=" + state, "SALLYPORT_POLICIES=" + t.TempDir(), "SALLYPORT_UPSTREAM=http://127.0.0.1:9000/mcp", "HOME=" + t.TempDir()}}
	s.fine("grant", "list")
	held, err := grant.OpenBolt(filepath.Join(state, "grants.db"), grant.BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }() // a test's own
	code, out, talk := s.run("grant", "list")
	want := "no gateway listens at " + filepath.Join(state, "admin.sock") + ", and the state cannot be opened instead: "
	if code != exitFailed || out != "" || !strings.Contains(talk, want) {
		t.Errorf("list while another has the state: exit %d, %q, %q; want %q and who may have it", code, out, talk, want)
	}
}
