package config

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"sallyport/gateway/sandbox"

	"go.uber.org/goleak"
)

// TestMain lets this test's binary be an MCP server that is a program.
func TestMain(m *testing.M) {
	if sandbox.Reexecuted() {
		sandbox.Main()
	}
	if len(os.Args) > 1 && os.Args[1] == "serve-stdio" {
		serveStdio()
		return
	}
	goleak.VerifyTestMain(m)
}

// serveStdio is a server of the newer protocol whose tool `read` tells about its process: its
// pid, its directory, its arguments, and its environment.
func serveStdio() {
	out := bufio.NewWriter(os.Stdout)
	for in := bufio.NewScanner(os.Stdin); in.Scan(); {
		var msg struct {
			ID     json.RawMessage
			Method string
		}
		if json.Unmarshal(in.Bytes(), &msg) != nil || msg.ID == nil {
			continue
		}
		answer := `"error":{"code":-32601,"message":"no"}`
		switch msg.Method {
		case "server/discover":
			answer = `"result":{"resultType":"complete","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},"serverInfo":{"name":"fake","version":"1"},"ttlMs":60000,"cacheScope":"public"}`
		case "tools/list":
			answer = `"result":{"resultType":"complete","tools":[{"name":"read","inputSchema":{"type":"object"}}],"ttlMs":60000,"cacheScope":"public"}`
		case "tools/call":
			dir, _ := os.Getwd()
			text, _ := json.Marshal(fmt.Sprintf("pid=%d dir=%s args=%q env=%q sees=%v", os.Getpid(), dir, os.Args[2:], os.Environ(), seen(os.Args[2:])))
			answer = `"result":{"resultType":"complete","content":[{"type":"text","text":` + string(text) + `}]}`
		}
		_, _ = fmt.Fprintf(out, `{"jsonrpc":"2.0","id":%s,%s}`+"\n", msg.ID, answer)
		_ = out.Flush() // nobody to tell
	}
}

// seen says of each path what the program can make of it.
func seen(paths []string) map[string]string {
	out := map[string]string{}
	for _, path := range paths {
		if !strings.HasPrefix(path, "/") {
			continue
		}
		out[path] = "nothing"
		if data, err := os.ReadFile(path); err == nil {
			out[path] = string(data)
		} else if entries, err := os.ReadDir(path); err == nil {
			out[path] = fmt.Sprint(len(entries))
		}
		if f, err := os.CreateTemp(path, "new"); err == nil {
			out[path] += "+writes"
			_ = f.Close() // it is there, which is all
		}
	}
	return out
}

// callModern is call in the newer protocol.
func (i *installation) callModern(path, tool string) string {
	i.t.Helper()
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":{},`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, tool)
	r := httptest.NewRequest(http.MethodPost, "http://127.0.0.1:8080"+path, strings.NewReader(body))
	r.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + i.token},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {tool}}
	w := httptest.NewRecorder()
	i.Handler().ServeHTTP(w, r)
	var msg struct {
		Result struct{ Content []struct{ Text string } }
		Error  struct{ Message string }
	}
	if err := json.Unmarshal(w.Body.Bytes(), &msg); err != nil {
		return fmt.Sprintf("%d %s", w.Code, strings.TrimSpace(w.Body.String()))
	}
	if len(msg.Result.Content) == 1 {
		return msg.Result.Content[0].Text
	}
	return msg.Error.Message
}

// command is the configuration of a server that is this test's binary.
func command(t *testing.T, more string) string {
	t.Helper()
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return "{command: " + strconv.Quote(program) + ", args: [serve-stdio, said], " + more + "}"
}

// pidOf is the process that answered.
func pidOf(t *testing.T, text string) string {
	t.Helper()
	pid, _, found := strings.Cut(strings.TrimPrefix(text, "pid="), " ")
	if !found || !strings.HasPrefix(text, "pid=") {
		t.Fatalf("answer %q; want one of the program", text)
	}
	return pid
}

func TestAServerThatIsACommandIsServed(t *testing.T) {
	t.Setenv("CANARY", "of the gateway")
	i := install(t, "http://127.0.0.1:1/")
	i.write("place/.keep", "")
	i.write("sallyport.yaml", "mcpServers:\n  a: "+command(t, "sandbox: none, cwd: place, env: {GIVEN: yes it is}")+"\n")
	i.open()
	text := i.callModern("/mcp/a", "read")
	dir, err := filepath.EvalSymlinks(i.dir + "/place")
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"dir=" + dir + " ", `args=["said"]`, `"GIVEN=yes it is"`} {
		if !strings.Contains(text, want) {
			t.Errorf("lacks %s: %s", want, text)
		}
	}
	if strings.Contains(text, "CANARY") {
		t.Errorf("the gateway's environment reached the program: %s", text)
	}
	if again := i.callModern("/mcp", "a__read"); pidOf(t, again) != pidOf(t, text) {
		t.Errorf("the same grant, two processes: %s and %s", text, again)
	}
	if want := "started without a sandbox: it has all rights of the gateway, its keys and its record among them"; !strings.Contains(i.logs.String(), want) {
		t.Errorf("log lacks %q:\n%s", want, i.logs)
	}
}

