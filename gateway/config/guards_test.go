package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/guard/secrets"
	"sallyport/gateway/pin"
)

// text is the result of a call with one text in it, of letters that JSON does not escape.
func text(s string) string { return `{"content":[{"type":"text","text":"` + s + `"}]}` }

func TestCanariesOfTheFileAreTakenOutOfResultsAndTheFileIsFollowed(t *testing.T) {
	server := newFakeServer(t)
	server.say("tools/call", text("before marker-one-here, other-marker-two after"))
	i := install(t, server.URL)
	i.write("sallyport.yaml", "guards: {secrets: false, canaryFile: canaries}\nmcpServers: {a: {url: \""+server.URL+"\"}}\n")
	i.write("canaries", "\n  marker-one-here  \n")
	i.open()
	i.follow(ways["notified"])
	if got, want := i.call("/mcp/a", "read"), "before [redacted: canary 1], other-marker-two after"; got != want {
		t.Errorf("%s; want %s", got, want)
	}
	i.write("canaries", "other-marker-two\n")
	const want = "before marker-one-here, [redacted: canary 1] after"
	eventually(t, want, func() bool { return i.call("/mcp/a", "read") == want })
	i.write("canaries", "short\n")
	eventually(t, "the log names the line", func() bool {
		return strings.Contains(i.logs.String(), "canaries:1: has 5 bytes; a canary has 8 to 256")
	})
	if got := i.call("/mcp/a", "read"); got != want {
		t.Errorf("with a broken file: %s; want the canaries before it to be known", got)
	}
	if strings.Contains(i.logs.String(), "marker-two") {
		t.Error("a canary is in the log")
	}
}

func TestAFileOfCanariesThatIsNotGoodIsNamed(t *testing.T) {
	for content, want := range map[string]string{
		"":                                 "no such file or directory",
		"long enough\nshort\n":             "canaries:2: has 5 bytes; a canary has 8 to 256",
		strings.Repeat("x", 257):           "canaries:1: has 257 bytes",
		strings.Repeat("marker-a\n", 1025): "canaries: holds more than 1024 canaries",
	} {
		i := install(t, "http://127.0.0.1:9/mcp")
		i.write("sallyport.yaml", "# with canaries\nguards:\n  canaryFile: canaries\n"+minimal)
		if content != "" {
			i.write("canaries", content)
		}
		cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if err = cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "sallyport.yaml:3: guards.canaryFile: "+i.dir+"/canaries") || !strings.Contains(err.Error(), want) {
			t.Errorf("%.20q: %v; want %s", content, err, want)
		}
	}
}

func TestHiddenCharactersAreStrippedUnlessTheOperatorKeepsThem(t *testing.T) {
	server := newFakeServer(t)
	server.say("tools/call", text("do\u200bne\u202e"))
	i := install(t, server.URL)
	i.open()
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("%q; want done", got)
	}
	i.write("sallyport.yaml", "guards: {hidden: false}\nmcpServers: {a: {url: \""+server.URL+"\"}}\n")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.call("/mcp/a", "read"); got != "do\u200bne\u202e" {
		t.Errorf("%q; want it as it came", got)
	}
	if !strings.Contains(i.logs.String(), "guards.hidden is false: characters that nobody sees") {
		t.Errorf("nobody is told:\n%s", i.logs)
	}
}

const unlabelled = `package mcp.authz

allow if count(input.flow.labels) == 0

deny contains "a source was read" if {
	"sink:external" in input.tool.labels
	"source:private" in input.flow.labels
}
`

// Labels say nothing of how a server is reached, so that a change of theirs ends no session.
func TestLabelsFollowAReloadAndTheServerStaysAsItIs(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.write("policies/authz.rego", unlabelled)
	i.open()
	before := i.current.servers["a"]
	if got := i.call("/mcp/a", "read") + ", " + i.call("/mcp/a", "write"); got != "done, done" {
		t.Fatalf("%s; want both, where nothing has a label", got)
	}
	i.write("sallyport.yaml", "mcpServers:\n  a:\n    url: "+server.URL+"\n    tools: {read: {labels: [source:private]}, w*: {labels: [sink:external]}}\n")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if i.current.servers["a"] != before {
		t.Error("the server was made anew")
	}
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("read: %s", got)
	}
	if got := i.call("/mcp/a", "write"); got == "done" {
		t.Error("write was called after a source was read")
	}
	if got := i.current.cfg.Unlabelled(); len(got) > 0 {
		t.Errorf("unlabelled: %q", got)
	}
}

