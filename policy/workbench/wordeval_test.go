package workbench

import (
	"encoding/json"
	"regexp"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// waysHold reads conditions as a person would, and says whether they hold of a document. known is
// false where one is Rego or of a form that this reader does not have.
func waysHold(ways []Way, doc map[string]any) (holds, known bool) {
	for _, w := range ways {
		this, ok := allHold(w.When, doc)
		if !ok {
			return false, false
		}
		for _, u := range w.Unless {
			refused, ok := allHold(u.When, doc)
			if !ok {
				return false, false
			}
			this = this && !refused
		}
		holds = holds || this
	}
	return holds, true
}

func allHold(conds []string, doc map[string]any) (holds, known bool) {
	holds = true
	for _, c := range conds {
		this, ok := condHolds(c, doc)
		if !ok {
			return false, false
		}
		holds = holds && this
	}
	return holds, true
}

var (
	subjectForm = regexp.MustCompile(`^(count\()?([a-z][a-z_.]*)\)? (.*)$`)
	eachForm    = regexp.MustCompile(`^for each ([a-z]+) of (arguments\.[a-z]+): (.*)$`)
	someForm    = regexp.MustCompile(`^some member of (arguments(?:\.[a-z]+)?) (.*)$`)
)

func condHolds(c string, doc map[string]any) (holds, known bool) {
	if strings.HasPrefix(c, "Rego: ") || strings.HasPrefix(c, "(") {
		return false, false
	}
	if rest, ok := strings.CutPrefix(c, "not: ("); ok && strings.Count(c, "(") == strings.Count(c, ")") && !strings.Contains(c, ") or (") {
		holds, known := allHold(strings.Split(strings.TrimSuffix(rest, ")"), ", and "), doc)
		return !holds, known
	}
	if rest, ok := strings.CutPrefix(c, "flow has no label "); ok {
		holds, known := memberOf(strings.Split(rest, " or "), doc)
		return !holds, known
	}
	for _, form := range []string{"flow has the label ", "flow has one of the labels "} {
		if rest, ok := strings.CutPrefix(c, form); ok {
			return memberOf(strings.Split(rest, ", "), doc)
		}
	}
	if m := eachForm.FindStringSubmatch(c); m != nil {
		list, ok := look(doc, m[2])
		items, isList := list.([]any)
		if !ok || !isList {
			return false, !ok
		}
		holds = true
		for _, item := range items {
			this, ok := allHold(strings.Split(m[3], ", and "), map[string]any{m[1]: item})
			if !ok {
				return false, false
			}
			holds = holds && this
		}
		return holds, true
	}
	if m := someForm.FindStringSubmatch(c); m != nil {
		list, _ := look(doc, m[1])
		items, isList := list.([]any)
		for _, item := range items {
			this, ok := condHolds("item "+m[2], map[string]any{"item": item})
			if !ok {
				return false, false
			}
			holds = holds || this
		}
		return holds, isList || list == nil
	}
	m := subjectForm.FindStringSubmatch(c)
	if m == nil {
		return false, false
	}
	v, there := look(doc, m[2])
	if m[1] != "" {
		items, ok := v.(map[string]any)
		if labels, isList := v.([]any); isList {
			return saidOf(float64(len(labels)), true, m[3])
		}
		return boolsOf(ok)(saidOf(float64(len(items)), true, m[3]))
	}
	return saidOf(v, there, m[3])
}

// boolsOf makes an answer unknown where what it is about is.
func boolsOf(ok bool) func(bool, bool) (bool, bool) {
	return func(holds, known bool) (bool, bool) { return holds, known && ok }
}

func memberOf(labels []string, doc map[string]any) (holds, known bool) {
	v, _ := look(doc, "flow.labels")
	for _, l := range labels {
		for _, x := range v.([]any) {
			holds = holds || x == l
		}
	}
	return holds, true
}

func look(doc map[string]any, path string) (any, bool) {
	var v any = doc
	for name := range strings.SplitSeq(path, ".") {
		o, ok := v.(map[string]any)
		if !ok {
			return nil, false
		}
		if v, ok = o[name]; !ok {
			return nil, false
		}
	}
	return v, true
}

// saidOf reads what is said of a value.
func saidOf(v any, there bool, said string) (holds, known bool) {
	if rest, ok := strings.CutPrefix(said, "is absent or "); ok {
		if !there {
			return true, true
		}
		return saidOf(v, there, rest)
	}
	switch said {
	case "is given":
		return there, true
	case "is not given":
		return !there, true
	case "false":
		return v == false, true
	case "is given and not false":
		return there && v != false, true
	case "is text":
		_, ok := v.(string)
		return there && ok, true
	case "is a number":
		_, ok := v.(float64)
		return there && ok, true
	case "is no text", "is no number":
		return false, false
	}
	for _, form := range []struct {
		words string
		test  func(a any, b any) bool
	}{
		{"does not start with ", starting}, {"starts with none of ", starting}, {"starts with one of ", starting}, {"starts with ", starting},
		{"does not end with ", ending}, {"ends with none of ", ending}, {"ends with one of ", ending}, {"ends with ", ending},
		{"does not contain ", containing}, {"contains none of ", containing}, {"contains one of ", containing}, {"contains ", containing},
		{"does not match the pattern ", matching}, {"matches none of the patterns ", matching}, {"matches the pattern ", matching},
		{"has none of ", having}, {"has not ", having}, {"has one of ", having}, {"has ", having},
		{"is none of ", same}, {"is not ", same}, {"is one of ", same}, {"is ", same},
		{"≤ ", inOrder(-1, 0)}, {"< ", inOrder(-1)}, {"≥ ", inOrder(1, 0)}, {"> ", inOrder(1)}, {"", same},
	} {
		rest, ok := strings.CutPrefix(said, form.words)
		if !ok {
			continue
		}
		if i := strings.Index(rest, " (or is "); i > 0 {
			rest = rest[:i]
		}
		var values []any
		if json.Unmarshal([]byte("["+rest+"]"), &values) != nil {
			return false, false
		}
		for _, x := range values {
			holds = holds || there && form.test(v, x)
		}
		if strings.Contains(form.words, "not ") || strings.Contains(form.words, "none ") {
			return there && !holds, true
		}
		return holds, true
	}
	return false, false
}

func texts2(a, b any) (string, string, bool) {
	x, ok := a.(string)
	y, and := b.(string)
	return x, y, ok && and
}

func starting(a, b any) bool   { x, y, ok := texts2(a, b); return ok && strings.HasPrefix(x, y) }
func ending(a, b any) bool     { x, y, ok := texts2(a, b); return ok && strings.HasSuffix(x, y) }
func containing(a, b any) bool { x, y, ok := texts2(a, b); return ok && strings.Contains(x, y) }
func matching(a, b any) bool {
	x, y, ok := texts2(a, b)
	return ok && regexp.MustCompile(y).MatchString(x)
}
func same(a, b any) bool { return ast.Compare(value(a), value(b)) == 0 }

func having(a, b any) bool {
	switch v := a.(type) {
	case []any:
		for _, x := range v {
			if same(x, b) {
				return true
			}
		}
	case map[string]any:
		for _, x := range v {
			if same(x, b) {
				return true
			}
		}
	}
	return false
}

// inOrder is Rego's, across types.
func inOrder(want ...int) func(a, b any) bool {
	return func(a, b any) bool {
		got := ast.Compare(value(a), value(b))
		for _, w := range want {
			if got == w {
				return true
			}
		}
		return false
	}
}

func value(v any) ast.Value {
	out, err := ast.InterfaceToValue(v)
	if err != nil {
		return ast.NullValue
	}
	return out
}
