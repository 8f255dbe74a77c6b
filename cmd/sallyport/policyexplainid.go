package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/inputs"
	"sallyport/gateway/audit/reader"
	"sallyport/policy"
	"sallyport/policy/workbench"
)

// explained is what can be said of a recorded decision.
type explained struct {
	ID       string    `json:"id"`
	Time     time.Time `json:"time"`
	Recorded story     `json:"recorded"`
	Missing  string    `json:"input_missing,omitempty"` // why it was not decided once more
	Revision string    `json:"policy_revision"`         // of the policy that is asked now
	Changed  bool      `json:"policy_changed"`          // another than the one that decided
	Differs  bool      `json:"differs"`                 // it decides otherwise than the record says

	Now   *workbench.Explanation `json:"now,omitempty"`
	Could *workbench.Could       `json:"could,omitempty"` // of a refusal whose input is missing: what the roles may do with the tool
}

// story is what the record says.
type story struct {
	Allow       bool              `json:"allow"` // it went upstream
	Decision    string            `json:"decision"`
	PolicyAllow *bool             `json:"policy_allow,omitempty"`
	Code        string            `json:"code"`
	Door        string            `json:"door,omitempty"` // who refused, where it was not the policy
	Cure        string            `json:"cure,omitempty"`
	Asked       string            `json:"asked"`
	Roles       []string          `json:"roles"`
	Subject     string            `json:"subject"`
	Reasons     []string          `json:"reasons,omitempty"`
	Rules       []string          `json:"rules,omitempty"`
	Obligations []json.RawMessage `json:"obligations,omitempty"`
	Revision    string            `json:"policy_revision"`
	Detail      string            `json:"detail,omitempty"`
}

// door is who refuses with a code, and what to do about it.
type door struct{ who, cure string }

var doors = map[string]door{
	"unknown_tool":      {"the catalogue: there is no such tool, or its definition is off", "`sallyport tools list` says what is served, and why what is not is not"},
	"invalid_input":     {"the tool's schema: the arguments do not fit it", "`sallyport tools list SERVER.TOOL -o json` has the schema; the caller was told what to mend"},
	"approval_required": {"nobody yet: a person must agree", "`sallyport approvals list`, then `approvals approve`; the same call, made again, goes through once"},
	"limited":           {"a budget or a limit: the grant's, the policy's or that of concurrent calls", "`sallyport grant show` says what is left of the grant; a new grant has a new budget"},
	"unauthenticated":   {"authentication: the token or its grant was not good any more", "`sallyport token inspect` says why"},
	"too_large":         {"limits.requestBytes", "send less, or raise it in the configuration"},
	"invalid_output":    {"the door for results: what the server answered was refused", "the detail says what was found; guards and obligations stand in the configuration and the policy"},
	"unavailable":       {"the server, which could not be reached", "`sallyport doctor` looks at it"},
	"timeout":           {"the server, which did not answer in time", "`sallyport doctor` looks at it; limits.callTimeout bounds the silence"},
	"unaudited":         {"the record, which could not be written", "see docs/record.md; nothing passes that cannot be recorded"},
	"stale":             {"the grants, which were not up to date", "`sallyport doctor`"},
	"cancelled":         {"the client, which took its request back", "nothing; it was not refused"},
}

// explainRecorded explains a decision of the record.
func (a *app) explainRecorded(ctx context.Context, g *policy.Generation, log, id, identity string) (*explained, error) {
	dirs, err := a.logDirs(log)
	if err != nil {
		return nil, err
	}
	c, err := a.findDecision(dirs, id)
	if err != nil {
		return nil, err
	}
	first, last := c.ends()
	x := &explained{ID: c.ID, Time: first.Time.UTC(), Recorded: tell(first, last), Revision: g.Revision()}
	x.Changed = first.PolicyRevision != "" && first.PolicyRevision != x.Revision
	if len(c.Records[0].Newer) > 0 {
		x.Missing = "it was recorded by a newer version"
		return x, nil
	}
	in, err := a.recordedInput(c, first, identity)
	switch {
	case in != nil:
		if x.Now, err = workbench.Explain(ctx, g, in); err != nil {
			return nil, err
		}
		x.Differs = first.PolicyAllow != nil && *first.PolicyAllow != x.Now.Allow
		return x, nil
	case errors.Is(err, errNotKept):
		x.Missing, err = err.Error(), nil
	default:
		return nil, err
	}
	if x.Recorded.PolicyAllow != nil && !*x.Recorded.PolicyAllow && first.Tool != "" {
		x.Could, err = workbench.CouldBe(ctx, g, a.questionOf(first), policy.OpenCaller)
	}
	return x, err
}

// tell reads the record's own story.
func tell(first, last *audit.Record) story {
	s := story{Allow: first.Phase == audit.PhaseDecision, Decision: first.Decision, PolicyAllow: first.PolicyAllow, Code: last.Code, Asked: what(first), Roles: first.Roles,
		Subject: first.Subject, Reasons: last.Reasons, Rules: first.Rules, Obligations: first.Obligations, Revision: first.PolicyRevision, Detail: last.Detail}
	if s.Code == "ok" || s.Code == "" {
		return s
	}
	byPolicy := s.PolicyAllow != nil && !*s.PolicyAllow
	if d := doors[s.Code]; d != (door{}) && !byPolicy {
		s.Door, s.Cure = d.who, d.cure
	} else if s.Code == "denied" && s.PolicyAllow != nil && *s.PolicyAllow {
		s.Door = "an obligation of the policy that could not be met, a guard, or the grant: the policy itself allowed it"
		s.Cure = "the detail and the obligations say which; `sallyport grant show` has what the grant allows"
	}
	return s
}

