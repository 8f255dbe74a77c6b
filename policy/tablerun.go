package policy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// run asks the policy every question of the table whose name keep wants.
func (t *table) run(ctx context.Context, g *Generation, keep func(name string) bool) []TestResult {
	var out []TestResult
	result := func(a about, kind string, ask func(context.Context) (string, error)) {
		r := TestResult{Name: t.file + ": " + a.name, Kind: kind, File: t.file, Line: a.line, Outcome: TestPassed}
		if !keep(r.Name) {
			return
		}
		ctx, cancel := context.WithTimeout(ctx, testTimeout)
		defer cancel()
		start := time.Now()
		wrong, err := ask(ctx)
		r.Duration = time.Since(start)
		switch {
		case err != nil:
			r.Outcome, r.Detail = TestErred, err.Error()
		case wrong != "":
			r.Outcome, r.Detail = TestFailed, wrong
		}
		out = append(out, r)
	}
	for _, c := range t.cases {
		result(c.about, "case", func(ctx context.Context) (string, error) { return t.judge(ctx, g, &c) })
	}
	for _, l := range t.lists {
		result(l.about, "list", func(ctx context.Context) (string, error) { return t.look(ctx, g, &l) })
	}
	return out
}

// judge asks about one case and returns in words what is not as it should be.
func (t *table) judge(ctx context.Context, g *Generation, c *tableCase) (string, error) {
	in, err := t.question(c)
	if err != nil {
		return "", err
	}
	d, err := g.answer(ctx, in)
	if err != nil {
		return "", err
	}
	var wrong []string
	if d.Allow != *c.allow {
		wrong = append(wrong, fmt.Sprintf("want %s, got %s", verdict(*c.allow), verdict(d.Allow)))
	}
	if c.reason != "" && !slices.Contains(d.Reasons, c.reason) {
		wrong = append(wrong, fmt.Sprintf("want the reason %q%s", c.reason, orNear(c.reason, d.Reasons, "there are")))
	}
	if text, err := differ(c.obligations, d.Obligations); err != nil {
		return "", err
	} else if text != "" {
		wrong = append(wrong, text)
	}
	for _, rule := range c.rules {
		if !slices.Contains(d.Rules, rule) {
			wrong = append(wrong, fmt.Sprintf("the rule %s did not hold", rule))
		}
	}
	wrong = append(wrong, c.advice.judge(&d)...)
	if len(wrong) == 0 {
		return "", nil
	}
	return fmt.Sprintf("%s: %s\n%s", c.who(in), strings.Join(wrong, "; "), d.words()), nil
}

// answer asks what the gateway would ask about the same message.
func (g *Generation) answer(ctx context.Context, in *Input) (Decision, error) {
	if in.Result != nil {
		return g.DecideResult(ctx, in)
	}
	return g.Ask(ctx, in)
}

// judge says what the rules that are not enforced should have said and did not.
func (a *tableAdvice) judge(d *Decision) (wrong []string) {
	if a == nil {
		return nil
	}
	allow, reasons := d.Allow, d.Reasons
	if d.Advisory != nil {
		if d.Advisory.Err != nil {
			return []string{"rules that are not enforced could not be asked: " + d.Advisory.Err.Error()}
		}
		allow, reasons = d.Advisory.Allow, append(slices.Clone(reasons), d.Advisory.Reasons...)
	}
	if allow != *a.allow {
		wrong = append(wrong, fmt.Sprintf("with all rules enforced want %s, got %s", verdict(*a.allow), verdict(allow)))
	}
	if a.reason != "" && !slices.Contains(reasons, a.reason) {
		wrong = append(wrong, fmt.Sprintf("with all rules enforced want the reason %q%s", a.reason, orNear(a.reason, reasons, "there are")))
	}
	return wrong
}

// look asks what a caller sees of a catalogue.
func (t *table) look(ctx context.Context, g *Generation, l *tableList) (string, error) {
	var seen []string
	for _, name := range l.tools {
		server, tool, _ := strings.Cut(name, ".")
		in, err := t.question(&tableCase{about: l.about, server: server, tool: tool})
		if err != nil {
			return "", err
		}
		visible, err := g.Visible(ctx, in)
		if err != nil {
			return "", err
		}
		if visible {
			seen = append(seen, name)
		}
	}
	missing := without(l.visible, seen)
	more := without(seen, l.visible)
	var wrong []string
	if len(missing) > 0 {
		wrong = append(wrong, "hidden and should be visible: "+strings.Join(missing, ", "))
	}
	if len(more) > 0 {
		wrong = append(wrong, "visible and should be hidden: "+strings.Join(more, ", "))
	}
	if len(wrong) == 0 {
		return "", nil
	}
	return fmt.Sprintf("role %s: %s", strings.Join(l.roles, ", "), strings.Join(wrong, "; ")), nil
}

