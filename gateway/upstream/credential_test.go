package upstream

import (
	"bytes"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"

	"sallyport/gateway"
	"sallyport/gateway/credential"
)

// fakeSource yields one secret after the other, each until it is refused.
type fakeSource struct {
	mu      sync.Mutex // guards all below
	n       int
	err     error
	asked   []credential.Who
	refused []string
}

func (f *fakeSource) Get(_ context.Context, who credential.Who) (credential.Secret, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.asked = append(f.asked, who)
	return credential.Secret{Value: fmt.Sprintf("secret-number-%d", f.n)}, f.err
}

func (f *fakeSource) Refused(_ credential.Who, s credential.Secret) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.refused = append(f.refused, s.Value)
	f.n++
}

func TestCredentialIsAskedForWhenTheRequestIsSent(t *testing.T) {
	got := make(chan http.Header, 1)
	f := newFake(t, func(c *fakeConn) {
		for {
			r, _, alive := c.request()
			if !alive {
				return
			}
			got <- r.Header
			c.say(ok("{}"))
		}
	})
	source := &fakeSource{}
	h := newHTTP(t, HTTPConfig{URL: f.url, Credential: source, CredentialHeader: "x-api-key", CredentialPrefix: "Key "})
	out := call("{}")
	out.For = gateway.Party{Key: "k", Subject: "ann", Issuer: "us"}
	out.Header.Set("X-Api-Key", "of a client")
	for i := range 3 {
		source.n = i // rotated
		if _, err := ask(t.Context(), h, out); err != nil {
			t.Fatal(err)
		}
		if header := <-got; len(header["X-Api-Key"]) != 1 || header.Get("X-Api-Key") != fmt.Sprintf("Key secret-number-%d", i) {
			t.Errorf("request %d carried %q", i, header["X-Api-Key"])
		}
	}
	if n := f.accepted.Load(); n != 1 {
		t.Errorf("%d connections; want the one to be kept while the secret rotates", n)
	}
	if len(source.asked) != 3 || source.asked[0] != (credential.Who{Subject: "ann", Issuer: "us"}) {
		t.Errorf("asked for %v", source.asked)
	}
	for i := range 3 { // the last and those before
		if _, n := h.Scrub(fmt.Appendf(nil, `{"x":"secret-number-%d"}`, i)); n != 1 {
			t.Errorf("secret %d is not looked for in answers", i)
		}
	}
}

func TestRefusedCredentialIsReplacedAndTheRequestNotRepeated(t *testing.T) {
	status := 401
	f := newFake(t, func(c *fakeConn) {
		for {
			if _, _, alive := c.request(); !alive {
				return
			}
			c.say(fmt.Sprintf("HTTP/1.1 %d X\r\nContent-Length: 0\r\n\r\n", status))
		}
	})
	source := &fakeSource{}
	h := newHTTP(t, HTTPConfig{URL: f.url, Credential: source, CredentialHeader: "Authorization", CredentialPrefix: "Bearer "})
	for _, status = range []int{401, 403, 200} {
		if a, err := ask(t.Context(), h, call("{}")); err != nil || a.Status != status {
			t.Errorf("status %d, %v; want %d", a.Status, err, status)
		}
	}
	if n := f.requests.Load(); n != 3 {
		t.Errorf("%d requests; want one for each call", n)
	}
	if len(source.refused) != 1 || source.refused[0] != "secret-number-0" {
		t.Errorf("told of %d refused secrets; want the one of the 401", len(source.refused))
	}
}