// errNotKept is wrapped where a record does not hold the input.
var errNotKept = errors.New("the input is not in the record")

// recordedInput is what the policy was asked.
func (a *app) recordedInput(c *certified, rec *audit.Record, identity string) (*policy.Input, error) {
	opener := inputs.NewOpener()
	if identity != "" {
		identities, err := inputs.ReadIdentities(identity)
		if err != nil {
			return nil, err
		}
		opener = inputs.NewOpener(identities...)
	}
	if rec.InputSealed != "" {
		for e, err := range reader.All(c.Log, reader.Options{Has: [][]byte{audit.Quote(audit.PhaseKey)}}) {
			if err != nil && !reader.Told(err) {
				return nil, err
			}
			if err == nil {
				if err := opener.Learn(&e.Record); err != nil {
					a.say("%v", err)
				}
			}
		}
	}
	doc, err := opener.Input(rec)
	switch {
	case errors.Is(err, inputs.ErrNotRecorded) && rec.InputMissing != "":
		return nil, fmt.Errorf("%w: %s", errNotKept, rec.InputMissing)
	case errors.Is(err, inputs.ErrNotRecorded):
		return nil, fmt.Errorf("%w; `audit: {inputs: sealed}` in the configuration keeps those of later decisions", errNotKept)
	case errors.Is(err, inputs.ErrSealed) && identity == "":
		return nil, fmt.Errorf("%w in clear; --identity FILE opens what is sealed", errNotKept)
	case err != nil:
		return nil, fmt.Errorf("the input of %s: %w", rec.ID, err)
	case len(rec.InputErased) > 0:
		return nil, fmt.Errorf("%w as a whole: %s was taken out", errNotKept, plain(strings.Join(rec.InputErased, ", ")))
	}
	in, err := policy.ReadInput(doc)
	if err != nil {
		return nil, fmt.Errorf("the input of %s: %w", rec.ID, err)
	}
	return in, nil
}

// questionOf is what the record knows of a call: the roles, the tool and its labels.
func (a *app) questionOf(rec *audit.Record) *policy.Input {
	tools := []workbench.Tool{{Server: rec.Server, Name: rec.Tool}}
	if cfg, err := a.installation(); err == nil && cfg != nil {
		labelTools(cfg, tools)
	}
	return &policy.Input{Subject: &policy.Subject{Roles: rec.Roles}, Action: rec.Method, Server: rec.Server, ServerLabels: tools[0].ServerLabels,
		Tool: &policy.Tool{Name: rec.Tool, Labels: tools[0].Labels}}
}

// refused reports whether the answer is no: what the record says.
func (x *explained) refused() bool { return !x.Recorded.Allow }

func (a *app) printExplained(x *explained) error {
	r := &x.Recorded
	var b strings.Builder
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(&b, format+"\n", args...) } // to memory
	word := "refused"
	if r.Allow {
		word = "went through"
	}
	since := ""
	if r.Decision == "would_deny" {
		since = ", since what refuses it is not enforced"
	}
	line("%s of %s: %s, asked by %s with the roles %s: %s%s", x.ID, x.Time.Format(time.RFC3339), plain(r.Asked), orDash(plain(r.Subject)), orDash(plain(strings.Join(r.Roles, ", "))), word, since)
	if r.Code != "" && r.Code != "ok" {
		line("code %s", plain(r.Code))
	}
	if r.Door != "" {
		line("refused by %s", r.Door)
		line("what to do: %s", r.Cure)
	}
	if r.Detail != "" {
		line("detail: %s", plain(r.Detail))
	}
	if x.Now == nil {
		x.asRecorded(line)
	}
	if x.Changed {
		line("\nthe policy is another than the one that decided: then %s, now %s; what follows is said of the one of now", plain(r.Revision), x.Revision)
	}
	if x.Missing != "" {
		line("\nnot decided once more: %s", x.Missing)
	}
	if x.Differs && !x.Changed {
		line("\nit comes out otherwise under the same policy: see `sallyport policy replay`")
	}
	if err := a.printf("%s\n", strings.TrimRight(b.String(), "\n")); err != nil {
		return err
	}
	switch {
	case x.Now != nil:
		return errors.Join(a.printf("\n"), x.Now.Text(a.out))
	case x.Could != nil:
		return errors.Join(a.printf("\nwhat these roles may do with this tool:\n"), x.Could.Text(a.out))
	}
	return nil
}

// asRecorded says what the record has of the policy's answer.
func (x *explained) asRecorded(line func(string, ...any)) {
	for _, reason := range x.Recorded.Reasons {
		line("reason: %s", plain(reason))
	}
	for _, rule := range x.Recorded.Rules {
		line("rule that held: %s", plain(rule))
	}
	for _, o := range x.Recorded.Obligations {
		line("obligation: %s", plain(string(o)))
	}
}
