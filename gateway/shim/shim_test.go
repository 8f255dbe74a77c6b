package shim

import (
	"context"
	"strings"
	"testing"
)

// sourceFunc makes a function a Source.
type sourceFunc func(context.Context, SourceAsk) (Token, error)

func (f sourceFunc) Token(ctx context.Context, ask SourceAsk) (Token, error) { return f(ctx, ask) }

func TestURLThatCannotBeAGatewayIsRefused(t *testing.T) {
	none := sourceFunc(func(context.Context, SourceAsk) (Token, error) { return Token{}, nil })
	for _, tt := range []struct{ url, want string }{
		{"", `"" is not an http or https URL; want something like https://gateway.example/mcp`},
		{"gateway.example/mcp", `"gateway.example/mcp" is not an http or https URL; want something like https://gateway.example/mcp`},
		{"https://gateway.example/mcp?token=x", "the URL must have no user, query or fragment: tokens are never part of it"},
		{"https://me:secret@gateway.example/mcp", "the URL must have no user, query or fragment: tokens are never part of it"},
		{"http://gateway.example/mcp", "gateway.example is another machine and http is not encrypted: use https, or --plain-http where something else protects the way"},
	} {
		_, err := New(Config{URL: tt.url, Source: none})
		if err == nil || err.Error() != tt.want {
			t.Errorf("New(%q) = %v; want %s", tt.url, err, tt.want)
		}
	}
	for _, url := range []string{"http://127.0.0.1:8080/mcp", "http://localhost/mcp", "http://[::1]:1/mcp", "https://gateway.example/mcp/files"} {
		if _, err := New(Config{URL: url, Source: none}); err != nil {
			t.Errorf("New(%q): %v", url, err)
		}
	}
	if _, err := New(Config{URL: "http://127.0.0.1/mcp"}); err == nil || !strings.Contains(err.Error(), "source") {
		t.Errorf("without a source: %v; want an error that says so", err)
	}
}
