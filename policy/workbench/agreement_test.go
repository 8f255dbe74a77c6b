package workbench

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"sallyport/policy"
)

// agreement counts what was compared, so that a generator that has become one-sided is noticed.
type agreement struct {
	inputs, allowed, refused, failed, never, always, hidden, worded, unworded int
}

func (n *agreement) add(m agreement) {
	n.inputs, n.allowed, n.refused, n.failed = n.inputs+m.inputs, n.allowed+m.allowed, n.refused+m.refused, n.failed+m.failed
	n.never, n.always, n.hidden = n.never+m.never, n.always+m.always, n.hidden+m.hidden
	n.worded, n.unworded = n.worded+m.worded, n.unworded+m.unworded
}

// What `policy check` takes, what tables test, what explain says, what a matrix says and what a
// gateway decides and lists are one answer: over generated policies and the examples, 10,000
// questions.
func TestAllOfTheWorkbenchAgreesWithTheGateway(t *testing.T) {
	parts, policies := uint64(4), 60
	if testing.Short() {
		policies = 5
	}
	counts := make([]agreement, parts)
	t.Run("policies", func(t *testing.T) {
		for part := range parts {
			t.Run(fmt.Sprint(part), func(t *testing.T) {
				t.Parallel()
				r := rand.New(rand.NewPCG(6, part))
				for range policies {
					files := map[string][]byte{"authz.rego": []byte(generatedPolicy(r)), "data.json": []byte(generatedData)}
					counts[part].policy(t, r, files, 37, []string{"reader", "admin", "x"}, []string{"files", "mail"}, []string{"read_file", "write_file", "other"})
				}
			})
		}
	})
	var n agreement
	for _, c := range counts {
		n.add(c)
	}
	r := rand.New(rand.NewPCG(6, parts))
	examples, err := filepath.Glob("../../examples/policies/*/authz.rego")
	if err != nil || len(examples) == 0 {
		t.Fatalf("no examples: %v", err)
	}
	for _, example := range examples {
		files := map[string][]byte{}
		for _, pattern := range []string{"*.rego", "*.json"} {
			names, err := filepath.Glob(filepath.Join(filepath.Dir(example), pattern))
			if err != nil {
				t.Fatal(err)
			}
			for _, name := range names {
				if files[filepath.Base(name)], err = os.ReadFile(name); err != nil {
					t.Fatal(err)
				}
			}
		}
		maps.DeleteFunc(files, func(name string, _ []byte) bool {
			return filepath.Ext(name) == ".rego" && name != "authz.rego" && name != "constraints.rego"
		})
		n.example(t, r, files)
	}
	t.Logf("%+v", n)
	if !testing.Short() && n.inputs < 10_000 || n.allowed < 200 || n.refused < 200 || n.failed == 0 || n.never == 0 || n.always == 0 || n.hidden == 0 || n.worded < 1000 {
		t.Errorf("one-sided: %+v", n)
	}
}

