package policy

import (
	"strings"
	"testing"
)

// The functions have a value for whatever they are asked, so that a rule which denies by `not` fails
// closed.
func TestBuiltinsAnswerWhateverTheyAreAsked(t *testing.T) {
	for _, tt := range []struct {
		rule, arguments string
		allow           bool
	}{
		{`mcp.path_within(input.arguments.x, "/srv/docs")`, `{"x":"/srv/docs/a"}`, true},
		{`mcp.path_within(input.arguments.x, ["/a", "/srv/docs"])`, `{"x":"/srv/docs/a"}`, true},
		{`mcp.path_within(input.arguments.x, "/srv/docs")`, `{"x":"/srv/docs/../a"}`, false},
		{`mcp.path_within(input.arguments.x, "/srv/docs") == false`, `{"x":7}`, true},
		{`mcp.path_within(input.arguments.x, 7) == false`, `{"x":"/srv/docs/a"}`, true},
		{`mcp.path_check(input.arguments.x, "/srv/docs").reason == "it goes up (..); write where it leads to"`, `{"x":"/srv/docs/../a"}`, true},
		{`mcp.url_host(input.arguments.x) == "example.com"`, `{"x":"https://example.com/"}`, true},
		{`mcp.url_host(input.arguments.x) == false`, `{"x":"https://example.com@evil.com/"}`, true},
		{`mcp.url_host(input.arguments.x) == false`, `{"x":{}}`, true},
		{`mcp.url_allowed(input.arguments.x, {"hosts": ["example.com"], "ports": [8443]})`, `{"x":"https://example.com:8443/"}`, true},
		{`mcp.url_allowed(input.arguments.x, {"hosts": []}) == false`, `{"x":"https://example.com/"}`, true},
		{`mcp.url_allowed(input.arguments.x, "example.com") == false`, `{"x":"https://example.com/"}`, true},
		{`mcp.url_check(input.arguments.x, {"hosts": ["a.example"]}).ok == false`, `{"x":"https://example.com/"}`, true},
		{`mcp.email_domain(input.arguments.x) == "example.com"`, `{"x":"ann@example.com"}`, true},
		{`mcp.email_allowed(input.arguments.x, {"domains": {"example.com"}})`, `{"x":["ann@example.com","bob@example.com"]}`, true},
		{`mcp.email_allowed(input.arguments.x, {"domains": {"example.com"}})`, `{"x":["ann@example.com","eve@evil.com"]}`, false},
		{`mcp.email_check(input.arguments.x, {}).ok == false`, `{"x":"ann@example.com"}`, true},
		{`mcp.identifier(input.arguments.x, "[A-Z]+-[0-9]+")`, `{"x":"SHOP-1"}`, true},
		{`mcp.identifier(input.arguments.x, "(") == false`, `{"x":"SHOP-1"}`, true},
		{`mcp.sql_read_only(input.arguments.x, "postgres")`, `{"x":"select 1"}`, true},
		{`mcp.sql_read_only(input.arguments.x, "postgres")`, `{"x":"drop table t"}`, false},
		{`mcp.sql_read_only(input.arguments.x, "oracle") == false`, `{"x":"select 1"}`, true},
		{`mcp.sql_check(input.arguments.x, "postgres").reason == "it has 2 statements; write one"`, `{"x":"select 1; select 2"}`, true},
	} {
		g := mustLoad(t, "allow if "+tt.rule+"\n")
		d, err := g.Decide(t.Context(), call(tt.arguments))
		if err != nil || d.Allow != tt.allow {
			t.Errorf("%s of %s: %+v, %v; want allowed %v", tt.rule, tt.arguments, d, err, tt.allow)
		}
		if visible, err := g.Visible(t.Context(), call(`{}`)); err != nil || !visible {
			t.Errorf("%s: the tool is hidden (%v), and some arguments would be allowed", tt.rule, err)
		}
	}
}

// Where a path leads can change between two calls.
func TestDecisionsAboutPathsAreNotKept(t *testing.T) {
	g := mustLoad(t, `allow if mcp.path_within(input.arguments.path, "/srv/docs")`+"\n")
	for range 2 {
		if d, err := g.Decide(t.Context(), call(`{"path":"/srv/docs/a"}`)); err != nil || !d.Allow || d.Cached {
			t.Errorf("%+v, %v; want allowed and not from a cache", d, err)
		}
	}
	if notes := strings.Join(g.Notes(), "\n"); !strings.Contains(notes, "decisions are not cached: a rule calls mcp.path_within") {
		t.Errorf("notes %q", notes)
	}
	g = mustLoad(t, `allow if mcp.identifier(input.arguments.path, "/srv/.*")`+"\n")
	if len(g.Notes()) != 0 {
		t.Errorf("a function of its operands alone: notes %q", g.Notes())
	}
}
