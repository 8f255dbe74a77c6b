package workbench

import (
	"encoding/csv"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/policy"
)

const office = `
allow if {
	"reader" in input.subject.roles
	input.server.name == "files"
	input.tool.name in {"list", "read"}
	bounded
}

bounded if input.tool.name == "list"

bounded if input.arguments.path in {"/a", "/b"}

allow if {
	some role in input.subject.roles
	data.mcp.authz.admins[role]
	input.server.name in {"files", "mail"}
}

admins := {"boss": true}

deny contains "nothing leaves" if {
	"sink:external" in input.tool.labels
	"source:private" in input.flow.labels
}

obligations contains {"type": "record_arguments"} if input.tool.name == "send"
`

func TestMatrixSaysNeverSometimesAlways(t *testing.T) {
	g := load(t, office)
	roles, err := g.RoleNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"boss", "reader"}, roles); diff != "" {
		t.Errorf("roles (-want +got):\n%s", diff)
	}
	tools := []Tool{
		{Server: "files", Name: "list", Labels: []string{}, ServerLabels: []string{}},
		{Server: "files", Name: "read", Labels: []string{"source:private"}, ServerLabels: []string{}},
		{Server: "mail", Name: "send", Labels: []string{"sink:external"}, ServerLabels: []string{}},
	}
	m, err := NewMatrix(t.Context(), g, roles, tools)
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	if err := m.Text(&b); err != nil {
		t.Fatal(err)
	}
	want := `TOOL        boss           reader
files.list  always         always
files.read  always         sometimes [1]
mail.send   sometimes [2]  never

[1] arguments.path is one of "/a", "/b"

[2] whatever is asked
      unless flow has the label source:private: refused, nothing leaves
    obligation {"type":"record_arguments"}
`
	if diff := cmp.Diff(want, b.String()); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// Without a configuration nothing is known of labels, and what depends on them is no "always".
func TestUnknownLabelsAreNoEmptyLabels(t *testing.T) {
	c, err := NewCell(t.Context(), load(t, office), "boss", Tool{Server: "mail", Name: "send"})
	if err != nil {
		t.Fatal(err)
	}
	if got := said(c.Ways); c.Access != Sometimes || got != `; unless tool.labels has "sink:external" and flow has the label source:private (nothing leaves)` {
		t.Errorf("%s: %s", c.Access, got)
	}
}

// "Always" is not said where a rule that could end in an error is asked, or another value of allow.
func TestAlwaysIsSaidOnlyWhereItIsSound(t *testing.T) {
	for _, tt := range []struct {
		src  string
		want Access
	}{
		{`allow if input.tool.name == "x"`, Always},
		{`allow if input.tool.name == "y"`, Never},
		{"allow if true\nallow if startswith(input.arguments.path, \"/\")", Sometimes}, // a path of another type is refused
		{"allow if true\nallow if input.arguments.path == \"/\"", Always},
		{"allow if true\nobligations contains {\"type\": \"max_bytes\", \"n\": to_number(input.arguments.n)} if true", Sometimes},
		{"allow := true\nallow := false if input.arguments.n == 1", Sometimes}, // two values are an error
		{"allow if true\ndeny contains \"now\" if time.now_ns() < 5", Sometimes},
		{"allow if true\ndeny contains \"x\" if input.subject.id == \"ann\"", Sometimes},
		{"allow if true\ndeny contains \"x\" if input.tool.name == \"x\"", Never},
		{"allow if true\ndeny contains \"x\" if input.grant.task == \"T\"", Sometimes},
		{"allow if not input.subject.measured.changed", Sometimes},
		{"default allow := true", Always},
	} {
		c, err := NewCell(t.Context(), load(t, tt.src), "reader", Tool{Server: "files", Name: "x"})
		if err != nil {
			t.Fatal(err)
		}
		if c.Access != tt.want {
			t.Errorf("%s: %s (%s); want %s", tt.src, c.Access, said(c.Ways), tt.want)
		}
	}
}

