package policy

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/rego"
)

// What a policy directory wants erased from inputs before they are recorded: the set
// `data.system.log.mask`, by the convention of OPA's decision logs. Its members are JSON pointers
// below /input, or objects with op ("remove" or "upsert"), path and value. `input` of these rules is
// not a policy's input but the event, which holds that as `input`; so they are compiled apart, and
// have no part in any decision.

var (
	logPkg  = ast.MustParseRef("data.system.log")
	maskRef = ast.MustParseRef("data.system.log.mask")
	dropRef = ast.MustParseRef("data.system.log.drop")
)

// Erasure is what is erased from one input. The zero Erasure erases nothing.
type Erasure []maskOp

type maskOp struct {
	path  []string // below /input
	value any
	set   bool // value takes the place of what is there; else nothing does
}

func (o maskOp) pointer() string {
	var b strings.Builder
	b.WriteString("/input")
	for _, token := range o.path {
		b.WriteByte('/')
		b.WriteString(strings.NewReplacer("~", "~0", "/", "~1").Replace(token))
	}
	return b.String()
}

// takeMasks takes the modules of package system.log out of those that decide.
func takeMasks(modules map[string]*ast.Module) (all map[string]*ast.Module, found bool) {
	all = make(map[string]*ast.Module, len(modules))
	for name, m := range modules {
		all[name] = m
		if m.Package.Path.HasPrefix(logPkg) {
			found = true
			delete(modules, name)
		}
	}
	return all, found
}

// newMask prepares the rules of package system.log, with all others for what they refer to.
func (g *Generation) newMask(ctx context.Context, modules map[string]*ast.Module, files map[string][]byte) error {
	c := ast.NewCompiler().WithCapabilities(capabilities()).WithStrict(true)
	c.Compile(modules)
	if c.Failed() {
		return located(c.Errors, files)
	}
	if rules := c.GetRulesExact(dropRef); len(rules) > 0 {
		at := rules[0].Location
		return fmt.Errorf("%s:%d: no decision is left out of the record, so `drop` would mean nothing; what must not be in it is for `mask`", at.File, at.Row)
	}
	rules := c.GetRulesWithPrefix(maskRef)
	if len(rules) == 0 {
		return errors.New("no rule `mask` in package system.log: nothing would be erased")
	}
	for _, r := range rules {
		if r.Head.RuleKind() != ast.MultiValue {
			return fmt.Errorf("%s:%d: `mask` must be a set: mask contains \"/input/arguments/password\"\n\t%s", r.Location.File, r.Location.Row, sourceLine(r.Location.Text, 1))
		}
	}
	pq, err := rego.New(rego.Compiler(c), rego.Store(g.store), rego.Transaction(g.txn),
		rego.Query("mask := {x | some x in data.system.log.mask}"), rego.StrictBuiltinErrors(true)).PrepareForEval(ctx)
	if err != nil {
		return fmt.Errorf("prepare system.log.mask: %w", err)
	}
	g.mask = &pq
	return nil
}

// Erasure says what must be erased from an input before it is recorded. On an error nothing of the
// input may be.
func (g *Generation) Erasure(ctx context.Context, in *Input) (Erasure, error) {
	if g.mask == nil {
		return nil, nil
	}
	doc, err := in.Document()
	if err != nil {
		return nil, err
	}
	value, err := parseValue(doc)
	if err != nil {
		return nil, errors.New("system.log.mask: the input cannot be read")
	}
	event := newObject(3)
	event.text("decision_id", in.Request.ID)
	event.text("path", "mcp/authz")
	event.put("input", ast.NewTerm(value))
	answer, err := g.run(ctx, g.mask, event.value(), in.Request.Time)
	if err != nil {
		return nil, fmt.Errorf("system.log.mask: %w", err)
	}
	list, ok := answer["mask"].([]any)
	if !ok {
		return nil, errors.New("system.log.mask is not a set")
	}
	var m Erasure
	for _, x := range list {
		op, err := readMask(x)
		if err != nil {
			return nil, err
		}
		m = append(m, op)
	}
	return m, nil
}

// readMask reads one member. A member that cannot be read is an error and not passed over: what it
// was to erase is not known.
func readMask(x any) (o maskOp, err error) {
	path, plain := x.(string)
	if !plain {
		object, ok := x.(map[string]any)
		if !ok {
			return o, errors.New("system.log.mask holds something that is neither a text nor an object")
		}
		kind, _ := object["op"].(string)
		path, _ = object["path"].(string)
		value, given := object["value"]
		switch {
		case kind == "remove" && !given:
		case kind == "upsert" && given:
			o.value, o.set = value, true
		default:
			return o, errors.New(`system.log.mask: an object has op "remove", or op "upsert" with a value, and a path`)
		}
	}
	if path != "/input" && !strings.HasPrefix(path, "/input/") {
		return o, errors.New("system.log.mask: a path is /input or below it")
	}
	for _, token := range strings.Split(path, "/")[2:] {
		o.path = append(o.path, strings.NewReplacer("~1", "/", "~0", "~").Replace(token))
	}
	return o, nil
}

// Apply erases from a document that stands at a place of the input, which is given by its names: none
// for the input itself. It returns the pointers of what it erased. A document of which nothing is left
// is nil.
func (m Erasure) Apply(doc []byte, place ...string) (out []byte, erased []string, err error) {
	if len(m) == 0 || len(doc) == 0 {
		return doc, nil, nil
	}
	d := json.NewDecoder(bytes.NewReader(doc))
	d.UseNumber() // a number stays what it was
	var root any
	if err := d.Decode(&root); err != nil {
		return nil, nil, errors.New("system.log.mask: the input cannot be read")
	}
	for _, o := range m {
		changed, gone := false, false
		switch n := min(len(place), len(o.path)); {
		case !slices.Equal(place[:n], o.path[:n]):
		case len(o.path) < len(place): // above the document
			if gone = !o.set; o.set {
				root, changed = at(o.value, place[len(o.path):]), true
				gone = root == nil
			}
		case len(o.path) == len(place):
			root, changed, gone = o.value, true, !o.set
		default:
			root, changed = o.apply(root, o.path[len(place):])
		}
		if gone {
			return nil, []string{o.pointer()}, nil
		}
		if changed {
			erased = append(erased, o.pointer())
		}
	}
	if erased == nil {
		return doc, nil, nil
	}
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(root); err != nil {
		return nil, nil, errors.New("system.log.mask: what is left of the input cannot be written")
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), erased, nil
}

// at is what stands in a value at a path of names, or nil.
func at(value any, path []string) any {
	for _, name := range path {
		object, _ := value.(map[string]any)
		value = object[name]
	}
	return value
}

// apply changes what is below node at path. An element of a list that is removed becomes null, so
// that those behind it keep their places.
func (o maskOp) apply(node any, path []string) (_ any, changed bool) {
	name, rest := path[0], path[1:]
	switch n := node.(type) {
	case map[string]any:
		child, there := n[name]
		switch {
		case len(rest) > 0:
			if there {
				n[name], changed = o.apply(child, rest)
			}
		case o.set:
			n[name], changed = o.value, true
		case there:
			delete(n, name)
			changed = true
		}
	case []any:
		i, err := strconv.Atoi(name)
		switch {
		case err != nil || i < 0 || i >= len(n):
		case len(rest) > 0:
			n[i], changed = o.apply(n[i], rest)
		default:
			n[i], changed = o.value, true // nil where it is removed
		}
	}
	return node, changed
}
