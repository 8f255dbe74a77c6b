package workbench

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// table is the tests of a suggestion: what was seen is allowed, and what is near it and was not is
// refused. Texts that are free are not copied into it.
func (s *Suggestion) table(tools map[CatalogueTool]bool) []byte {
	t := &tableWriter{names: map[string]int{}}
	t.b.WriteString("# What was seen is allowed; what differs from it in one thing is refused.\ncases:\n")
	for _, p := range s.Permits {
		p.cases(t, slices.ContainsFunc(s.Permits, p.alsoBy))
	}
	s.lists(t, tools)
	return []byte(t.b.String())
}

// alsoBy reports whether who has the roles of p may use its tool by q as well.
func (p *Permit) alsoBy(q *Permit) bool {
	outside := func(role string) bool { return !slices.Contains(p.Roles, role) }
	return q != p && q.Server == p.Server && q.Tool == p.Tool && !slices.ContainsFunc(q.Roles, outside)
}

type tableWriter struct {
	b     strings.Builder
	names map[string]int
}

// text writes JSON that is YAML as well: no character that YAML does not take as it is.
func (t *tableWriter) text(v any) string {
	raw, err := marshal(v)
	if err != nil {
		return "null"
	}
	var b strings.Builder
	for _, r := range string(raw) {
		if oneLine(r) == '?' && r != '?' || r == 0xfeff || r == 0xfffe || r == 0xffff {
			fmt.Fprintf(&b, `\u%04x`, r)
		} else {
			b.WriteRune(r)
		}
	}
	return b.String()
}

func (t *tableWriter) one(name string, roles []string, server, tool string, arguments map[string]any, allow bool) {
	if t.names[name]++; t.names[name] > 1 {
		name += fmt.Sprintf(" (%d)", t.names[name])
	}
	fmt.Fprintf(&t.b, "  - {name: %s, roles: %s, tool: %s, arguments: %s, allow: %v}\n", t.text(name), t.text(roles), t.text(server+"."+tool), t.text(arguments), allow)
}

// cases are the tests of one permit. Where others hold for the same caller, what this one refuses
// may be allowed.
func (p *Permit) cases(t *tableWriter, others bool) {
	who := strings.Join(p.Roles, " and ") + ": " + p.Server + "." + p.Tool
	refused := func(what string, arguments map[string]any) {
		t.one(who+" is refused with "+what, p.Roles, p.Server, p.Tool, arguments, false)
	}
	example := p.sample()
	t.one(who+" as it was seen", p.Roles, p.Server, p.Tool, example, true)
	t.one(who+" is refused to another role", []string{"nobody-of-the-log"}, p.Server, p.Tool, example, false)
	t.one(who+" is refused at another server", p.Roles, p.Server+"-other", p.Tool, example, false)
	for _, name := range slices.Sorted(maps.Keys(p.Arguments)) {
		for _, edge := range p.Arguments[name].edges() {
			t.one(fmt.Sprintf("%s with %s %s", who, name, edge.what), p.Roles, p.Server, p.Tool, with(example, name, edge.value), true)
		}
	}
	if p.Arguments == nil || others {
		return
	}
	unseen := "never_seen"
	for p.Arguments[unseen] != nil {
		unseen += "_"
	}
	refused("an argument that was never seen", with(example, unseen, "x"))
	for _, name := range p.Required {
		without := maps.Clone(example)
		delete(without, name)
		refused("no "+name, without)
	}
	for _, name := range slices.Sorted(maps.Keys(p.Arguments)) {
		for _, m := range p.Arguments[name].mutants() {
			refused(name+" "+m.what, with(example, name, m.value))
		}
	}
}

func with(arguments map[string]any, name string, value any) map[string]any {
	out := maps.Clone(arguments)
	out[name] = value
	return out
}

// sample is the arguments of the first call that was seen, but for free values.
func (p *Permit) sample() map[string]any {
	out := map[string]any{}
	for name, value := range p.example {
		rule := p.Arguments[name]
		if plain, ok := rule.placeholder(value); ok {
			value = plain
		}
		out[name] = value
	}
	return out
}

