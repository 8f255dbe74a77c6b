package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
	"github.com/rogpeppe/go-internal/testscript"

	"sallyport/gateway/sandbox"
	"sallyport/internal/freeport"
)

func TestMain(m *testing.M) {
	if sandbox.Reexecuted() {
		sandbox.Main()
	}
	testscript.Main(m, map[string]func(){"sallyport": main, "stdioserver": stdioServer})
}

// Each script of testdata is a story told at the shell. Beside the usual commands there are
//
//	upstream             start an MCP server with the tools `echo` and `drop`; its URL is $UPSTREAM
//	freeport NAME…       an address that is free until the script ends, into each variable
//	taken NAME           an address that somebody listens at, into a variable
//	wide DIR             make a directory that others can read
//	ready ADDRESS        wait until /readyz of that address answers 200
//	get URL              GET; the status line and the body are the standard output
//	says URL TEXT        GET it until TEXT is in what it answers
//	holds FILE TEXT [N]  wait until a file has TEXT in it, N times at least
//	cosign NOTE OUT KEY  sign a checkpoint as a witness does; its key is written to KEY
//	call URL TOKEN TOOL  call a tool of the gateway; its text is the standard output
//	agekey FILE NAME     an age identity, and its recipient into a variable
//	traffic URL TOKEN TOOL N ARGUMENTS  call it N times, $i in the arguments being the number; the texts are the standard output
//	follows URL TOKEN TOOL TEXT  call the tool until its text is TEXT
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata",
		Setup: func(env *testscript.Env) error {
			env.Setenv("HOME", env.WorkDir+"/home")
			env.Setenv("XDG_STATE_HOME", "")
			return os.MkdirAll(env.WorkDir+"/home", 0o700)
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"upstream": startUpstream, "freeport": freePorts, "taken": taken, "ready": ready,
			"get": get1, "agekey": agekey, "traffic": traffic, "call": call, "follows": follows, "wide": wide, "says": says, "holds": holds, "cosign": cosign,
		},
		RequireExplicitExec: true,
	})
}

// stdioServer is a program of its own in the scripts: an MCP server with the tool `list`, which
// says what it finds in a folder.
func stdioServer() {
	s := server.NewMCPServer("script", "1", server.WithToolCapabilities(true))
	s.AddTool(mcp.NewTool("list"), func(context.Context, mcp.CallToolRequest) (*mcp.CallToolResult, error) {
		entries, err := os.ReadDir(os.Args[1])
		if err != nil {
			return mcp.NewToolResultText("cannot read it"), nil // the reason would differ between systems
		}
		return mcp.NewToolResultText(fmt.Sprintf("%d in it, secret %q", len(entries), os.Getenv("SECRET"))), nil
	})
	if err := server.ServeStdio(s); err != nil {
		os.Exit(1)
	}
}

// must ends the script where a command failed, unless that was wanted.
func must(ts *testscript.TestScript, neg bool, err error) {
	if neg != (err != nil) {
		ts.Fatalf("failed: %v; wanted to fail: %v", err, neg)
	}
}

func startUpstream(ts *testscript.TestScript, _ bool, _ []string) {
	s := server.NewMCPServer("script", "1", server.WithToolCapabilities(true))
	for _, name := range []string{"echo", "drop"} {
		s.AddTool(mcp.NewTool(name), func(_ context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return mcp.NewToolResultText(r.Params.Name + " done"), nil
		})
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", server.NewStreamableHTTPServer(s))
	front := httptest.NewServer(mux)
	ts.Defer(front.CloseClientConnections)
	ts.Defer(func() { front.CloseClientConnections(); front.Close() })
	ts.Setenv("UPSTREAM", front.URL+"/mcp")
}

func freePorts(ts *testscript.TestScript, _ bool, names []string) {
	for _, name := range names {
		address, release, err := freeport.Reserve()
		ts.Check(err)
		ts.Defer(release)
		ts.Setenv(name, address)
	}
}

func taken(ts *testscript.TestScript, _ bool, names []string) {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { _ = ln.Close() })
	ts.Setenv(names[0], ln.Addr().String())
}

