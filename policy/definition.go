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
	return g.definition(ctx, ref, g.compiler.GetRulesWithPrefix(ref.GroundPrefix()))
}

func (g *Generation) definition(ctx context.Context, ref ast.Ref, of []*ast.Rule) (string, error) {
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
	follow(of)
	data := len(rules) == 0 || g.hasData(ctx, ref)
	var texts []string
	for _, r := range rules {
		texts = append(texts, fmt.Sprintf("%s: %s", r.Ref(), plainLocals(r.String())))
		data = data || g.readsData(ctx, r)
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

// Definitions identifies each of the rules of a reference by itself, with all that it refers to.
func (g *Generation) Definitions(ctx context.Context, ref ast.Ref) ([]string, error) {
	var out []string
	for _, r := range g.compiler.GetRulesWithPrefix(ref) {
		one, err := g.definition(ctx, ref, []*ast.Rule{r})
		if err != nil {
			return nil, err
		}
		out = append(out, one)
	}
	return out, nil
}

// readsData reports whether a rule names data, be it that rules stand beside it.
func (g *Generation) readsData(ctx context.Context, r *ast.Rule) bool {
	found := false
	ast.WalkRefs(r, func(ref ast.Ref) bool {
		found = found || ref.HasPrefix(ast.DefaultRootRef) && (len(g.compiler.GetRules(ref)) == 0 || g.hasData(ctx, ref))
		return found
	})
	return found
}

// hasData reports whether there is data where a reference points to, or below it. A folder may hold both
// rules and data.
func (g *Generation) hasData(ctx context.Context, ref ast.Ref) bool {
	path, err := storage.NewPathForRef(ref.ConstantPrefix())
	if err != nil {
		path = storage.Path{} // the root of all data
	}
	_, err = g.store.Read(ctx, g.txn, path)
	return !storage.IsNotFound(err)
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
