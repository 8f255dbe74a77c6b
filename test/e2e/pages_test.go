package e2e

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// notRun are the blocks of commands in the pages that no test runs, by the page and what the block
// begins with, each with the reason. All others are run.
var notRun = map[string]string{
	"README.md: go run ./cmd/sallyport demo":                    "TestEveryStepComesOutAsTold plays it",
	"README.md: claude mcp add":                                 "needs a login of Claude Code; TestClaude… connects a real one with these lines",
	"README.md: go mod edit":                                    "changes the checkout",
	"docs/performance.md: make bench":                           "minutes of measuring",
	"docs/kubernetes.md: kubectl create namespace":              "needs a cluster; test/deploy renders, checks and starts what it installs",
	"docs/kubernetes.md: kubectl -n agents run probe":           "needs a cluster",
	"docs/service.md: useradd":                                  "changes the machine; TestUnitIsSoundAndLocked reads the unit",
	"docs/service.md: install -D":                               "changes the machine",
	"docs/service.md: cosign verify-blob":                       "there is no release yet",
	"docs/connect.md: claude mcp add work":                      "needs a login of Claude Code; TestClaude… connects a real one so",
	"docs/connect.md: sallyport grant create":                   "the same",
	"docs/connect.md: claude mcp add --transport":               "the same",
	"docs/run.md: claude mcp add work":                          "the same",
	"docs/run.md: sallyport run --role reader --sandbox --read": "needs a terminal; TestRun… and the tests of the box run it",
	"docs/run.md: sallyport measure approve":                    "ends in Claude Code",
	"docs/sandbox.md: sallyport sandbox check":                  "shows the machine; the tests of gateway/sandbox run it",
	"docs/servers.md: sallyport serve":                          "its first line is refused on purpose; the scripts of cmd/sallyport run these lines",
	"docs/servers.md: sallyport adopt":                          "the scripts of cmd/sallyport run it",
	"docs/grants.md: curl":                                      "needs a token in TOKEN; TestTokenOfAGrantMakesOnlyChildrenOfIt sends this request",
	"docs/audit.md: sallyport audit tail":                       "goes on for ever; TestRecordIsFollowedVerifiedAndProved follows a record so",
	"docs/bundles.md: openssl":                                  "other people's program",
	"docs/tools.md: sallyport tools list":                       "shows a server that has changed; TestAServerThatChangesAToolHasNoSuchTool has one",
	"docs/replay.md: git worktree":                              "needs a repository of policies",
}

// block is a fenced block of commands.
type block struct{ page, text string }

func (b block) name() string { return b.page + ": " + strings.SplitN(b.text, "\n", 2)[0] }

var fences = regexp.MustCompile("(?ms)^```(\\w*)\n(.*?)^```")

// commands are the blocks that a reader would type: those marked sh, and of those that show a session
// what stands behind its prompts.
func commands(page, text string) (out []block) {
	for _, m := range fences.FindAllStringSubmatch(text, -1) {
		lang, body := m[1], m[2]
		prompts := regexp.MustCompile(`(?m)^\$ (.*)$`).FindAllStringSubmatch(body, -1)
		switch {
		case len(prompts) > 0:
			var lines []string
			for _, p := range prompts {
				lines = append(lines, p[1])
			}
			out = append(out, block{page, strings.Join(lines, "\n")})
		case lang == "sh", lang == "" && regexp.MustCompile(`(?m)^(sallyport|claude|kubectl|make|openssl|curl) `).MatchString(body) && !strings.Contains(body, "[--") && !strings.Contains(body, "[DIR]"):
			out = append(out, block{page, strings.TrimSpace(body)})
		}
	}
	return out
}

