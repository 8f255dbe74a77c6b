package policy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/storage"
)

// Definition identifies what a reference below data means: the rules that it names and all that they
// refer to, or the data. Two policies in which a reference has the same definition mean the same by it.
func (g *Generation) Definition(ctx context.Context, ref ast.Ref) (string, error) {
	var rules []*ast.Rule
	seen := map[*ast.Rule]bool{}
	var follow func(list []*ast.Rule)
	follow = func(list []*ast.Rule) {
		for _, r := range list {
			if seen[r] {
				continue
			}
			seen[r] = true
			rules = append(rules, r)
			for other := range g.compiler.Graph.Dependencies(r) {
				if next, ok := other.(*ast.Rule); ok {
					follow([]*ast.Rule{next})
				}
			}
		}
	}
	follow(g.compiler.GetRulesWithPrefix(ref.GroundPrefix()))
	data := len(rules) == 0
	var texts []string
	for _, r := range rules {
		texts = append(texts, fmt.Sprintf("%s: %s", r.Ref(), plainLocals(r.String())))
		data = data || readsData(g.compiler, r)
	}
	slices.Sort(texts)
	if data {
		digest, err := g.dataDigest(ctx)
		if err != nil {
			return "", err
		}
		texts = append(texts, ref.String(), digest)
	}
	sum := sha256.Sum256([]byte(strings.Join(texts, "\x00")))
	return hex.EncodeToString(sum[:]), nil
}

// readsData reports whether a rule names data that no rule makes.
func readsData(c *ast.Compiler, r *ast.Rule) bool {
	found := false
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		found = found || ref.HasPrefix(ast.DefaultRootRef) && len(c.GetRules(ref)) == 0
		return found
	})
	return found
}

// dataDigest identifies the data as a whole.
func (g *Generation) dataDigest(ctx context.Context) (string, error) {
	data, err := g.store.Read(ctx, g.txn, storage.Path{})
	if err != nil {
		return "", fmt.Errorf("read policy data: %w", err)
	}
	sum := sha256.Sum256([]byte(fmt.Sprint(data))) // objects print with sorted keys
	return hex.EncodeToString(sum[:]), nil
}

var localName = regexp.MustCompile(`__local[0-9]+__`)

// plainLocals gives the variables that the compiler named the numbers of their first use.
func plainLocals(text string) string {
	names := map[string]string{}
	return localName.ReplaceAllStringFunc(text, func(name string) string {
		if names[name] == "" {
			names[name] = fmt.Sprintf("__local%d__", len(names))
		}
		return names[name]
	})
}

// Packages are those below data.mcp, as references. A package without rules is none.
func (g *Generation) Packages() []string {
	names := map[string]bool{}
	for _, m := range g.compiler.Modules {
		if len(m.Rules) > 0 && m.Package.Path.HasPrefix(ast.MustParseRef("data.mcp")) {
			names[m.Package.Path.String()] = true
		}
	}
	return slices.Sorted(maps.Keys(names))
}