func without(list, taken []string) []string {
	return slices.DeleteFunc(slices.Clone(list), func(s string) bool { return slices.Contains(taken, s) })
}

// question builds the document that the gateway would build, lays the case's own over it, and
// reads it as strictly as any other.
func (t *table) question(c *tableCase) (*Input, error) {
	when, action := c.when, c.action
	if when.IsZero() {
		when = t.time
	}
	doc := map[string]any{
		"subject": map[string]any{"id": "test", "issuer": "test", "client": "test", "roles": c.roles, "actors": []string{}, "claims": map[string]any{}, "proof": "none"},
		"grant":   map[string]any{"id": "test", "task": "", "expires": when.Add(5 * time.Minute).UTC()},
		"server":  map[string]any{"name": c.server, "labels": []string{}},
		"flow":    map[string]any{"labels": c.flow},
	}
	switch {
	case c.tool != "":
		action = orElse(action, "tools/call")
		doc["tool"] = map[string]any{"name": c.tool, "title": "", "annotations": map[string]any{}, "labels": t.labelsOf(c.server, c.tool), "digest": "", "pinned": true, "reviewed": false}
	case c.uri != "":
		action = orElse(action, "resources/read")
		doc["resource"] = map[string]any{"uri": c.uri, "labels": []string{}}
	case c.prompt != "":
		action = orElse(action, "prompts/get")
		doc["prompt"] = map[string]any{"name": c.prompt, "labels": []string{}}
	}
	doc["action"] = action
	doc["arguments"] = c.arguments
	if c.arguments == nil {
		doc["arguments"] = map[string]any{}
	}
	doc["request"] = map[string]any{"id": "test", "time": when.UTC(), "era": "modern", "method": action}
	lay(doc, c.input)
	raw, err := json.Marshal(doc)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: write input: %w", t.file, c.line, err)
	}
	in, err := ReadInput(raw)
	if err != nil {
		return nil, fmt.Errorf("%s:%d: %w", t.file, c.line, err)
	}
	return in, nil
}

func orElse(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// lay puts over onto doc, object by object; null takes a member away (RFC 7396).
func lay(doc, over map[string]any) {
	for key, value := range over {
		below, isObject := value.(map[string]any)
		under, wasObject := doc[key].(map[string]any)
		switch {
		case value == nil:
			delete(doc, key)
		case isObject && wasObject:
			under = maps.Clone(under) // it may be the case's own
			lay(under, below)
			doc[key] = under
		default:
			doc[key] = value
		}
	}
}

// who says of whom and what a case is.
func (c *tableCase) who(in *Input) string {
	roles, what := "no role", in.Action+" at "+in.Server
	if in.Subject != nil && len(in.Subject.Roles) > 0 {
		roles = "role " + strings.Join(in.Subject.Roles, ", ")
	}
	switch {
	case in.Tool != nil:
		what = "tool " + in.Server + "." + in.Tool.Name
	case in.Resource != nil:
		what = "resource " + in.Resource.URI + " of " + in.Server
	case in.Prompt != nil:
		what = "prompt " + in.Prompt.Name + " of " + in.Server
	}
	return roles + ", " + what
}

func verdict(allow bool) string {
	if allow {
		return "allowed"
	}
	return "refused"
}

// words say what was decided and by what.
func (d *Decision) words() string {
	reasons, rules := "none", "none"
	if len(d.Reasons) > 0 {
		reasons = fmt.Sprintf("%q", d.Reasons)
	}
	if len(d.Rules) > 0 {
		rules = strings.Join(d.Rules, ", ")
	}
	return fmt.Sprintf("%s; reasons: %s; rules that held: %s", verdict(d.Allow), reasons, rules)
}

// differ says what obligations there should be and are not, and the other way round.
func differ(want []any, got []Obligation) (string, error) {
	if want == nil {
		return "", nil
	}
	var missing, left []string
	for _, o := range got {
		left = append(left, string(o.Raw))
	}
	for _, w := range want {
		raw, err := json.Marshal(w)
		if err != nil {
			return "", fmt.Errorf("write obligation: %w", err)
		}
		i := slices.IndexFunc(left, func(s string) bool { return sameJSON([]byte(s), raw) })
		if i < 0 {
			missing = append(missing, string(raw))
			continue
		}
		left = slices.Delete(left, i, i+1)
	}
	var texts []string
	if len(missing) > 0 {
		texts = append(texts, "missing obligations: "+strings.Join(missing, ", "))
	}
	if len(left) > 0 {
		texts = append(texts, "obligations that should not be: "+strings.Join(left, ", "))
	}
	return strings.Join(texts, "; "), nil
}

func sameJSON(a, b []byte) bool {
	x, errX := parseValue(a)
	y, errY := parseValue(b)
	return errors.Join(errX, errY) == nil && x.Compare(y) == 0
}
