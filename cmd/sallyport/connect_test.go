package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/admin"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
	"sallyport/internal/freeport"
)

var aReader = admin.LocalRule{User: "dev", Roles: []string{"reader", "writer"}}

func TestConnectMakesABoundGrantAndCompletesIt(t *testing.T) {
	r := newConnectRig(t, aReader)
	c := r.connect(nil, "--role", "reader", "--tools", "files.read_*", "--ttl", "10m", "--task", "JIRA-1", "--max-calls", "7")
	want := `{"jsonrpc":"2.0","id":1,"result":{"subject":"dev","roles":"reader","proof":"dpop"}}`
	if got := c.ask(1); got != want {
		t.Errorf("answer = %s\nwant     %s", got, want)
	}
	g := r.one()
	if g.JKT == "" || g.Task != "JIRA-1" || g.MaxCalls != 7 || fmt.Sprint(g.Tools) != "[files.read_*]" || (g.Expires.Sub(g.Created)-10*time.Minute).Abs() > time.Second {
		t.Errorf("grant = %+v; want what the flags say, bound to a key", g)
	}
	if code := c.end(); code != exitFine {
		t.Errorf("exit %d; want 0; talk:\n%s", code, c.talk)
	}
	if g := r.one(); g.State != grant.Completed {
		t.Errorf("the grant is %s after the end; want completed", g.State)
	}
}

func TestConnectWithoutRolesHasAllThatTheUserMayHave(t *testing.T) {
	r := newConnectRig(t, aReader)
	c := r.connect(nil)
	if got := c.ask(1); !strings.Contains(got, `"roles":"reader writer"`) {
		t.Errorf("answer = %s; want both roles", got)
	}
}

func TestConnectWithAGrantThatIsThereMakesNoneAndEndsNone(t *testing.T) {
	r := newConnectRig(t, admin.LocalRule{User: "dev", Operator: true})
	g, err := admin.Dial(r.socket).Grant(t.Context(), mint.Ask{Roles: []string{"reader"}})
	if err != nil {
		t.Fatal(err)
	}
	c := r.connect([]string{"SALLYPORT_GRANT=" + g.ID})
	if got := c.ask(1); !strings.Contains(got, `"proof":"dpop"`) {
		t.Errorf("answer = %s; want a proof of the key", got)
	}
	if code := c.end(); code != exitFine {
		t.Errorf("exit %d; want 0; talk:\n%s", code, c.talk)
	}
	if g := r.one(); g.State != grant.Active {
		t.Errorf("the grant is %s after the end; want active: it is somebody else's to end", g.State)
	}
}

func TestConnectSaysThatItsGrantWasRevokedAndExitsThree(t *testing.T) {
	r := newConnectRig(t, aReader)
	c := r.connect(nil)
	c.ask(1)
	id := r.one().ID
	if _, err := r.grants.Revoke(t.Context(), grant.Filter{ID: id}, grant.Revoked, "dana", "lunch"); err != nil {
		t.Fatal(err)
	}
	want := `{"jsonrpc":"2.0","id":2,"error":{"code":401,"message":"task grant ` + id + ` has ended: revoked by dana (lunch); start the task again"}}`
	if got := c.ask(2); got != want {
		t.Errorf("answer = %s\nwant     %s", got, want)
	}
	if code := c.end(); code != exitNo {
		t.Errorf("exit %d; want 3; talk:\n%s", code, c.talk)
	}
	if all := r.grants.List(grant.Filter{All: true}); len(all) != 1 {
		t.Errorf("%d grants; want 1: what was revoked is not made anew", len(all))
	}
}

// What goes wrong at the start is the answer to the first request, and stands on standard error.
func TestConnectSaysWhatKeepsItFromStarting(t *testing.T) {
	r := newConnectRig(t, aReader)
	nobody, release, err := freeport.Reserve()
	if err != nil {
		t.Fatal(err)
	}
	defer release()
	for _, tt := range []struct {
		name string
		env  []string
		args []string
		want string
	}{
		{"a role that does not exist", nil, []string{r.url, "--role", "raeder"}, `raeder`},
		{"a grant that does not exist", nil, []string{r.url, "--grant", "gr_nothing"}, `there is no grant "gr_nothing" of yours`},
		{"no gateway at the socket", []string{"SALLYPORT_SOCKET=/nowhere/s"}, []string{r.url}, "no gateway listens at /nowhere/s: is `sallyport serve` running, with the state that --config names? For a gateway on another machine say where its tokens come from (--from)"},
		{"no gateway at the URL", nil, []string{"http://" + nobody + "/mcp"}, "http://" + nobody + "/mcp is not a gateway: dial tcp " + nobody + ": connect: connection refused."},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c := connectTo(t, append([]string{"SALLYPORT_SOCKET=" + r.socket}, tt.env...), tt.args...)
			if got := strings.ReplaceAll(c.ask(1), `\"`, `"`); !strings.Contains(got, tt.want) {
				t.Errorf("answer = %s\nwant in it: %s", got, tt.want)
			}
			if code := c.exit(); code != exitFailed {
				t.Errorf("exit %d; want 1, before the input ends; talk:\n%s", code, c.talk)
			}
			if talk := strings.ReplaceAll(c.talk.String(), `\"`, `"`); !strings.Contains(talk, tt.want) {
				t.Errorf("talk:\n%s\nwant in it: %s", talk, tt.want)
			}
		})
	}
}

