package policy

import (
	"context"
	"strings"

	"github.com/open-policy-agent/opa/v1/ast"
)

// Housekeeping reports whether a request of this method needs no `allow`: `deny` alone may refuse
// it. method is input.request.method, which is empty for the answers of clients.
func Housekeeping(method string) bool {
	switch method {
	case "", "initialize", "server/discover", "ping", "tools/list", "prompts/list", "resources/list", "resources/templates/list",
		"subscriptions/listen", "logging/setLevel", "tasks/list", "resources/unsubscribe":
		return true
	}
	return strings.HasPrefix(method, "notifications/")
}

// Ask answers as the gateway asks: by Denied for housekeeping, else by Decide.
func (g *Generation) Ask(ctx context.Context, in *Input) (Decision, error) {
	if Housekeeping(in.Request.Method) {
		return g.Denied(ctx, in)
	}
	return g.Decide(ctx, in)
}

// Answer is what can be said of a question of which parts are missing. The zero Answer says nothing.
type Answer int

// What is said holds whatever the missing parts are.
const (
	Unsure Answer = iota
	Refused
	Allowed
)

// AskWithout answers a question of which the paths in missing are not known, as "input.arguments".
// What the policies say of the clock is not known either. It is Ask by partial evaluation, so an
// answer other than Unsure is the one that Ask would give, but where a built-in fails for what is
// missing.
func (g *Generation) AskWithout(ctx context.Context, in *Input, missing []string) (Answer, error) {
	value, err := g.reads.value(in, true)
	if err != nil {
		return Unsure, err
	}
	unknown := terms(missing...)
	allowed := true
	if !Housekeeping(in.Request.Method) {
		bodies, err := g.partial(ctx, g.allowPE, value, unknown)
		if err != nil || len(bodies) == 0 {
			return refusedUnless(err), err
		}
		allowed = false
		for _, body := range bodies {
			allowed = allowed || len(body) == 0
		}
	}
	if g.denyPE == nil {
		return allowedIf(allowed), nil
	}
	var denied []ast.Body
	if denied, err = g.partial(ctx, g.denyPE, value, unknown); err != nil {
		return Unsure, err
	}
	for _, body := range denied {
		if unconditional(body) {
			return Refused, nil
		}
	}
	return allowedIf(allowed && len(denied) == 0), nil
}

func refusedUnless(err error) Answer {
	if err != nil {
		return Unsure
	}
	return Refused
}

func allowedIf(sure bool) Answer {
	if sure {
		return Allowed
	}
	return Unsure
}

// Impure names a built-in that the policies call and whose answer its operands do not decide: it
// reads this machine or the clock. It is empty where there is none.
func (g *Generation) Impure() string { return g.reads.impure }