func TestAReloadKeepsTheProcessesOfServersThatDidNotChange(t *testing.T) {
	i := install(t, "http://127.0.0.1:1/")
	servers := func(b string) { i.write("sallyport.yaml", "mcpServers:\n  a: "+command(t, "sandbox: none")+"\n"+b) }
	servers("  b: " + command(t, "sandbox: none, env: {N: one}") + "\n")
	i.open()
	a, b := pidOf(t, i.callModern("/mcp/a", "read")), pidOf(t, i.callModern("/mcp/b", "read"))
	servers("  b: " + command(t, "sandbox: none, env: {N: two}") + "\n")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := pidOf(t, i.callModern("/mcp/a", "read")); got != a {
		t.Errorf("a did not change and runs as %s; want %s", got, a)
	}
	text := i.callModern("/mcp/b", "read")
	if pidOf(t, text) == b || !strings.Contains(text, "N=two") {
		t.Errorf("b changed and answers as before: %s", text)
	}
	servers("  b: {command: ./nowhere, sandbox: none}\n")
	if err := i.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), "mcpServers.b.command: ") {
		t.Fatalf("a command that is not there: %v", err)
	}
	if got := pidOf(t, i.callModern("/mcp/a", "read")); got != a {
		t.Errorf("after a bad file a runs as %s; want %s", got, a)
	}
	servers("")
	if err := i.Reload(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := i.callModern("/mcp/b", "read"); strings.HasPrefix(got, "pid=") {
		t.Errorf("b was taken out and answers: %s", got)
	}
	if got := pidOf(t, i.callModern("/mcp/a", "read")); got != a {
		t.Errorf("a runs as %s; want %s", got, a)
	}
}

func TestAServerInASandboxSeesWhatItWasGiven(t *testing.T) {
	i := install(t, "http://127.0.0.1:1/")
	i.write("docs/a.txt", "hello")
	i.write("out/.keep", "")
	i.write("secret.txt", "hunter2")
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	paths := fmt.Sprintf("%[1]s/docs/a.txt, %[1]s/docs, %[1]s/out, %[1]s/secret.txt, %[1]s/state/keys, %[1]s/state/cache/b, %[1]s/state/cache/c", i.dir)
	i.write("sallyport.yaml", "mcpServers:\n"+
		"  a: {command: "+program+", args: [serve-stdio, "+paths+"], sandbox: {read: [docs], write: [out]}}\n"+
		"  b: {command: "+program+", args: [serve-stdio, "+paths+"], sandbox: {read: [.], profile: packages}}\n"+
		"  c: {command: "+program+", args: [serve-stdio, "+i.dir+"/docs, "+i.dir+", "+i.dir+"/secret.txt, "+i.dir+"/state/keys]}\n")
	i.environ = map[string]string{"HOME": t.TempDir(), "PATH": "/usr/bin:/bin", "npm_config_registry": "http://127.0.0.1:1/"}
	i.open()
	for server, want := range map[string]map[string]string{
		"a": {"/docs/a.txt": "hello", "/docs": "1", "/out": "1+writes", "/secret.txt": "nothing", "/state/keys": "nothing", "/state/cache/b": "nothing"},
		// A folder that holds the state is read without it, but for the server's own cache.
		"b": {"/docs/a.txt": "hello", "/docs": "1", "/secret.txt": "hunter2", "/state/keys": "nothing", "/state/cache/c": "nothing", "/state/cache/b": "0+writes"},
		// Without a word, what exists among the arguments; but not what holds the state.
		"c": {"/docs": "1", "/secret.txt": "hunter2", "/state/keys": "nothing"},
	} {
		text := i.callModern("/mcp/"+server, "read")
		for path, sees := range want {
			if !strings.Contains(text, i.dir+path+":"+sees+" ") && !strings.Contains(text, i.dir+path+":"+sees+"]") {
				t.Errorf("%s does not see %q at %s: %s", server, sees, path, text)
			}
		}
	}
}