// Every command of every page is typed into a shell, in the page's order, in an installation that has a
// server, policies, a record and a grant. A page whose commands do not work any more fails here.
func TestCommandsOfThePagesWork(t *testing.T) {
	names, err := filepath.Glob("../../docs/*.md")
	if err != nil {
		t.Fatal(err)
	}
	used := map[string]bool{}
	for _, path := range append(names, "../../README.md") {
		page := strings.TrimPrefix(path, "../../")
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var run []block
		for _, b := range commands(page, string(text)) {
			if why := reason(b, used); why == "" {
				run = append(run, b)
			}
		}
		if len(run) == 0 {
			continue
		}
		t.Run(strings.TrimSuffix(filepath.Base(page), ".md"), func(t *testing.T) { typed(t, run) })
	}
	for name := range notRun {
		if !used[name] {
			t.Errorf("no page has the block %q any more: take it out of the list", name)
		}
	}
}

func reason(b block, used map[string]bool) string {
	for name, why := range notRun {
		if strings.HasPrefix(b.name(), name) {
			used[name] = true
			return why
		}
	}
	return ""
}

// shell is what the commands are typed into. serve is left running, what follows for ever is cut off,
// and where the answer of a command may be no (exit 3), no is an answer.
const shell = `set -u
failed() { echo "exit $1: sallyport ${*:2}" >> "$HOME/failed"; return "$1"; }
sallyport() {
  local rc=0
  case "$1" in
  serve) kill $(cat "$HOME/serving" 2>/dev/null) 2>/dev/null; while curl -s -o /dev/null "http://$SALLYPORT_ADMIN_LISTEN/healthz"; do command sleep 0.05; done
    "$BINARY" "$@" > "$HOME/log" 2>&1 & echo $! > "$HOME/serving"
    for _ in $(seq 400); do curl -sf -o /dev/null "http://$SALLYPORT_ADMIN_LISTEN/readyz" && return 0; command sleep 0.05; done
    cat "$HOME/log" >&2; failed 1 "$@" ;;
  *)
    case " $* " in *" --watch "*|*" --follow "*) timeout 3 "$BINARY" "$@"; return 0 ;; esac
    "$BINARY" "$@" || rc=$?
    case "$rc $*" in
    0\ *|3\ *--deny-new-access*|3\ *--strict*|3\ audit\ search*|3\ policy\ explain*|3\ grant\ revoke*|3\ policy\ suggest*) return 0 ;;
    esac
    failed "$rc" "$@" ;;
  esac
}
sleep() { command sleep "$1"; for _ in $(seq 400); do curl -sf -o /dev/null "http://$SALLYPORT_ADMIN_LISTEN/readyz" && return 0; command sleep 0.05; done; }
claude() { echo "no login"; }
make() { :; }
collector() { cat > /dev/null; }
`

const pagesPolicy = `package mcp.authz

allow if "operator" in input.subject.roles

allow if {
	"reader" in input.subject.roles
	input.tool.name in ["read_file", "note"]
	not startswith(object.get(input.arguments, "path", ""), "/etc/")
}

obligations contains {"type": "require_approval", "by": "operator"} if input.tool.name == "note"
`

// before is what a page takes for granted.
var before = map[string]string{"docs/rotate-keys.md": "\"$BINARY\" policy keygen policy.key\n"}