// wide makes a directory that others can read, whatever the umask.
func wide(ts *testscript.TestScript, _ bool, args []string) {
	dir := ts.MkAbs(args[0])
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.Chmod(dir, 0o755)) // this is the fault
}

// patience bounds every wait for something that should happen soon, on a machine that is busy too.
const patience = time.Minute

func until(what string, ok func() (bool, string)) error {
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		done, last := ok()
		if done {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("did not happen: %s; last: %s", what, last)
		}
	}
}

func ready(ts *testscript.TestScript, neg bool, args []string) {
	must(ts, neg, until("ready", func() (bool, string) {
		status, body, err := fetch("http://" + args[0] + "/readyz")
		return err == nil && status == http.StatusOK, body
	}))
}

func fetch(url string) (int, string, error) {
	resp, err := http.Get(url) // a test's own URL
	if err != nil {
		return 0, err.Error(), err
	}
	body, err := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), errors.Join(err, resp.Body.Close())
}

func says(ts *testscript.TestScript, neg bool, args []string) {
	must(ts, neg, until(args[1], func() (bool, string) {
		_, body, _ := fetch(args[0])
		return strings.Contains(body, args[1]), body
	}))
}

func holds(ts *testscript.TestScript, neg bool, args []string) {
	times := 1
	if len(args) > 2 {
		_, err := fmt.Sscan(args[2], &times)
		ts.Check(err)
	}
	must(ts, neg, until(args[1], func() (bool, string) {
		raw, err := os.ReadFile(ts.MkAbs(args[0]))
		return err == nil && bytes.Count(raw, []byte(args[1])) >= times, string(raw)
	}))
}

func get1(ts *testscript.TestScript, neg bool, args []string) {
	status, body, err := fetch(args[0])
	must(ts, neg, err)
	if err == nil {
		_, _ = fmt.Fprintf(ts.Stdout(), "%d\n%s", status, body)
	}
}

func call(ts *testscript.TestScript, neg bool, args []string) {
	text, err := callTool(args[0], strings.TrimSpace(ts.ReadFile(args[1])), args[2])
	must(ts, neg, err)
	_, _ = fmt.Fprintln(ts.Stdout(), text)
}

func follows(ts *testscript.TestScript, neg bool, args []string) {
	token := strings.TrimSpace(ts.ReadFile(args[1]))
	must(ts, neg, until(args[3], func() (bool, string) {
		text, err := callTool(args[0], token, args[2])
		return err == nil && strings.Contains(text, args[3]), text
	}))
}

func callTool(url, token, tool string) (string, error) { return callWith(url, token, tool, "{}") }

func callWith(url, token, tool, arguments string) (string, error) {
	body := fmt.Sprintf(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":%q,"arguments":%s,`+
		`"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}}}`, tool, arguments)
	req, err := http.NewRequest(http.MethodPost, url, strings.NewReader(body)) // a test
	if err != nil {
		return "", err
	}
	req.Header = http.Header{"Content-Type": {"application/json"}, "Accept": {"application/json, text/event-stream"}, "Authorization": {"Bearer " + token},
		"Mcp-Protocol-Version": {"2026-07-28"}, "Mcp-Method": {"tools/call"}, "Mcp-Name": {tool}}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	raw, err := io.ReadAll(resp.Body)
	if err = errors.Join(err, resp.Body.Close()); err != nil {
		return "", err
	}
	if _, data, ok := bytes.Cut(raw, []byte("data: ")); ok {
		raw = data
	}
	var msg struct {
		Result struct{ Content []struct{ Text string } }
		Error  struct{ Message string }
	}
	if json.Unmarshal(bytes.TrimSpace(raw), &msg) != nil {
		return fmt.Sprintf("%d %s", resp.StatusCode, bytes.TrimSpace(raw)), nil
	}
	if len(msg.Result.Content) > 0 {
		return msg.Result.Content[0].Text, nil
	}
	return fmt.Sprintf("%d %s", resp.StatusCode, msg.Error.Message), nil
}