// example asks a policy about its own roles, servers and tools.
func (n *agreement) example(t *testing.T, r *rand.Rand, files map[string][]byte) {
	g, err := policy.FromFiles(t.Context(), files, policy.Options{})
	if err != nil {
		t.Fatal(err)
	}
	roles, err := g.RoleNames(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	named, err := NamedTools(t.Context(), g)
	if err != nil {
		t.Fatal(err)
	}
	var servers, tools []string
	for _, x := range named {
		if x.Name == "" {
			continue // the policy tells no tool from another
		}
		servers, tools = append(servers, x.Server), append(tools, x.Name)
	}
	n.policy(t, r, files, 120, append(roles, "x"), append(servers, "files"), append(tools, "read_file"))
}

func (n *agreement) policy(t *testing.T, r *rand.Rand, files map[string][]byte, inputs int, roles, servers, tools []string) {
	t.Helper()
	ctx := t.Context()
	src := string(files["authz.rego"])
	g, err := policy.FromFiles(ctx, files, policy.Options{}) // with its cache, as a gateway has it
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	var cases []map[string]any
	for i := range inputs {
		in := generatedInput(r, roles, servers, tools)
		n.inputs++
		d, failed := g.Decide(ctx, in)
		n.explains(t, g, in, d, failed, src)
		n.lists(t, g, in, d, src)
		if failed != nil {
			n.failed++
			continue
		}
		cases = append(cases, tableCase(t, fmt.Sprint("case ", i), in, d))
	}
	if len(cases) == 0 {
		return
	}
	// The same answers as a table: a directory is loaded only where its tables pass.
	raw, err := json.Marshal(map[string]any{"cases": cases})
	if err != nil {
		t.Fatal(err)
	}
	with := maps.Clone(files)
	with["agree_test.yaml"] = raw
	if _, err := policy.FromFiles(ctx, with, policy.Options{}); err != nil {
		t.Errorf("%s\nthe tables disagree: %v", src, err)
	}
}

func tableCase(t *testing.T, name string, in *policy.Input, d policy.Decision) map[string]any {
	doc := document(t, in)
	arguments := doc["arguments"]
	delete(doc, "arguments") // laid over others, a null would take its member away
	if in.Grant == nil {
		doc["grant"] = nil // a table's callers have one
	}
	obligations := []json.RawMessage{}
	for _, o := range d.Obligations {
		obligations = append(obligations, o.Raw)
	}
	c := map[string]any{"name": name, "action": in.Action, "tool": in.Server + "." + in.Tool.Name, "role": in.Subject.Roles[0],
		"arguments": arguments, "input": doc, "allow": d.Allow, "obligations": obligations, "rules": append([]string{}, d.Rules...)}
	if !d.Allow {
		delete(c, "obligations")
	}
	if len(d.Reasons) > 0 {
		c["reason"] = d.Reasons[0]
	}
	return c
}

// explains compares what explain says with the decision.
func (n *agreement) explains(t *testing.T, g *policy.Generation, in *policy.Input, d policy.Decision, failed error, src string) {
	t.Helper()
	x, err := Explain(t.Context(), g, in)
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	if x.Allow != d.Allow || (x.Error != "") != (failed != nil) || !slices.Equal(x.Reasons, d.Reasons) || len(x.Obligations) != len(d.Obligations) {
		t.Errorf("%s\n%s: explain %+v; decided %+v %v", src, in.Arguments, x, d, failed)
	}
	var held []string
	for _, a := range x.Held {
		held = append(held, a.Label)
	}
	for _, rule := range d.Rules {
		if failed == nil && !slices.Contains(held, rule) && ofAuthz(g, rule) {
			t.Errorf("%s\n%s: the rule %s held; explain has %q", src, in.Arguments, rule, held)
		}
	}
	// What could be allowed, with the arguments unknown, says of these arguments what was decided.
	could, err := CouldBe(t.Context(), g, in, policy.OpenArguments)
	if err != nil {
		if d.Allow {
			t.Errorf("%s\n%s: allowed, and nothing could be: %v", src, in.Arguments, err)
		}
		return
	}
	if could.Hidden && d.Allow {
		t.Errorf("%s\n%s: allowed, and no arguments would be", src, in.Arguments)
	}
	if failed != nil {
		if !could.Hidden && len(could.Fallible) == 0 {
			t.Errorf("%s\n%s: %v, and nothing of it is said", src, in.Arguments, failed)
		}
		return
	}
	if d.Allow {
		n.allowed++
	} else {
		n.refused++
	}
	n.words(t, could.Ways, in, d.Allow, src)
}

// ofAuthz reports whether a rule is one of those that decide: helpers are told of where they failed.
func ofAuthz(g *policy.Generation, label string) bool {
	return g.Decides(label)
}

// words holds the conditions in words against the arguments, by a reader of its own.
func (n *agreement) words(t *testing.T, ways []Way, in *policy.Input, allowed bool, src string) {
	t.Helper()
	doc := document(t, in)
	got, known := waysHold(ways, doc)
	if !known {
		n.unworded++
		return
	}
	n.worded++
	if got != allowed {
		t.Errorf("%s\n%v\nallowed: %v; in words:\n%s", src, doc, allowed, said(ways))
	}
}

// document is a question as a policy sees it.
func document(t *testing.T, in *policy.Input) map[string]any {
	t.Helper()
	raw, err := in.Document()
	if err != nil {
		t.Fatal(err)
	}
	var doc map[string]any
	if err := json.Unmarshal(raw, &doc); err != nil {
		t.Fatal(err)
	}
	if doc["arguments"] == nil {
		doc["arguments"] = map[string]any{}
	}
	return doc
}

// lists compares with what a list shows, and with the matrix.
func (n *agreement) lists(t *testing.T, g *policy.Generation, in *policy.Input, d policy.Decision, src string) {
	t.Helper()
	ctx := context.Background()
	visible, err := g.Visible(ctx, in)
	if err != nil {
		return // hidden and refused alike
	}
	r, err := g.Reach(ctx, in, policy.OpenCall)
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	if r.Never() == visible {
		t.Errorf("%s\nlists say visible %v; the reach says never %v", src, visible, r.Never())
	}
	if !visible {
		n.hidden++
	}
	if d.Allow && !visible {
		t.Errorf("%s\n%s is allowed and hidden", src, in.Tool.Name)
	}
	cell, err := NewCell(ctx, g, in.Subject.Roles[0], Tool{Server: in.Server, Name: in.Tool.Name, Labels: in.Tool.Labels, ServerLabels: in.ServerLabels,
		Annotations: in.Tool.Annotations})
	if err != nil {
		t.Fatalf("%s\n%v", src, err)
	}
	switch {
	case cell.Access == Never:
		n.never++
		if d.Allow || visible {
			t.Errorf("%s\nthe matrix says never; allowed %v, visible %v: %+v", src, d.Allow, visible, in)
		}
	case cell.Access == Always:
		n.always++
		if !d.Allow || !visible {
			t.Errorf("%s\nthe matrix says always; allowed %v, visible %v, %v: %s %+v", src, d.Allow, visible, d.Reasons, in.Arguments, in)
		}
	}
	if reflect.DeepEqual(cell.Ways, []Way{{}}) && len(cell.Fallible) == 0 {
		t.Errorf("%s\nsometimes, on no condition", src)
	}
}