// typed runs the blocks of one page.
func typed(t *testing.T, blocks []block) {
	up := newRecorder(t)
	g := newGate(t, setup{policies: map[string]string{"authz.rego": pagesPolicy, "authz_test.yaml": "cases:\n  - {name: reads, role: reader, tool: files.read_file, arguments: {path: /srv/docs/a}, allow: true}\n"},
		servers: map[string]string{"files": up.url}})
	home := filepath.Dir(g.config)
	for _, dir := range []string{"bin", "policies-next", "docs", "project"} {
		must(t, os.MkdirAll(filepath.Join(home, dir), 0o700))
	}
	must(t, os.WriteFile(filepath.Join(home, "policies-next/authz.rego"), []byte(pagesPolicy+"\ndeny contains \"no\" if input.arguments.path == \"/srv\"\n"), 0o600))
	must(t, os.WriteFile(filepath.Join(home, "project/.mcp.json"), []byte(fmt.Sprintf(`{"mcpServers":{"files":{"type":"http","url":%q}}}`, up.url)), 0o600))
	must(t, os.WriteFile(filepath.Join(home, "bin/claude"), []byte("#!/bin/sh\nexit 0\n"), 0o700))
	g.start(t)
	id, grant, approvals := g.past(t)

	var script strings.Builder
	fmt.Fprintf(&script, "%s\nexport BINARY=%q HOME=%q PATH=%q SALLYPORT_CONFIG=%q SALLYPORT_LISTEN=%s SALLYPORT_ADMIN_LISTEN=%s\ncd %q\n%strap 'echo \"exit $?: $BASH_COMMAND\" >> \"$HOME/failed\"' ERR\necho %d > \"$HOME/serving\"\n",
		shell, binary, home, filepath.Join(home, "bin")+":"+os.Getenv("PATH"), g.config, g.addr, g.admin, home, before[blocks[0].page], g.cmd.Process.Pid)
	for _, b := range blocks {
		text := b.text
		for from, to := range map[string]string{"127.0.0.1:8080": g.addr, "127.0.0.1:9000/mcp": strings.TrimPrefix(up.url, "http://"), "/etc/sallyport.yaml": g.config} {
			text = strings.ReplaceAll(text, from, to)
		}
		text = regexp.MustCompile(`01[0-9A-HJKMNP-TV-Z]{24}`).ReplaceAllString(text, id)
		text = regexp.MustCompile(`gr_(…|[a-z2-7]{26})`).ReplaceAllString(text, grant)
		text = regexp.MustCompile(`deny ap_…`).ReplaceAllString(text, "deny "+approvals[1])
		text = regexp.MustCompile(`ap_…`).ReplaceAllString(text, approvals[0])
		text = regexp.MustCompile(`\bID\b`).ReplaceAllString(text, id)
		script.WriteString(text + "\n")
	}
	cmd := exec.CommandContext(t.Context(), "bash", "-c", script.String())
	cmd.WaitDelay = time.Second
	// Whatever the shell starts holds this pipe, so its end is that of the last of them, and nothing
	// writes any more into the folder that is about to be removed.
	all, held, perr := os.Pipe()
	must(t, perr)
	defer all.Close()
	cmd.ExtraFiles = []*os.File{held}
	out, err := cmd.CombinedOutput()
	if pid, rerr := os.ReadFile(filepath.Join(home, "serving")); rerr == nil {
		_ = exec.Command("kill", strings.TrimSpace(string(pid))).Run() // it may have ended
	}
	held.Close()
	must(t, all.SetReadDeadline(time.Now().Add(30*time.Second)))
	if _, rerr := io.ReadAll(all); rerr != nil {
		t.Errorf("a program that the page started goes on after it: %v", rerr)
	}
	failed, _ := os.ReadFile(filepath.Join(home, "failed"))
	if err != nil || len(failed) > 0 {
		t.Errorf("%v\n%s\nthe page's commands said:\n%s", err, failed, out)
	}
}

// past gives an installation something to look back at: a refused call, a grant, and two calls that wait
// for a person.
func (g *gate) past(t *testing.T) (id, grant string, approvals [2]string) {
	t.Helper()
	out, _, _ := sallyport(t, "grant", "create", "--config", g.config, "--role", "reader", "--task", "JIRA-1234", "--subject", "dana")
	grant = strings.TrimSpace(out)
	token := g.token(t, "reader")
	if r := g.modernCall(t, token, "read_file", `{"path":"/srv/docs/a"}`); r.text() != "done" {
		t.Fatalf("call: %d %s", r.Status, r.Raw)
	}
	refused := g.modernCall(t, token, "read_file", `{"path":"/etc/passwd"}`).text()
	if id = regexp.MustCompile(`01[0-9A-Z]{24}`).FindString(refused); id == "" {
		t.Fatalf("no decision in %q", refused)
	}
	for i := range approvals {
		waits := g.modernCall(t, token, "note", fmt.Sprintf(`{"text":"%d"}`, i)).text()
		if approvals[i] = regexp.MustCompile(`ap_\w+`).FindString(waits); approvals[i] == "" {
			t.Fatalf("no approval in %q", waits)
		}
	}
	return id, grant, approvals
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
