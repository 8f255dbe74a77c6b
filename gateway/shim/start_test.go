package shim

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestWhatIsNotAGatewayIsSaidToTheFirstRequest(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	handlers := map[string]http.HandlerFunc{
		"nothing there": http.NotFound,
		"a web page": func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "text/html; charset=utf-8")
			_, _ = fmt.Fprint(w, "<html>welcome</html>")
		},
		"a redirect": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "https://evil.example/", http.StatusFound)
		},
		"no issuer": func(w http.ResponseWriter, r *http.Request) {
			writeJSON(w, map[string]any{"resource": "http://" + r.Host + "/mcp"})
		},
		"another address": func(w http.ResponseWriter, _ *http.Request) {
			writeJSON(w, map[string]any{"resource": "https://gw.example/mcp", "authorization_servers": []string{"https://gw.example"}})
		},
		"another shape": func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, []int{1}) },
	}
	const at = "%s/mcp is not a gateway: %s. Check the URL (a gateway's ends in /mcp or /mcp/SERVER), and that `sallyport serve` runs there"
	const doc = "%[1]s/.well-known/oauth-protected-resource/mcp "
	for name, want := range map[string]string{
		"nobody listens":  "connection refused",
		"nothing there":   doc + "answers 404 Not Found",
		"a web page":      doc + "answers with a web page and not with a JSON document",
		"a redirect":      doc + "answers 302 Found",
		"no issuer":       "its metadata names nobody who issues tokens for it",
		"another shape":   doc + "answers with JSON of another shape",
		"another address": `says that its address is "https://gw.example/mcp": connect to that, or set publicURL of the gateway to the address that its clients use`,
	} {
		t.Run(name, func(t *testing.T) {
			url := gone.URL
			if h := handlers[name]; h != nil {
				srv := httptest.NewServer(h)
				defer srv.Close()
				url = srv.URL
			}
			log := &syncBuffer{}
			never := sourceFunc(func(context.Context, SourceAsk) (Token, error) {
				t.Error("the source was asked for a token; want nothing of it before there is a gateway")
				return Token{}, errors.New("no")
			})
			s, err := New(Config{URL: url + "/mcp", Source: never, Log: logTo(log)})
			if err != nil {
				t.Fatal(err)
			}
			c := converse(t.Context(), t, s, log)
			c.say(initialize)
			if strings.Contains(want, "%[1]s") {
				want = fmt.Sprintf(want, url)
			}
			if name != "another address" && name != "nobody listens" {
				want = fmt.Sprintf(at, url, want)
			}
			if line := unquote(c.hear()); !strings.HasPrefix(line, `{"jsonrpc":"2.0","id":0,"error":{"code":502,"message":"sallyport connect: `) || !strings.Contains(line, want) {
				t.Errorf("line = %s\nwant the reason %s", line, want)
			}
			if err := c.result(); !errors.Is(err, ErrStart) || !strings.Contains(err.Error(), want) {
				t.Errorf("Serve = %v; want ErrStart with the reason", err)
			}
			if !strings.Contains(unquote(log.String()), want) {
				t.Errorf("log:\n%s\nwant the reason %s", log, want)
			}
		})
	}
}

// unquote takes the escapes of a JSON string or a log line away.
func unquote(s string) string { return strings.ReplaceAll(s, `\"`, `"`) }

