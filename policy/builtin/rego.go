package builtin

import (
	"encoding/json"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/topdown"
	"github.com/open-policy-agent/opa/v1/types"
)

// Names of the functions.
const (
	pathWithin   = "mcp.path_within"
	pathCheck    = "mcp.path_check"
	urlHost      = "mcp.url_host"
	urlAllowed   = "mcp.url_allowed"
	urlCheck     = "mcp.url_check"
	emailDomain  = "mcp.email_domain"
	emailAllowed = "mcp.email_allowed"
	emailCheck   = "mcp.email_check"
	identifier   = "mcp.identifier"
	sqlReadOnly  = "mcp.sql_read_only"
	sqlCheck     = "mcp.sql_check"
)

// function is one of them: total, so whatever its operands are it has a value. Those that answer a
// check are true or false, or, by the name …_check, {"ok": …, "reason": …}.
type function struct {
	name     string
	operands int
	does     string
	unsure   bool // depends on more than its operands
	of       func(operands []*ast.Term) *ast.Term
}

var all = []function{
	{pathWithin, 2, "true if the path is below a root (a text, or a list or set of texts)", true, answer(pathOf)},
	{pathCheck, 2, "as mcp.path_within, with the reason", true, reason(pathOf)},
	{urlHost, 1, "the host of a URL that everybody reads alike, else false", false, hostOf},
	{urlAllowed, 2, "true if the URL fits {hosts, schemes, ports, private}", false, answer(urlOf)},
	{urlCheck, 2, "as mcp.url_allowed, with the reason", false, reason(urlOf)},
	{emailDomain, 1, "the domain of one plain address, else false", false, domainOf},
	{emailAllowed, 2, "true if one plain address fits {domains, addresses}", false, answer(emailOf)},
	{emailCheck, 2, "as mcp.email_allowed, with the reason", false, reason(emailOf)},
	{identifier, 2, "true if the text is of the form of a pattern (RE2), as a whole", false, answer(identifierOf)},
	{sqlReadOnly, 2, "true if the text is one statement that only reads, in a dialect (postgres)", false, answer(sqlOf)},
	{sqlCheck, 2, "as mcp.sql_read_only, with the reason", false, reason(sqlOf)},
}

// The engine's tables of functions are the process's, and must be filled before a policy compiles.
func init() {
	for _, f := range all {
		operands := make([]types.Type, f.operands)
		for i := range operands {
			operands[i] = types.A
		}
		ast.RegisterBuiltin(&ast.Builtin{Name: f.name, Description: f.does, Decl: types.NewFunction(operands, types.A), Nondeterministic: f.unsure})
		topdown.RegisterBuiltinFunc(f.name, func(_ topdown.BuiltinContext, operands []*ast.Term, iter func(*ast.Term) error) error {
			return iter(f.of(operands))
		})
	}
}

// verdict judges operands: nil is yes.
type verdict func(operands []*ast.Term) error

func answer(v verdict) func([]*ast.Term) *ast.Term {
	return func(operands []*ast.Term) *ast.Term { return ast.BooleanTerm(v(operands) == nil) }
}

func reason(v verdict) func([]*ast.Term) *ast.Term {
	return func(operands []*ast.Term) *ast.Term {
		err := v(operands)
		why := ""
		if err != nil {
			why = err.Error()
		}
		return ast.ObjectTerm([2]*ast.Term{ast.StringTerm("ok"), ast.BooleanTerm(err == nil)}, [2]*ast.Term{ast.StringTerm("reason"), ast.StringTerm(why)})
	}
}

// check judges the first operand.
func (c Check) operand(t *ast.Term) error {
	if err := c.Err(); err != nil {
		return err
	}
	value, err := ast.JSON(t.Value)
	if err != nil {
		return err
	}
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.Judge(raw)
}

func pathOf(o []*ast.Term) error {
	return Check{Kind: Path, Within: texts(o[1])}.operand(o[0])
}

func identifierOf(o []*ast.Term) error {
	return Check{Kind: Identifier, Pattern: text(o[1])}.operand(o[0])
}

func sqlOf(o []*ast.Term) error {
	return Check{Kind: SQL, Dialect: text(o[1])}.operand(o[0])
}

func urlOf(o []*ast.Term) error {
	c := Check{Kind: URL, Hosts: texts(member(o[1], "hosts")), Schemes: texts(member(o[1], "schemes"))}
	if private := member(o[1], "private"); private != nil {
		c.Private = private.Value.Compare(ast.Boolean(true)) == 0
	}
	if ports := member(o[1], "ports"); ports != nil {
		for _, p := range elements(ports) {
			n, _ := p.Value.(ast.Number)
			port, _ := n.Int() // else no port, which the check says
			c.Ports = append(c.Ports, port)
		}
	}
	return c.operand(o[0])
}

func emailOf(o []*ast.Term) error {
	return Check{Kind: Email, Domains: texts(member(o[1], "domains")), Addresses: texts(member(o[1], "addresses"))}.operand(o[0])
}

func hostOf(o []*ast.Term) *ast.Term {
	if _, host, err := plainURL(text(o[0])); err == nil && len(text(o[0])) <= longest[URL] {
		return ast.StringTerm(host)
	}
	return ast.BooleanTerm(false)
}

func domainOf(o []*ast.Term) *ast.Term {
	if s := text(o[0]); len(s) <= longest[Email] {
		if _, domain, err := splitAddress(s); err == nil {
			return ast.StringTerm(domain)
		}
	}
	return ast.BooleanTerm(false)
}

// text is a term's text, or "" of another kind of term, which nothing takes.
func text(t *ast.Term) string {
	if t == nil {
		return ""
	}
	s, _ := t.Value.(ast.String)
	return string(s)
}

// texts are those of a text, or of a list or set of texts. Something else among them is "", which no
// check takes for a root or a host.
func texts(t *ast.Term) []string {
	if t == nil {
		return nil
	}
	if _, ok := t.Value.(ast.String); ok {
		return []string{text(t)}
	}
	out := []string{}
	for _, e := range elements(t) {
		out = append(out, text(e))
	}
	return out
}

func elements(t *ast.Term) (out []*ast.Term) {
	switch v := t.Value.(type) {
	case *ast.Array:
		v.Foreach(func(e *ast.Term) { out = append(out, e) })
	case ast.Set:
		v.Foreach(func(e *ast.Term) { out = append(out, e) })
	}
	return out
}

func member(t *ast.Term, name string) *ast.Term {
	obj, ok := t.Value.(ast.Object)
	if !ok {
		return nil
	}
	return obj.Get(ast.StringTerm(name))
}