func TestMatrixFormatsCannotBeBrokenByNames(t *testing.T) {
	m := &Matrix{Revision: "sha256:0", Roles: []string{"<b>", "a|b"}, Tools: []string{"=cmd()", "x"},
		Cells: []Cell{{Role: "<b>", Tool: "=cmd()", Access: Never}, {Role: "a|b", Tool: "=cmd()", Access: Sometimes,
			Ways: []Way{{When: []string{`arguments.q contains "</script><script>alert(1)</script>"`}}}},
			{Role: "<b>", Tool: "x", Access: Always}, {Role: "a|b", Tool: "x", Access: Never}}}
	var page, table, sheet strings.Builder
	for _, err := range []error{m.HTML(&page), m.Markdown(&table), m.CSV(&sheet)} {
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, bad := range []string{"<b>", "<script>alert", "http:", "https:", "src=", "@import", "url("} {
		if strings.Contains(page.String(), bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if !strings.Contains(table.String(), `| tool | &lt;b> | a\|b |`) {
		t.Errorf("markdown:\n%s", table.String())
	}
	rows, err := csv.NewReader(strings.NewReader(sheet.String())).ReadAll()
	if err != nil || len(rows) != 5 || rows[1][2] != "'=cmd()" {
		t.Errorf("csv: %v %v", rows, err)
	}
}

func TestReadTools(t *testing.T) {
	for _, tt := range []struct{ raw, want string }{
		{`{"tools":[{"name":"a"},{"name":"b","annotations":{}}]}`, "a b"},
		{`{"jsonrpc":"2.0","id":1,"result":{"tools":[{"name":"a"}]}}`, "a"},
		{`{"files":{"tools":[{"name":"a"}]},"mail":{"tools":[{"name":"b"}]}}`, "files.a mail.b"},
		{`{"tools":{"tools":[{"name":"a"}]}}`, "tools.a"},
		{`[1]`, "error"}, {`{}`, "error"}, {`{"tools":[{}]}`, "error"}, {`{"x":{"tools":1}}`, "error"},
	} {
		tools, err := ReadTools([]byte(tt.raw))
		var names []string
		for _, x := range tools {
			names = append(names, x.String())
		}
		got := strings.Join(names, " ")
		if err != nil {
			got = "error"
		}
		if got != tt.want {
			t.Errorf("%s: %s (%v); want %s", tt.raw, got, err, tt.want)
		}
	}
}

// The names of tools and roles are not all ours.
func TestNamesDoNotSteerATerminal(t *testing.T) {
	m := &Matrix{Roles: []string{"a\x1b[31m"}, Tools: []string{"s.\x1b]0;title\x07"}, Cells: []Cell{{Role: "a\x1b[31m", Server: "s", Tool: "\x1b]0;title\x07", Access: Sometimes,
		Ways: []Way{{When: []string{"arguments.x is \"\u202e\x1b[2J\""}}}}}}
	for name, write := range map[string]func(io.Writer) error{"text": m.Text, "csv": m.CSV, "markdown": m.Markdown, "html": m.HTML} {
		var b strings.Builder
		if err := write(&b); err != nil {
			t.Fatal(err)
		}
		if strings.ContainsAny(b.String(), "\x1b\x07\u202e") {
			t.Errorf("%s: %q", name, b.String())
		}
	}
}

// A rule that only excludes a role allows everybody else, who is in no list of roles.
func TestWhoIsNotNamedHasAColumn(t *testing.T) {
	open := load(t, "allow if not \"intern\" in input.subject.roles")
	closed := load(t, "allow if \"reader\" in input.subject.roles")
	tools := []Tool{{Server: "files", Name: "read_file"}}
	for _, tt := range []struct {
		g    *policy.Generation
		want []string
	}{{open, []string{"intern", OtherRole}}, {closed, []string{"intern"}}} {
		m, err := NewMatrix(t.Context(), tt.g, []string{"intern", OtherRole}, tools)
		if err != nil {
			t.Fatal(err)
		}
		if m = m.Without(OtherRole); !slices.Equal(m.Roles, tt.want) || len(m.Cells) != len(tt.want) || m.Cell(0, 0).Access != Never {
			t.Errorf("roles %q, cells %+v; want %q, and never for the intern", m.Roles, m.Cells, tt.want)
		}
	}
}