// placeholder stands for a value that only its type allows.
func (r *Rule) placeholder(value any) (any, bool) {
	switch v := value.(type) {
	case string:
		return "text", slices.Contains(r.Types, "string")
	case json.Number:
		return 1, slices.Contains(r.Types, "number")
	case map[string]any:
		return map[string]any{}, true
	case []any:
		if r.Items == nil {
			return []any{}, true
		}
		out := make([]any, len(v))
		for i, item := range v {
			out[i] = item
			if plain, ok := r.Items.placeholder(item); ok {
				out[i] = plain
			}
		}
		return out, true
	}
	return nil, false
}

// variant is a value of an argument in words.
type variant struct {
	what  string
	value any
}

// edges are values that must be allowed and that the example may not show.
func (r *Rule) edges() []variant {
	var out []variant
	for i, v := range r.Values {
		out = append(out, variant{fmt.Sprintf("of the values seen, %d", i+1), v})
	}
	if r.Min != nil {
		out = append(out, variant{"at the least", *r.Min}, variant{"at the most", *r.Max})
	}
	for i, root := range r.Below {
		out = append(out, variant{fmt.Sprintf("below the directory %d", i+1), root + "some/file"})
	}
	return out
}

// mutants are values that the rule must refuse.
func (r *Rule) mutants() []variant {
	var out []variant
	free := func(kind string) bool { return slices.Contains(r.Types, kind) }
	add := func(kind, what string, value any) {
		if !free(kind) {
			out = append(out, variant{what, value})
		}
	}
	add("object", "as an object", map[string]any{"x": 1})
	if r.Items == nil {
		add("array", "as a list", []any{"x"})
	} else {
		items := make([]any, *r.Most+1)
		for i := range items {
			items[i] = nil
		}
		add("array", "with more items than were seen", items)
		if *r.Most > 0 && !slices.Contains(r.Items.Types, "string") {
			add("array", "with an item that was never seen", []any{r.Items.unseen()})
		}
	}
	add("string", "with a text that was never seen", r.unseen())
	if r.Min != nil {
		out = append(out, variant{"above the most", *r.Max + 1}, variant{"below the least", *r.Min - 1}, variant{"as the text of a number", decimal(*r.Min)})
	} else {
		add("number", "with a number", 987654321)
	}
	for i, root := range r.Below {
		add("string", fmt.Sprintf("beside the directory %d", i+1), r.beside(root)+"file")
		add("string", fmt.Sprintf("out of the directory %d", i+1), root+"../../never-seen/file")
	}
	return slices.DeleteFunc(out, func(v variant) bool { return r.lists(v.value) || v.what == "as the text of a number" && free("string") })
}

// beside is a directory whose name begins as that of root and which is below none.
func (r *Rule) beside(root string) string {
	for name := strings.TrimSuffix(root, "/"); ; {
		if name += "-other"; !slices.ContainsFunc(r.Below, func(b string) bool { return strings.HasPrefix(name+"/", b) }) {
			return name + "/"
		}
	}
}

// unseen is a text that is none of the values.
func (r *Rule) unseen() string {
	text := "never-seen"
	for r.lists(text) {
		text += "-"
	}
	return text
}

// lists reports whether the value is one of those seen.
func (r *Rule) lists(value any) bool {
	raw, err := marshal(value)
	return err == nil && slices.ContainsFunc(r.Values, func(v json.RawMessage) bool { return string(v) == string(raw) })
}

// lists are what each role sees.
func (s *Suggestion) lists(t *tableWriter, tools map[CatalogueTool]bool) {
	visible := map[string]map[string]bool{} // by role
	all := map[string]bool{}
	for tool := range tools {
		all[tool.Server+"."+tool.Name] = true
	}
	for _, p := range s.Permits {
		all[p.Server+"."+p.Tool] = true
		if len(p.Roles) > 1 {
			continue
		}
		if visible[p.Roles[0]] == nil {
			visible[p.Roles[0]] = map[string]bool{}
		}
		visible[p.Roles[0]][p.Server+"."+p.Tool] = true
	}
	for i, role := range slices.Sorted(maps.Keys(visible)) {
		if i == 0 {
			t.b.WriteString("lists:\n")
		}
		fmt.Fprintf(&t.b, "  - {name: %s, role: %s, tools: %s, visible: %s}\n", t.text(role+" sees what it used"), t.text(role),
			t.text(slices.Sorted(maps.Keys(all))), t.text(slices.Sorted(maps.Keys(visible[role]))))
	}
}
