package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// maxNames bounds of how many words it is asked whether they are names.
const maxNames = 5000

// nobody is a name that no policy has.
const nobody = "\x00nobody"

// RoleNames are the roles that make a difference to the policies, found by asking: a word of theirs
// or of their data is a role where a caller who has it is answered otherwise than one whose role no
// policy has.
func (g *Generation) RoleNames(ctx context.Context) ([]string, error) {
	return g.namesOf(ctx, func(name string) *Input {
		return &Input{Subject: &Subject{Roles: []string{name}}, Action: "tools/call", Tool: &Tool{}}
	})
}

// ServerNames are the servers that make a difference to the policies, found as RoleNames are.
func (g *Generation) ServerNames(ctx context.Context) ([]string, error) {
	return g.namesOf(ctx, func(name string) *Input {
		return &Input{Action: "tools/call", Server: name, Tool: &Tool{}}
	})
}

// ToolNames are the tools of a server that make a difference to the policies, found as RoleNames are.
// No server means any.
func (g *Generation) ToolNames(ctx context.Context, server string) ([]string, error) {
	return g.namesOf(ctx, func(name string) *Input {
		return &Input{Action: "tools/call", Server: server, Tool: &Tool{Name: name}}
	})
}

func (g *Generation) namesOf(ctx context.Context, question func(name string) *Input) ([]string, error) {
	words, err := g.Words(func(w string) bool { return w != "" && len(w) <= 128 })
	if err != nil {
		return nil, err
	}
	if len(words) > maxNames {
		return nil, fmt.Errorf("the policies and their data hold more than %d words; name the roles and the tools that are meant", maxNames)
	}
	unlike, err := g.answerTo(ctx, question(nobody))
	if err != nil {
		return nil, err
	}
	var out []string
	for w := range words {
		answer, err := g.answerTo(ctx, question(w))
		if err != nil {
			return nil, err
		}
		if answer != unlike {
			out = append(out, w)
		}
	}
	slices.Sort(out)
	return out, nil
}

// answerTo is what is left of allow and deny, as a text.
func (g *Generation) answerTo(ctx context.Context, in *Input) (string, error) {
	value, unknown, err := g.openInput(in, OpenCaller)
	if err != nil {
		return "", err
	}
	var b strings.Builder
	for _, asked := range []ast.Body{g.allowPE, g.denyPE} {
		if asked == nil {
			continue
		}
		bodies, support, err := g.partialRun(ctx, asked, partialQuestion{input: value, unknown: terms(unknown...)})
		if err != nil {
			return "", err
		}
		fmt.Fprintln(&b, len(bodies), bodies, support)
	}
	return b.String(), nil
}