func TestLinesThatAreNoMessagesAreAnswered(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	c := g.talk(t.Context(), func(cfg *Config) { cfg.MaxLine = 5000 })
	long := strings.Repeat("x", 80_000)
	const tooLong = `"error":{"code":413,"message":"the message is over the limit of 5000 bytes"}}`
	for _, tt := range []struct{ line, want string }{
		{`{"jsonrpc":"2.0","id":1,`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error: `},
		{`{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"parse error: `},
		{`[]`, `{"jsonrpc":"2.0","id":null,"error":{"code":-32600,"message":"invalid request: a JSON-RPC message is an object, and a line holds one"}}`},
		{`{"method":"x","params":{"a":"` + long + `"},"jsonrpc":"2.0","id":3}`, `{"jsonrpc":"2.0","id":3,` + tooLong},
		{`{"jsonrpc":"2.0","id":"four","method":"x","params":{"a":"` + long + `"}}`, `{"jsonrpc":"2.0","id":"four",` + tooLong},
		{`{"jsonrpc":"2.0","method":"x","params":{"id":5,"a":"` + long + `"}}`, `{"jsonrpc":"2.0","id":null,` + tooLong},
		{`{"jsonrpc":"2.0","method":"x","params":{"a":"` + long + `","id":5}}`, `{"jsonrpc":"2.0","id":null,` + tooLong},
	} {
		c.say(tt.line)
		if got := c.hear(); !strings.HasPrefix(got, tt.want) {
			t.Errorf("line = %s\nwant   %s", got, tt.want)
		}
	}
	c.say("\n \r")
	c.say(ping(9))
	c.expect(pong(9))
}

func TestIDThatIsStillUnderWayIsRefused(t *testing.T) {
	release := make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		<-release
		answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`)(w, r, in)
	})
	c := g.talk(t.Context())
	c.say(ping(1))
	c.say(ping(1))
	c.expect(`{"jsonrpc":"2.0","id":1,"error":{"code":-32600,"message":"invalid request: a request with this id is still under way"}}`)
	close(release)
	c.expect(pong(1))
}

func TestEndOfTheInputWaitsForAnswers(t *testing.T) {
	began, release := make(chan struct{}), make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		close(began)
		<-release
		answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`)(w, r, in)
	})
	c := g.talk(t.Context())
	c.say(ping(1))
	<-began
	_ = c.in.Close()
	close(release)
	c.expect(pong(1))
	if err := c.result(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}

func TestSignalEndsWhatIsUnderWayAndTheSession(t *testing.T) {
	l := newLegacyServer()
	began := make(chan struct{})
	g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, in []byte) {
		if text(find(in, "method")) == "tools/call" {
			close(began)
			<-r.Context().Done()
			return
		}
		l.serve(w, r, in)
	})
	ctx, signal := context.WithCancel(t.Context())
	c := g.talk(ctx)
	c.greet()
	c.say(`{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"slow"}}`)
	<-began
	signal()
	if err := c.result(); err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
	if len(l.deleted) != 1 {
		t.Errorf("deleted = %v; want the session", l.deleted)
	}
}

func TestClientThatHasGoneEndsItsService(t *testing.T) {
	g := newFakeGateway(t, answerWith(`{"jsonrpc":"2.0","id":ID,"result":{}}`))
	s, err := New(Config{URL: g.URL + "/mcp", Source: g, Key: g.key})
	if err != nil {
		t.Fatal(err)
	}
	in, say := io.Pipe()
	defer func() { _ = say.Close() }()
	done := make(chan error, 1)
	go func() { done <- s.Serve(t.Context(), in, deaf{}) }()
	if _, err := io.WriteString(say, ping(1)+"\n"); err != nil {
		t.Fatal(err)
	}
	if err := <-done; err != nil {
		t.Errorf("Serve = %v; want nil", err)
	}
}

type deaf struct{}

func (deaf) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

// The input may have ended before it is known that nothing works.
func TestFailureAtTheStartIsReturnedAfterTheEndOfTheInput(t *testing.T) {
	release := make(chan struct{})
	g := newFakeGateway(t, nil)
	c := g.talk(t.Context(), func(cfg *Config) {
		cfg.Source = sourceFunc(func(context.Context, SourceAsk) (Token, error) {
			<-release
			return Token{}, errors.New("no such role")
		})
	})
	c.say(ping(1))
	_ = c.in.Close()
	close(release)
	c.expect(`{"jsonrpc":"2.0","id":1,"error":{"code":502,"message":"sallyport connect: no such role"}}`)
	if err := c.result(); !errors.Is(err, ErrStart) {
		t.Errorf("Serve = %v; want ErrStart", err)
	}
}