func TestAPatternThatMatchesNoToolIsToldOnceTheCatalogueIsKnown(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.write("sallyport.yaml", "mcpServers:\n  a:\n    url: "+server.URL+"\n    tools: {raed: {labels: [source:private]}, wirte*: {labels: [b]}, \"*\": {labels: [b]}, r*: {labels: [b]}}\n    prompts: {p: {labels: [b]}}\n")
	i.open()
	want := []string{
		"mcpServers.a.tools.raed matches nothing that the server has; did you mean read?",
		"mcpServers.a.tools.wirte* matches nothing that the server has; did you mean write?",
		"mcpServers.a.prompts.p matches nothing that the server has",
	}
	if diff := cmp.Diff(want, i.current.cfg.Unmatched(i.pins.List(pin.Selection{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, text := range want {
		if !strings.Contains(i.logs.String(), text) {
			t.Errorf("the log lacks %s:\n%s", text, i.logs)
		}
	}
	if got := i.current.cfg.Unmatched(nil); got != nil {
		t.Errorf("of a server that has shown nothing: %q", got)
	}
}

const changedTools = `{"tools":[{"name":"read","description":"another","inputSchema":{"type":"object"}},{"name":"write","inputSchema":{"type":"object"}}]}`

func TestAToolThatChangesIsOffAndTheRecordSaysSo(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.open()
	server.say("tools/list", changedTools)
	if err := i.current.servers["a"].server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.call("/mcp/a", "read"); got != "Unknown tool: read" {
		t.Errorf("%s; want the changed tool to be unknown", got)
	}
	if _, calls := server.seen(); calls != 0 {
		t.Errorf("%d calls reached the server", calls)
	}
	server.say("", "") // as it was
	if err := i.current.servers["a"].server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("%s; want the tool back, which is as it is pinned", got)
	}
	var record strings.Builder
	files, _ := filepath.Glob(filepath.Join(i.dir, "state/audit/*.jsonl"))
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		record.Write(data)
	}
	for _, want := range []string{`"method":"tools/changed"`, `"method":"tools/restored"`, `"code":"changed"`, `"detail":"tool pinned as sha256:`} {
		if !strings.Contains(record.String(), want) {
			t.Errorf("the record lacks %s:\n%s", want, record.String())
		}
	}
}

func TestPinsRequiredServesNothingUnreviewedFromTheReloadOn(t *testing.T) {
	server := newFakeServer(t)
	i := install(t, server.URL)
	i.open()
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Fatalf("%s; want done at first use", got)
	}
	i.write("sallyport.yaml", "pins: required\nmcpServers: {a: {url: \""+server.URL+"\"}}\n")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := i.current.servers["a"].server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.call("/mcp/a", "read"); got != "Unknown tool: read" {
		t.Errorf("%s; want nothing that nobody has reviewed", got)
	}
	if _, err := i.pins.Approve(t.Context(), "user test", pin.Selection{}, ""); err != nil {
		t.Fatal(err)
	}
	if err := i.current.servers["a"].server.Refresh(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Errorf("%s; want the reviewed tool", got)
	}
}

func TestAPinFileThatMakesNoSenseKeepsTheGatewayFromStarting(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.write("state/pins.yaml", "servers: [nonsense]\n")
	if err := os.Chmod(filepath.Join(i.dir, "state"), 0o700); err != nil {
		t.Fatal(err)
	}
	cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), cfg, nil)
	if err == nil {
		t.Fatal("it starts", s.Close())
	}
	if !strings.Contains(err.Error(), "pins.yaml:1") {
		t.Errorf("%v; want the file and the line", err)
	}
}

func TestShowMasksCanaries(t *testing.T) {
	cfg, err := Load(write(t, "sallyport.yaml", "guards: {canaries: [hunter2-hunter2]}\n"+minimal), nil)
	if err != nil {
		t.Fatal(err)
	}
	asYAML, err := cfg.Show()
	if err != nil {
		t.Fatal(err)
	}
	asJSON, err := cfg.ShowJSON()
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(asYAML), string(asJSON)} {
		if strings.Contains(shown, "hunter2") || !strings.Contains(shown, "(masked)") {
			t.Errorf("shown:\n%s", shown)
		}
	}
}

// The rules for secrets are compiled when the gateway is ready, and not while it starts; and when a
// change asks for them.
func TestRulesForSecretsAreCompiledAfterTheStart(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = s.Close() }()
	compiled := make(chan string, 2)
	s.compile = func(*secrets.Scanner) {
		why, _, _ := s.health.get()
		compiled <- why
	}
	s.Start(t.Context())
	if why := <-compiled; why != "" {
		t.Errorf("compiled while the gateway said %q; want it ready", why)
	}
	if err := s.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if why := <-compiled; why != "" {
		t.Errorf("compiled after a reload while the gateway said %q", why)
	}
}
