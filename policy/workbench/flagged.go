package workbench

import (
	"regexp"
	"strings"
)

// harmless are the remarks of the second door that say nothing about the task: what they name is
// done to many answers in the ordinary course of things. Any other remark, also one that this
// version does not know, leaves the task out.
var harmless = regexp.MustCompile(`^\d+ (links? made inert|values? masked|items? of content left out)$|^status 202$`)

// flagged says why nothing may be learned from the task of this record, or is empty.
func (r *Recorded) flagged() string {
	switch {
	case r.Code == "invalid_output":
		return "an answer was withheld"
	case r.PolicyAllow != nil && *r.PolicyAllow && (r.Decision == "would_deny" && !r.Advised || r.Phase == "refusal" && r.Code == "denied"):
		return "a guard or an obligation refused a call that the policy allows"
	case r.Phase != "outcome" || r.Code != "ok" || r.Detail == "" || r.Server == "": // acts, as grant/create, are of no server
		return ""
	}
	for _, part := range strings.Split(r.Detail, "; ") {
		if !harmless.MatchString(part) {
			return "a guard found something in an answer"
		}
	}
	return ""
}

// unforeseen reports whether a call went through that no rule allows and no rule denies: what a
// gateway that enforces nothing is run for. It was not refused, and nobody has said that it should be.
func (r *Recorded) unforeseen() bool {
	return r.Phase == "decision" && r.Decision == "would_deny" && !r.Advised && r.PolicyAllow != nil && !*r.PolicyAllow &&
		len(r.Reasons) == 1 && r.Reasons[0] == noRule
}

// task is what a record belongs to: its grant, and what the client calls its task, if anything.
func (r *Recorded) task() (grant, named string) {
	if r.Task != "" {
		named = strings.Join([]string{r.Subject, r.Client, r.Task}, "\x00")
	}
	return r.Grant, named
}

// tainted are the tasks from which nothing may be learned, by the reason that was found first.
type tainted struct{ grants, named map[string]string }

func (t *tainted) add(r *Recorded, why string) {
	grant, named := r.task()
	for _, of := range []struct {
		in  map[string]string
		key string
	}{{t.grants, grant}, {t.named, named}} {
		if of.key != "" && of.in[of.key] == "" {
			of.in[of.key] = why
		}
	}
}

func (t *tainted) has(r *Recorded) bool {
	grant, named := r.task()
	return t.grants[grant] != "" || t.named[named] != ""
}
