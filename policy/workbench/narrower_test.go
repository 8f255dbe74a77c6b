package workbench

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"sallyport/policy"
)

// compared says whether the new policy is provably no wider, as `policy diff` asks it.
func compared(t *testing.T, before, after *policy.Generation) (narrower, wider bool) {
	t.Helper()
	a, err := boundsOf(t.Context(), before, policy.Question{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := boundsOf(t.Context(), after, policy.Question{})
	if err != nil {
		t.Fatal(err)
	}
	return b.within(a), a.within(b)
}

func TestNarrowerIsProvedByForm(t *testing.T) {
	for _, tt := range []struct {
		name, before, after string
		narrower            bool
	}{
		{"the same", `allow if input.arguments.n < 5`, `allow if input.arguments.n < 5`, true},
		{"in other words", "allow if {\n\tsome r in input.subject.roles\n\tr == \"a\"\n}", "helper if true\n\nallow if {\n\tsome role in input.subject.roles\n\trole == \"a\"\n}", true},
		{"one more condition", `allow if input.arguments.n < 5`, "allow if {\n\tinput.arguments.n < 5\n\tinput.grant.task == \"T\"\n}", true},
		{"one condition less", "allow if {\n\tinput.arguments.n < 5\n\tinput.grant.task == \"T\"\n}", `allow if input.arguments.n < 5`, false},
		{"a rule less", "allow if input.tool.name == \"a\"\n\nallow if input.tool.name == \"b\"", `allow if input.tool.name == "b"`, true},
		{"a rule more", `allow if input.tool.name == "b"`, "allow if input.tool.name == \"a\"\n\nallow if input.tool.name == \"b\"", false},
		{"a lower bound", `allow if input.arguments.n <= 500`, `allow if input.arguments.n <= 100`, true},
		{"a higher bound", `allow if input.arguments.n <= 100`, `allow if input.arguments.n <= 500`, false},
		{"the bound itself", `allow if input.arguments.n < 100`, `allow if input.arguments.n <= 100`, false},
		{"a longer prefix", `allow if startswith(input.arguments.p, "/srv/")`, `allow if startswith(input.arguments.p, "/srv/docs/")`, true},
		{"fewer tools", `allow if input.tool.name in {"a", "b", "c"}`, `allow if input.tool.name in {"a", "c"}`, true},
		{"other tools", `allow if input.tool.name in {"a", "b"}`, `allow if input.tool.name in {"a", "c"}`, false},
		{"one of the tools", `allow if input.tool.name in {"a", "b"}`, `allow if input.tool.name == "a"`, true},
		{"a deny more", `allow if true`, "allow if true\n\ndeny contains \"x\" if input.arguments.n > 5", true},
		{"a deny less", "allow if true\n\ndeny contains \"x\" if input.arguments.n > 5", `allow if true`, false},
		{"a deny of more", "allow if true\n\ndeny contains \"x\" if input.arguments.n > 5", "allow if true\n\ndeny contains \"y\" if input.arguments.n > 3", true},
		{"a deny of less", "allow if true\n\ndeny contains \"x\" if input.arguments.n > 3", "allow if true\n\ndeny contains \"y\" if input.arguments.n > 5", false},
		{"with a default", "default allow := false\n\nallow if input.arguments.n < 5", "default allow := false\n\nallow if {\n\tinput.arguments.n < 4\n\tinput.tool.name == \"a\"\n}", true},
		{"a default that allows", `default allow := false`, `default allow := true`, false},
		{"not of less", "allow if not odd\n\nodd if input.arguments.n == 1\n\nodd if input.arguments.n == 2", "allow if not odd\n\nodd if input.arguments.n == 1", false},
		{"not of more", "allow if not odd\n\nodd if input.arguments.n == 1", "allow if not odd\n\nodd if input.arguments.n == 1\n\nodd if input.arguments.n == 2", true},
		{"another function of the same name", "allow if f(input.arguments.n) == 1\n\nf(x) := 1 if x == 1\n\nelse := 2", "allow if f(input.arguments.n) == 1\n\nf(x) := 1 if x == 2\n\nelse := 2", false},
		{"the same function", "allow if f(input.arguments.n) == 1\n\nf(x) := 1 if x == 1\n\nelse := 2", "other if true\n\nallow if {\n\tf(input.arguments.n) == 1\n\tinput.tool.name == \"a\"\n}\n\nf(x) := 1 if x == 1\n\nelse := 2", true},
		{"every", "allow if every x in input.arguments.l { x < 5 }", "allow if every x in input.arguments.l { x < 5 }", true},
		{"every of another", "allow if every x in input.arguments.l { x < 5 }", "allow if every x in input.arguments.l { x < 6 }", false},
		{"two variables for one", "allow if {\n\tsome a in input.arguments.l\n\tsome b in input.arguments.l\n\ta > 1\n\tb < 5\n}", "allow if {\n\tsome a in input.arguments.l\n\ta > 1\n\tsome b in input.arguments.l\n\ta < 5\n}", false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if narrower, _ := compared(t, load(t, tt.before), load(t, tt.after)); narrower != tt.narrower {
				t.Errorf("narrower = %v; want %v\n%s\n--\n%s", narrower, tt.narrower, tt.before, tt.after)
			}
		})
	}
}

// What is known of data is put in: a bound that is lowered there is a lower bound.
func TestNarrowerSeesData(t *testing.T) {
	src := "package mcp.authz\n\nallow if {\n\tsome role in input.subject.roles\n\tinput.arguments.amount <= data.most[role]\n}\n"
	with := func(most string) *policy.Generation {
		g, err := policy.FromFiles(t.Context(), map[string][]byte{"a.rego": []byte(src), "data.json": fmt.Appendf(nil, `{"most":%s}`, most)}, policy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		return g
	}
	for _, tt := range []struct {
		before, after string
		narrower      bool
	}{
		{`{"clerk":500,"boss":900}`, `{"clerk":100,"boss":900}`, true}, {`{"clerk":500,"boss":900}`, `{"clerk":500}`, true},
		{`{"clerk":500}`, `{"clerk":501}`, false}, {`{"clerk":500}`, `{"clerk":500,"boss":1}`, false},
	} {
		if narrower, _ := compared(t, with(tt.before), with(tt.after)); narrower != tt.narrower {
			t.Errorf("%s to %s: narrower = %v; want %v", tt.before, tt.after, narrower, tt.narrower)
		}
	}
}

// A folder may hold rules and data beside them: what the data says is part of what the folder means, also
// where partial evaluation leaves the reference as it is.
func TestNarrowerSeesDataBesideRules(t *testing.T) {
	for _, rest := range []string{
		"allow if count([1 | data.lists[input.arguments.k]]) > 0",
		"allow if { every x in input.arguments.l { data.lists[x] } }",
		"allow if count([1 | x := data.lists; x[input.arguments.k]]) > 0",
		"allow if count([1 | data[input.arguments.k].a]) > 0",
		"deny contains \"x\" if count([1 | data.lists[input.arguments.k]]) == 0\n\nallow if true",
	} {
		with := func(data string) *policy.Generation {
			return fromFiles(t, map[string][]byte{"a.rego": []byte("package mcp.authz\n\n" + rest + "\n"),
				"lists/l.rego": []byte("package lists\n\nblocked := false\n"), "lists/data.json": []byte(data)})
		}
		one, two := with(`{"a":true}`), with(`{"a":true,"evil":true}`)
		if narrower, _ := compared(t, one, two); narrower {
			t.Errorf("%s: more data is said to allow nothing more", rest)
		}
		if narrower, wider := compared(t, one, with(`{"a":true}`)); !narrower || !wider {
			t.Errorf("%s: the same policy is not said to be the same", rest)
		}
	}
	result := func(data string) *policy.Generation {
		return fromFiles(t, map[string][]byte{"a.rego": []byte("package mcp.authz\n\nallow if true\n"),
			"r.rego":       []byte("package mcp.response\n\nallow if {\n\tlists := data.lists\n\tnot lists[input.tool.name]\n}\n"),
			"lists/l.rego": []byte("package lists\n\nblocked := false\n"), "lists/data.json": []byte(data)})
	}
	d, err := Diff(t.Context(), result(`{"read":true}`), result(`{"other":true}`), nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !d.Unclear() {
		t.Errorf("results are judged by other data, and the report says %+v", d.Scopes)
	}
}

var pieces = []string{
	`"reader" in input.subject.roles`, `not "admin" in input.subject.roles`, `input.tool.name == "a"`, `input.tool.name in {"a", "b"}`, `input.tool.name != "a"`,
	`input.arguments.n < 5`, `input.arguments.n <= 5`, `input.arguments.n <= 3`, `input.arguments.n > 3`, `not input.arguments.n > 3`, `input.arguments.n >= 3`,
	`"private" in input.flow.labels`, `not "private" in input.flow.labels`, `helper`, `not helper`, `some x in input.arguments.l; x > 3`, `some y in input.arguments.l; y < 3`,
	`every z in input.arguments.l { z > 1 }`, `input.arguments.p in {"x", "y"}`, `input.arguments.p == "x"`, `size(input.arguments.n) == 2`, `input.arguments.n in data.numbers`,
	`some v in input.arguments.l; v in data.numbers; v > 3`, `count(input.flow.labels) == 0`, `input.arguments.n == null`,
}

// drawn is a policy in pieces.
type drawn struct {
	def         bool
	helper      []string
	allow, deny [][]string
	data        string
}

func some(t *rapid.T, what string) []string {
	return rapid.SliceOfNDistinct(rapid.SampledFrom(pieces), 1, 2, rapid.ID[string]).Draw(t, what)
}

func drawPolicy(t *rapid.T) drawn {
	d := drawn{def: rapid.Bool().Draw(t, "default"), helper: some(t, "helper"), data: rapid.SampledFrom([]string{`{"numbers":[1,2]}`, `{"numbers":[1,2,4]}`}).Draw(t, "data")}
	for i := range rapid.IntRange(1, 2).Draw(t, "allows") {
		d.allow = append(d.allow, some(t, fmt.Sprint("allow", i)))
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "denies") {
		d.deny = append(d.deny, some(t, fmt.Sprint("deny", i)))
	}
	return d
}

// change changes a policy in a place or two.
func (d drawn) change(t *rapid.T) drawn {
	d.allow, d.deny = slices.Clone(d.allow), slices.Clone(d.deny)
	for i := range rapid.IntRange(1, 2).Draw(t, "changes") {
		more := some(t, fmt.Sprint("more", i))
		switch rapid.IntRange(0, 6).Draw(t, fmt.Sprint("change", i)) {
		case 0:
			d.allow[0] = slices.Concat(d.allow[0], more)
		case 1:
			d.allow[0] = more
		case 2:
			d.allow = d.allow[:1]
		case 3:
			d.allow = append(d.allow, more)
		case 4:
			d.deny = append(d.deny, more)
		case 5:
			d.deny = d.deny[:len(d.deny)/2]
		case 6:
			d.helper = more
		}
	}
	return d
}

func (d drawn) load(t *rapid.T) *policy.Generation {
	var b strings.Builder
	b.WriteString("package mcp.authz\n\nsize(n) := 2 if n > 3\n\nelse := 1\n")
	if d.def {
		b.WriteString("\ndefault allow := false\n")
	}
	fmt.Fprintf(&b, "\nhelper if {\n\t%s\n}\n", strings.ReplaceAll(strings.ReplaceAll(strings.Join(d.helper, "\n\t"), "not helper", "true"), "helper", "true"))
	for _, body := range d.allow {
		fmt.Fprintf(&b, "\nallow if {\n\t%s\n}\n", strings.Join(body, "\n\t"))
	}
	for i, body := range d.deny {
		fmt.Fprintf(&b, "\ndeny contains \"d%d\" if {\n\t%s\n}\n", i, strings.Join(body, "\n\t"))
	}
	g, err := policy.FromFiles(context.Background(), map[string][]byte{"a.rego": []byte(b.String()), "data.json": []byte(d.data)}, policy.Options{CacheSize: -1})
	if err != nil {
		t.Skip(err) // one variable declared twice
	}
	return g
}

// What is said to be narrower allows nothing that the other does not, whatever is asked.
func TestNarrowerIsNeverWider(t *testing.T) {
	proved, allowed := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		old := drawPolicy(t)
		other, g := old.load(t), old.change(t).load(t)
		a, err := boundsOf(context.Background(), other, policy.Question{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := boundsOf(context.Background(), g, policy.Question{})
		if err != nil {
			t.Fatal(err)
		}
		if !b.within(a) {
			return
		}
		proved++
		for i := range 60 {
			in := asked(i, rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "tool"), rapid.SampledFrom([]string{`{}`, `{"n":1}`, `{"n":4,"l":[1]}`, `{"n":3,"l":[2,4]}`,
				`{"n":5,"l":[4,5],"p":"x"}`, `{"n":"4","l":[],"p":"y"}`, `{"n":null,"l":[5,1],"p":"z"}`, `{"n":2,"p":["x"],"l":[2]}`}).Draw(t, "arguments"))
			in.Subject.Roles = rapid.SampledFrom([][]string{{"reader"}, {"admin"}, {"reader", "admin"}, {"x"}}).Draw(t, "roles")
			in.Flow = rapid.SampledFrom([][]string{nil, {"private"}}).Draw(t, "flow")
			now, was := ask(context.Background(), g, in), ask(context.Background(), other, in)
			if now.Allow {
				allowed++
			}
			if now.Allow && !was.Allow && was.Failed == "" {
				t.Fatalf("%+v with %s is newly allowed", in.Tool, in.Arguments)
			}
		}
	})
	if proved == 0 || allowed == 0 {
		t.Errorf("%d proved, %d allowed: the generator is one-sided", proved, allowed)
	}
	t.Logf("%d proved, %d calls allowed", proved, allowed)
}