func TestConnectCalledWronglySaysHow(t *testing.T) {
	dir := t.TempDir()
	for name, tt := range map[string]struct {
		args []string
		want string
		code int
	}{
		"no URL":         {nil, "accepts 1 arg(s), received 0", exitUsage},
		"not a URL":      {[]string{"gateway"}, `"gateway" is not an http or https URL`, exitUsage},
		"unencrypted":    {[]string{"http://gw.example/mcp"}, "--plain-http", exitUsage},
		"unknown source": {[]string{"http://127.0.0.1/mcp", "--from", "thin-air"}, "--from thin-air: want socket, socket:PATH, file:PATH, github, exec:COMMAND or key:FILE", exitUsage},
		"no client":      {[]string{"http://127.0.0.1/mcp", "--from", "key:k"}, "--from key:FILE: whose key is it? Name the client (--client)", exitUsage},
		"not in a job":   {[]string{"http://127.0.0.1/mcp", "--from", "github"}, "the job needs `permissions: id-token: write`", exitFailed},
		"half a pair":    {[]string{"http://127.0.0.1/mcp", "--cert", "c"}, "--cert and --key go together", exitUsage},
		"no certificate": {[]string{"http://127.0.0.1/mcp", "--cert", dir + "/c", "--key", dir + "/k"}, "read the client certificate: open " + dir + "/c", exitFailed},
		"no authorities": {[]string{"http://127.0.0.1/mcp", "--ca", os.DevNull}, "holds no certificate in PEM", exitFailed},
		"bad listener":   {[]string{"http://127.0.0.1/mcp", "--listen", "tcp:80"}, "--listen tcp:80: want unix:PATH", exitUsage},
		"bad measure":    {[]string{"http://127.0.0.1/mcp", "--measure", "../x"}, "../x", exitUsage},
	} {
		t.Run(name, func(t *testing.T) {
			c := connectTo(t, []string{"SALLYPORT_SOCKET=" + dir + "/s"}, tt.args...)
			if code := c.exit(); code != tt.code || !strings.Contains(c.talk.String(), tt.want) {
				t.Errorf("exit %d, want %d; talk:\n%s\nwant in it: %s", code, tt.code, c.talk, tt.want)
			}
		})
	}
}

// A sidecar, and a client beside it that only has the socket.
func TestConnectBelowARelayIsAPipeToIt(t *testing.T) {
	r := newConnectRig(t, aReader)
	dir, err := os.MkdirTemp("", "cmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	path := filepath.Join(dir, "way")
	ctx, stop := context.WithCancel(t.Context())
	talk := &lockedBuffer{}
	code := make(chan int, 1)
	go func() {
		code <- runUntil(ctx, []string{"connect", r.url, "--listen", "unix:" + path}, strings.NewReader(""), io.Discard, talk, []string{"SALLYPORT_SOCKET=" + r.socket})
	}()
	for deadline := time.Now().Add(patience); ; time.Sleep(10 * time.Millisecond) {
		info, err := os.Stat(path)
		if err == nil {
			if info.Mode().Perm() != 0o600 {
				t.Errorf("mode of the socket = %v; want 0600", info.Mode())
			}
			break
		}
		if !errors.Is(err, os.ErrNotExist) || time.Now().After(deadline) {
			t.Fatalf("no socket: %v; talk:\n%s", err, talk)
		}
	}
	for range 2 {
		c := connectTo(t, []string{"SALLYPORT_RELAY=1", "SALLYPORT_SOCKET=" + path}, r.url, "--role", "writer")
		if got := c.ask(1); !strings.Contains(got, `"proof":"dpop"`) {
			t.Errorf("answer = %s; want one by way of the sidecar", got)
		}
		if !strings.Contains(c.talk.String(), "--role means nothing below `sallyport run`, whose grant this uses; give it to `run`") {
			t.Errorf("talk:\n%s\nwant that the flag means nothing", c.talk)
		}
		if code := c.end(); code != exitFine {
			t.Errorf("exit %d; want 0; talk:\n%s", code, c.talk)
		}
	}
	if g := r.one(); g.State != grant.Active { // one for all clients
		t.Errorf("the grant is %s; want active while the sidecar runs", g.State)
	}
	stop()
	if got := <-code; got != exitFine {
		t.Errorf("the sidecar exits %d; want 0; talk:\n%s", got, talk)
	}
	if g := r.one(); g.State != grant.Completed {
		t.Errorf("the grant is %s after the sidecar; want completed", g.State)
	}
}

func TestConnectBelowARunThatHasEndedSaysSo(t *testing.T) {
	c := connectTo(t, []string{"SALLYPORT_RELAY=1", "SALLYPORT_SOCKET=/nowhere/s"}, "http://127.0.0.1/mcp")
	if got := c.ask(1); !strings.HasPrefix(got, `{"jsonrpc":"2.0","id":1,"error":{"code":-32000,"message":"reach `) || !strings.Contains(got, "has it ended?") {
		t.Errorf("the client hears %s; want the reason", got)
	}
	if code := c.exit(); code != exitFailed || !strings.Contains(c.talk.String(), "has it ended?") {
		t.Errorf("exit %d; talk:\n%s\nwant 1 and the reason", code, c.talk)
	}
}

func TestConnectThatIsToldOfARunWithoutItsSocketSaysSo(t *testing.T) {
	c := connectTo(t, []string{"SALLYPORT_RELAY=1"}, "http://127.0.0.1/mcp")
	const want = "SALLYPORT_RELAY says that this runs below `sallyport run`, and SALLYPORT_SOCKET does not say where it listens; set both, or neither"
	if code := c.exit(); code != exitUsage || !strings.Contains(c.talk.String(), want) {
		t.Errorf("exit %d; talk:\n%s\nwant 2 and %q", code, c.talk, want)
	}
}