func TestWithoutACredentialNothingIsSent(t *testing.T) {
	f := newFake(t, echo)
	source := &fakeSource{err: errors.New("credential /run/secret is empty")}
	h := newHTTP(t, HTTPConfig{URL: f.url, Credential: source, CredentialHeader: "Authorization"})
	_, err := ask(t.Context(), h, call("{}"))
	if !errors.Is(err, gateway.ErrNoCredential) || !strings.HasSuffix(err.Error(), ": credential /run/secret is empty") {
		t.Errorf("error %v", err)
	}
	h = newHTTP(t, HTTPConfig{URL: f.url, Credential: lineBreak{}, CredentialHeader: "Authorization"})
	if _, err = ask(t.Context(), h, call("{}")); !errors.Is(err, gateway.ErrNoCredential) || strings.Contains(err.Error(), "hunter2") {
		t.Errorf("a secret with a line break: error %v", err)
	}
	if n := f.accepted.Load(); n != 0 {
		t.Errorf("%d connections were made", n)
	}
	h.free(t)
}

type lineBreak struct{}

func (lineBreak) Get(context.Context, credential.Who) (credential.Secret, error) {
	return credential.Secret{Value: "hunter2\r\nX-Admin: yes"}, nil
}

func TestCredentialHeaderIsChecked(t *testing.T) {
	for want, cfg := range map[string]HTTPConfig{
		`upstream header "": it may not carry a credential`:                                      {},
		`upstream header "Host": it may not carry a credential`:                                  {CredentialHeader: "host"},
		`upstream header "Authorization": it is set twice, by the headers and by the credential`: {CredentialHeader: "Authorization", Headers: http.Header{"authorization": {"x"}}},
		`upstream header "X-Key": what stands before the credential holds a control character`:   {CredentialHeader: "X-Key", CredentialPrefix: "a\n"},
	} {
		cfg.URL, cfg.Credential = "http://127.0.0.1/", &fakeSource{}
		if _, err := NewHTTP(cfg); err == nil || err.Error() != want {
			t.Errorf("error %v\nwant %s", err, want)
		}
	}
}

// Credentials among the configured headers are looked for in answers as well.
func TestConfiguredHeadersThatAreSecretsAreScrubbed(t *testing.T) {
	h := newHTTP(t, HTTPConfig{URL: "http://127.0.0.1/", Headers: http.Header{"X-Team": {"blue-and-green"}, "X-Api-Key": {"key-key-key"},
		"Authorization": {"Basic " + base64.StdEncoding.EncodeToString([]byte("me:correct-horse"))}}})
	for text, want := range map[string]int{"blue-and-green": 0, "key-key-key": 1, "correct-horse": 1, base64.StdEncoding.EncodeToString([]byte("me:correct-horse")): 1} {
		if _, n := h.Scrub([]byte(`{"x":"` + text + `"}`)); n != want {
			t.Errorf("%q found %d times; want %d", text, n, want)
		}
	}
}

func TestStdioLearnsTheSecretsItIsGiven(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) {
		c.Env = func(context.Context, gateway.Party) (map[string]string, error) {
			return map[string]string{"API_TOKEN": "hunter2-hunter2"}, nil
		}
	})
	doc := []byte(`{"x":"hunter2-hunter2"}`)
	if _, n := s.Scrub(doc); n != 0 {
		t.Error("found before any process was given it")
	}
	if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", ""))); err != nil {
		t.Fatal(err)
	}
	if _, n := s.Scrub(doc); n != 1 {
		t.Error("not looked for after a process was given it")
	}
}

// What a program complains about goes to the log and into errors, without the secrets it was given.
func TestStderrIsScrubbed(t *testing.T) {
	var logs bytes.Buffer
	secrets := new(credential.Scrubber)
	secrets.Learn("hunter2-hunter2")
	s := &stderr{log: slog.New(slog.NewTextHandler(&logs, nil)), secrets: secrets}
	s.read(io.NopCloser(strings.NewReader("login with hunter2-hunter2 failed\nbase64 aHVudGVyMi1odW50ZXIy\n")))
	for _, text := range []string{logs.String(), s.hint()} {
		if !strings.Contains(text, "login with [redacted by the gateway] failed") || strings.Contains(text, "aHVudGVyMi1odW50ZXIy") {
			t.Errorf("said %s", text)
		}
	}
}
