package upstream

import (
	"context"
	"net/http"
	"os"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// modernPost is a POST of the newer protocol; params ends in a comma or is empty.
func modernPost(p gateway.Party, method, name, params string) gateway.Outbound {
	h := http.Header{wire.HeaderVersion: {wire.V20260728}, wire.HeaderMethod: {method}}
	if name != "" {
		h[wire.HeaderName] = []string{name}
	}
	meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{}}`
	return gateway.Outbound{Method: http.MethodPost, Header: h, For: p,
		Body: []byte(`{"jsonrpc":"2.0","id":"m","method":"` + method + `","params":{` + params + meta + `}}`)}
}

func modernEcho(p gateway.Party, nonce string) gateway.Outbound {
	return modernPost(p, "tools/call", "echo", `"name":"echo","arguments":{"nonce":"`+nonce+`"},`)
}

// A program that speaks both may take its first message for the choice; SDKs do. Clients of both
// eras are served side by side, whichever comes first.
func TestStdioErasDoNotMeetInOneProcess(t *testing.T) {
	for _, instance := range []Instance{Shared, PerPrincipal} {
		for _, modernFirst := range []bool{true, false} {
			s := ours(t, "one era", func(c *StdioConfig) { c.Instance = instance })
			order := []bool{modernFirst, !modernFirst, modernFirst}
			for i, modern := range order {
				var a answer
				var err error
				if modern {
					a, err = talk(t.Context(), s, modernEcho(who("ann"), "n"))
				} else {
					a, err = talk(t.Context(), s, legacyPost(who("ann"), begin(t, s, who("ann"), `{}`), toolCall("1", "echo", "n")))
				}
				if err != nil || a.Status != http.StatusOK || !strings.Contains(a.Body, `"text":"n"`) {
					t.Errorf("instance %d, modern in turn %v, call %d: %+v, %v", instance, order, i, a, err)
				}
			}
		}
	}
}

// A program of the older protocol is probed once, and goes on in the same process.
func TestStdioProbesOnceAndGoesOn(t *testing.T) {
	var starts atomic.Int64
	s := ours(t, "legacy", func(c *StdioConfig) {
		c.Instance = PerPrincipal
		counting(&starts)(c)
	})
	for range 2 {
		if a, err := talk(t.Context(), s, modernEcho(who("ann"), "n")); err != nil || a.Status != http.StatusBadRequest {
			t.Errorf("the newer protocol: %+v, %v", a, err)
		}
	}
	begin(t, s, who("ann"), `{}`)
	if starts.Load() != 1 {
		t.Errorf("%d processes; want 1", starts.Load())
	}
}

// A program that dies of a question it does not know is started again without it, at once.
func TestStdioProgramThatDiesOfTheProbe(t *testing.T) {
	s := ours(t, "dies on discover", nil)
	if a, err := talk(t.Context(), s, modernEcho(who("ann"), "n")); err != nil || a.Status != http.StatusBadRequest {
		t.Errorf("the newer protocol: %+v, %v", a, err)
	}
	begin(t, s, who("ann"), `{}`)
}

// One that is only slow to answer the probe is taken for old until it refuses to be.
func TestStdioProgramThatIsSlowToAnswerTheProbe(t *testing.T) {
	t.Parallel() // it waits, most of the time
	var starts atomic.Int64
	s := ours(t, "modern only", func(c *StdioConfig) {
		c.StartTimeout = 8 * time.Second
		quick := c.Start
		c.Start = func(ctx context.Context, env map[string]string, in, out, err *os.File) (Child, error) {
			if starts.Add(1) > 1 {
				return quick(ctx, env, in, out, err)
			}
			return startAs("slow", env, in, out, err)
		}
	})
	if a, err := talk(t.Context(), s, modernEcho(who("ann"), "n")); err != nil || a.Status != http.StatusBadRequest {
		t.Fatalf("while it is slow: %+v, %v", a, err)
	}
	init := legacyPost(who("ann"), "", `{"jsonrpc":"2.0","id":"i","method":"initialize","params":{"protocolVersion":"2025-11-25","capabilities":{},"clientInfo":{"name":"c","version":"1"}}}`)
	if a, err := talk(t.Context(), s, init); err != nil || !strings.Contains(a.Body, "only 2026-07-28 is spoken here") {
		t.Fatalf("initialize: %+v, %v", a, err)
	}
	if a, err := talk(t.Context(), s, modernEcho(who("ann"), "n")); err != nil || a.Status != http.StatusOK {
		t.Errorf("the newer protocol after that: %+v, %v", a, err)
	}
	var started = starts.Load()
	for _, p := range []string{"bob", "cid"} {
		init.For = who(p)
		if a, err := talk(t.Context(), s, init); err != nil || !strings.HasPrefix(a.Body, `{"jsonrpc":"2.0","id":"i","error":`) || a.Header.SessionID != "" {
			t.Errorf("initialize by %s: %+v, %v", p, a, err)
		}
	}
	if got := starts.Load() - started; got > 1 {
		t.Errorf("%d processes were started to be refused by; want at most one", got)
	}
}

// An error of the newer protocol has the HTTP status that a client looks at first.
func TestStdioErrorsHaveTheirStatus(t *testing.T) {
	s := ours(t, "modern", nil)
	for method, want := range map[string]int{"prompts/list": http.StatusNotFound, "resources/list": http.StatusBadRequest, "tools/list": http.StatusOK} {
		if a, err := talk(t.Context(), s, modernPost(who("ann"), method, "", "")); err != nil || a.Status != want || a.Header.ContentType != "application/json" {
			t.Errorf("%s: %+v, %v; want %d", method, a, err, want)
		}
	}
	if a, err := talk(t.Context(), s, legacyPost(who("ann"), "", `{"jsonrpc":"2.0","id":1,"method":"prompts/list"}`)); err != nil || a.Status != http.StatusOK {
		t.Errorf("the older protocol: %+v, %v; want 200", a, err)
	}
}
