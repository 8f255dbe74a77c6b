package workbench

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport/policy"
)

func fromFiles(t *testing.T, files map[string][]byte) *policy.Generation {
	t.Helper()
	g, err := policy.FromFiles(t.Context(), files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

const before = `
allow if {
	"reader" in input.subject.roles
	input.tool.name == "read"
	startswith(input.arguments.path, "/srv/")
}

allow if {
	"writer" in input.subject.roles
	input.tool.name in {"read", "write"}
}

allow if {
	"clerk" in input.subject.roles
	input.tool.name == "pay"
	input.arguments.amount <= 500
}
`

const after = `
allow if {
	"reader" in input.subject.roles
	input.tool.name == "read"
	startswith(input.arguments.path, "/srv/docs/")
}

allow if {
	"writer" in input.subject.roles
	input.tool.name in {"write", "drop"}
}

allow if {
	"clerk" in input.subject.roles
	input.tool.name == "pay"
	input.arguments.amount <= 1000
}

obligations contains {"type": "record_arguments"} if input.tool.name == "write"
`

func diffed(t *testing.T, before, after string) *DiffReport {
	t.Helper()
	var tools []Tool
	for _, name := range []string{"drop", "pay", "read", "write"} {
		tools = append(tools, Tool{Server: "s", Name: name, Labels: []string{}, ServerLabels: []string{}})
	}
	d, err := Diff(t.Context(), load(t, before), load(t, after), []string{"clerk", "reader", "writer"}, tools)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestDiffSaysWhatHasChangedForEachRoleAndTool(t *testing.T) {
	d := diffed(t, before, after)
	var got []string
	for _, c := range d.Cells {
		got = append(got, fmt.Sprintf("%s %s: %s, %s to %s", c.Role, c.Tool, c.Change, c.Was, c.Now))
	}
	want := []string{"writer drop: newly_allowed, never to always", "clerk pay: wider, sometimes to sometimes", "reader read: narrower, sometimes to sometimes",
		"writer read: newly_refused, always to never", "writer write: obligations, always to always"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("cells (-want +got):\n%s", diff)
	}
	if !d.NewAccess() || !d.Unclear() {
		t.Errorf("new access %v, unclear %v; want both", d.NewAccess(), d.Unclear())
	}
}

// That nothing is newly allowed is said of everything that policies decide, not of a table of roles.
func TestDiffLooksAtAllThatPoliciesDecide(t *testing.T) {
	for _, tt := range []struct {
		name, more, want string
	}{
		{"nothing", "", "everything same"},
		{"a comment", "\n# nothing\n", "every action same"},
		{"a deny", "\ndeny contains \"x\" if input.subject.id == \"eve\"\n", "every action narrower"},
		{"a role beside another", "\nallow if {\n\t\"reader\" in input.subject.roles\n\t\"boss\" in input.subject.roles\n\tinput.action == \"tools/call\"\n}\n", "tools/call wider"},
		{"a resource", "\nallow if input.resource.uri == \"file:///x\"\n", "resources/read wider"},
		{"a question of a server", "\nallow if input.action == \"sampling/createMessage\"\n", "sampling/createMessage wider"},
		{"one subject", "\nallow if input.subject.id == \"eve\"\n", "prompts/get wider"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := diffed(t, before, before+tt.more)
			var got []string
			for _, s := range d.Scopes {
				got = append(got, s.Name+" "+s.Change)
			}
			if !strings.Contains(strings.Join(got, "\n"), tt.want) {
				t.Errorf("scopes %q; want %s", got, tt.want)
			}
			if wider := strings.Contains(tt.want, "wider"); (d.NewAccess() || d.Unclear()) != wider {
				t.Errorf("new access %v, unclear %v", d.NewAccess(), d.Unclear())
			}
		})
	}
}

func TestDiffCannotTellOfOtherPackages(t *testing.T) {
	d := diffed(t, before, before)
	if d.Unclear() {
		t.Fatalf("scopes %+v; want nothing unclear of one policy", d.Scopes)
	}
	files := func(src string) map[string][]byte {
		return map[string][]byte{"a.rego": []byte("package mcp.authz\n" + before), "b.rego": []byte("package mcp.response\n\nallow if " + src)}
	}
	a, b := fromFiles(t, files("count(input.result) < 5")), fromFiles(t, files("count(input.result) < 6"))
	if d, err := Diff(t.Context(), a, b, nil, nil); err != nil || !d.Unclear() || d.NewAccess() {
		t.Errorf("%+v, %v; want it unclear whether more results pass", d, err)
	}
	if d, err := Diff(t.Context(), a, fromFiles(t, files("count(input.result) < 5 # as before")), nil, nil); err != nil || d.Unclear() {
		t.Errorf("%+v, %v; want results to be the same", d, err)
	}
}

func TestDiffOverTrafficGroupsWhatHasChanged(t *testing.T) {
	g, next := generation(t, bounded, 100), generation(t, strings.ReplaceAll(bounded, `"balance"`, `"other"`), 1000)
	records := day(t, g)
	for i := range 10 {
		records = append(records, recordedOf(t, g, 10+i, asked(10+i, "pay", `{"amount": 700}`)))
	}
	unseen := recordedOf(t, g, 30, asked(30, "pay", `{"amount": 1}`))
	unseen.Input = nil
	records = append(records, unseen)
	for _, workers := range []int{1, 4} {
		got, err := DiffTraffic(t.Context(), g, next, logOf(records...), workers)
		if err != nil {
			t.Fatal(err)
		}
		if len(got.Groups) != 2 || got.Decisions != 15 || got.Full != 14 || got.Same != 2 || got.Undecided[MissingInput+", and "+missingParts] != 1 {
			t.Fatalf("report %+v; want 2 groups of 12 changes", got)
		}
		paid, balance := got.Groups[0], got.Groups[1]
		if paid.Kind != NewlyAllowed || paid.Count != 11 || len(paid.Examples) != 3 || paid.Examples[0].ID != "D2" || string(paid.Examples[0].Arguments) != `{"amount":500}` ||
			balance.Kind != NewlyRefused || balance.Count != 1 || balance.Tool != "balance" {
			t.Errorf("groups %+v, %+v", paid, balance)
		}
	}
}

func TestDiffTextShowsEachPart(t *testing.T) {
	d := diffed(t, before, after)
	var err error
	g, next := generation(t, bounded, 100), generation(t, bounded, 1000)
	if d.Traffic, err = DiffTraffic(t.Context(), g, next, logOf(day(t, g)...), 1); err != nil {
		t.Fatal(err)
	}
	var text, markdown strings.Builder
	if err := d.Text(&text); err != nil {
		t.Fatal(err)
	}
	if err := d.Markdown(&markdown); err != nil {
		t.Fatal(err)
	}
	want := `
Roles and tools: 5 of 12 differ
  newly allowed
    writer: s.drop (always, was never)
  wider: all that was allowed is, and perhaps more
    clerk: s.pay (sometimes, was sometimes)
      was: arguments.amount ≤ 500 (or is null, true or false)
      now: arguments.amount ≤ 1000 (or is null, true or false)
  newly refused
    writer: s.read (never, was always)
  narrower: nothing is allowed that was not
    reader: s.read (sometimes, was sometimes)
      was: arguments.path starts with "/srv/"
      now: arguments.path starts with "/srv/docs/"
  changed obligations
    writer: s.write (always, was always)
      now: obligation {"type":"record_arguments"}

Recorded decisions: 1 of 4 differ
  1 newly allowed
    1 of tools/call bank.pay by clerk by `
	if !strings.Contains(text.String(), want) {
		t.Errorf("text:\n%s\nwant in it:\n%s", text.String(), want)
	}
	if want := "\n  - writer: s.drop (always, was never)\n"; !strings.Contains(markdown.String(), want) {
		t.Errorf("markdown:\n%s", markdown.String())
	}
	if _, err := json.Marshal(d); err != nil {
		t.Error(err)
	}
}

// An obligation less is more access: a call that had to be approved, an answer that was masked.
func TestAnObligationThatIsDroppedIsNewAccess(t *testing.T) {
	const allow = "allow if input.action in {\"resources/read\", \"tools/call\"}\n\n"
	const approve = "obligations contains {\"type\": \"require_approval\", \"by\": \"boss\"} if input.action == \"resources/read\"\n\n"
	const redact = "obligations contains {\"type\": \"redact\", \"what\": \"secrets\"}\n"
	for _, tt := range []struct {
		name     string
		old, new string
		unclear  bool
	}{
		{"dropped", allow + approve + redact, allow + redact, true},
		{"dropped, the last", allow + approve, allow, true},
		{"another condition", allow + approve, allow + strings.Replace(approve, "resources/read", "resources/list", 1), true},
		{"added", allow + redact, allow + approve + redact, false},
		{"in another order", allow + approve + redact, allow + redact + "\n" + approve, false},
	} {
		d, err := Diff(t.Context(), load(t, tt.old), load(t, tt.new), []string{"reader"}, []Tool{{Server: "files", Name: "read_file"}})
		if err != nil {
			t.Fatal(err)
		}
		if d.Unclear() != tt.unclear {
			t.Errorf("%s: cannot be told: %v; want %v: %+v", tt.name, d.Unclear(), tt.unclear, d.Scopes)
		}
	}
}
