package policy

import (
	"maps"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// argumentNames are the members, at any depth of the arguments, that rules name: behind input.arguments, behind
// a variable that may stand for a part of them, or as a key of object.get. A name that only an advisory rule
// says has no part in it.
func argumentNames(c *ast.Compiler) []string {
	names := map[string]bool{}
	for _, m := range c.Modules {
		for _, rule := range m.Rules {
			if !strings.HasPrefix(headName(rule), advisory) {
				namesOf(rule, names)
			}
		}
	}
	return slices.Sorted(maps.Keys(names))
}

func namesOf(rule *ast.Rule, names map[string]bool) {
	other := elsewhere(rule)
	// below is where in a reference names of arguments begin; 0: nowhere.
	below := func(ref ast.Ref) int {
		switch v, ok := ref[0].Value.(ast.Var); {
		case ref.HasPrefix(argumentsRef):
			return len(argumentsRef)
		case ok && !ref.HasPrefix(ast.InputRootRef) && !ref.HasPrefix(ast.DefaultRootRef) && !other[v]:
			return 1
		}
		return 0
	}
	ast.WalkRefs(rule, func(ref ast.Ref) bool {
		if ast.BuiltinMap[ref.String()] != nil {
			return false // the name of a function
		}
		if from := below(ref); from > 0 {
			for _, t := range ref[from:] {
				addNames(t, names)
			}
		}
		return false
	})
	get := func(terms []*ast.Term) {
		if len(terms) < 3 || terms[0].Value.String() != ast.ObjectGet.Name {
			return
		}
		switch of := terms[1].Value.(type) {
		case ast.Ref:
			if below(of) == 0 {
				return
			}
		case ast.Var:
			if other[of] {
				return
			}
		}
		addNames(terms[2], names)
	}
	ast.WalkExprs(rule, func(e *ast.Expr) bool {
		if terms, ok := e.Terms.([]*ast.Term); ok {
			get(terms)
		}
		return false
	})
	ast.WalkTerms(rule, func(t *ast.Term) bool {
		if call, ok := t.Value.(ast.Call); ok {
			get(call)
		}
		return false
	})
}

// addNames adds a key that is written out, or the keys of a path.
func addNames(t *ast.Term, names map[string]bool) {
	switch v := t.Value.(type) {
	case ast.String:
		names[string(v)] = true
	case *ast.Array:
		v.Foreach(func(t *ast.Term) { addNames(t, names) })
	}
}

// elsewhere are the variables of a rule that are certainly no part of the arguments: what they are
// equal to is of data, or another part of the input.
func elsewhere(rule *ast.Rule) map[ast.Var]bool {
	other := map[ast.Var]bool{}
	for before := -1; before < len(other); { // until nothing more follows from what is known
		before = len(other)
		ast.WalkExprs(rule, func(e *ast.Expr) bool {
			if !e.IsEquality() && !e.IsAssignment() {
				return false
			}
			for _, pair := range [][2]*ast.Term{{e.Operand(0), e.Operand(1)}, {e.Operand(1), e.Operand(0)}} {
				v, ok := pair[0].Value.(ast.Var)
				ref, is := pair[1].Value.(ast.Ref)
				if !ok || !is || ref.HasPrefix(argumentsRef) || ref.Equal(ast.InputRootRef) {
					continue
				}
				head, local := ref[0].Value.(ast.Var)
				if ref.HasPrefix(ast.InputRootRef) || ref.HasPrefix(ast.DefaultRootRef) || local && other[head] {
					other[v] = true
				}
			}
			return false
		})
	}
	return other
}
