package lint

import (
	"context"
	"fmt"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"

	"sallyport/policy"
)

// fewEntries is up to how many entries of data a walk over them costs less than it is worth saying.
const fewEntries = 50

// slow looks for what makes decisions cost more than they must: what keeps them from being cached,
// arguments that are read as a whole, data that is walked, and patterns that no index knows.
func (c *checker) slow(context.Context) error {
	for _, rule := range c.Rules() {
		s := &slowCheck{checker: c, bound: ast.NewVarSet(), stands: map[ast.Var]*ast.Term{}}
		for _, arg := range rule.Head.Args {
			s.bind(arg)
		}
		s.body(rule.Body)
		for _, t := range []*ast.Term{rule.Head.Key, rule.Head.Value} {
			if t != nil {
				s.terms(t, rule.Location)
			}
		}
	}
	return nil
}

// slowCheck goes through one rule in the order in which the compiler has put its expressions.
type slowCheck struct {
	*checker
	bound  ast.VarSet            // variables that have a value when an expression is reached
	stands map[ast.Var]*ast.Term // what a variable of the compiler stands for
}

func (s *slowCheck) bind(x any) {
	ast.WalkVars(x, func(v ast.Var) bool {
		s.bound.Add(v)
		return false
	})
}

func (s *slowCheck) body(body ast.Body) {
	for _, e := range body {
		if e.IsCall() {
			s.call(e)
		}
		s.terms(e, e.Location)
		s.bind(e)
		if e.IsEquality() {
			if v, ok := e.Operand(0).Value.(ast.Var); ok {
				s.stands[v] = e.Operand(1)
			}
		}
	}
}

// terms looks at every term of an expression, the bodies of comprehensions and `every` among them.
func (s *slowCheck) terms(x any, near *ast.Location) {
	ast.WalkTerms(x, func(t *ast.Term) bool {
		ref, ok := t.Value.(ast.Ref)
		at := t.Location
		if at == nil || at.File == "" {
			at = near
		}
		if !ok || at == nil || at.File == "" {
			return false
		}
		text := ref.String()
		switch {
		case ref.Equal(ast.InputRootRef):
			s.at(at, "not-cacheable", Note, "decisions are not cached: a rule reads input as a whole", "name the keys that it needs")
		case text == "input.request.time" || text == "input.request.id":
			s.at(at, "not-cacheable", Note, "decisions are not cached: "+text+" differs each time", "leave it out where the policy can do without")
		case ref.Equal(argumentsRef) || len(ref) > len(argumentsRef) && ref.HasPrefix(argumentsRef) && !ref[len(argumentsRef)].IsGround():
			s.at(at, "whole-arguments", Note, "all arguments are read, so each call pays for all of them", "name the arguments one by one, as input.arguments.path")
		case ref.HasPrefix(ast.DefaultRootRef):
			s.scan(at, ref)
		}
		return false
	})
}

// scan looks for data that is walked because no value is there yet to look up by.
func (s *slowCheck) scan(at *ast.Location, ref ast.Ref) {
	for i, part := range ref {
		v, free := part.Value.(ast.Var)
		if i == 0 || !free || s.bound.Contains(v) {
			continue
		}
		if n, err := s.Count(ref[:i]); err == nil && n > fewEntries {
			s.at(at, "scan", Warning, fmt.Sprintf("%s is walked at each decision, and has %d entries", ref[:i], n),
				"make it an object by what is asked about, and look that up: data.grants[role][input.tool.name]")
		}
		return
	}
}

func (s *slowCheck) call(e *ast.Expr) {
	name := e.Operator().String()
	at := e.Location
	if at == nil || at.File == "" {
		return
	}
	if policy.Impure(name) {
		s.at(at, "not-cacheable", Note, "decisions are not cached: the answer of "+name+" is not decided by its operands",
			"leave it out where the policy can do without")
	}
	switch name {
	case ast.RegexMatch.Name, "regex.find_n", "regex.replace", "regex.split", "regex.find_all_string_submatch_n":
		pattern := e.Operand(0)
		if name == "regex.replace" {
			pattern = e.Operand(1)
		}
		if s.ofCaller(pattern) {
			s.at(at, "pattern-from-input", Warning, "a pattern comes from the caller: it decides what the rule means, and is compiled at each call", "take patterns from the policy or its data")
		}
	case ast.GlobMatch.Name:
		s.glob(e)
	}
}

// glob looks for patterns that the index of rules cannot use, so that each rule is tried in turn.
func (s *slowCheck) glob(e *ast.Expr) {
	pattern, is := e.Operand(0).Value.(ast.String)
	_, null := e.Operand(1).Value.(ast.Null)
	switch {
	case s.ofCaller(e.Operand(0)):
		s.at(e.Location, "pattern-from-input", Warning, "a pattern comes from the caller: it decides what the rule means, and is compiled at each call", "take patterns from the policy or its data")
	case is && (null || strings.Contains(string(pattern), "**")):
		s.at(e.Location, "glob-not-indexed", Note, "no index knows a glob with ** or without delimiters, so the rule is tried at each decision",
			"use startswith, or * for whole segments between delimiters")
	}
}

// ofCaller reports whether a term is a part of the input.
func (s *slowCheck) ofCaller(t *ast.Term) bool {
	if v, ok := t.Value.(ast.Var); ok && s.stands[v] != nil {
		t = s.stands[v]
	}
	return begins(t, ast.InputRootRef)
}
