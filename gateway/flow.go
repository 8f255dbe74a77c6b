package gateway

import (
	"fmt"

	"sallyport/identity/grant"
	"sallyport/policy"
)

// A task's labels say what it has touched. They are added when the decision is made, before the
// server is contacted: between the decision and the answer lie progress events, calls that run
// beside it, and other agents of the same task, and all of them come after the labels.

// touch adds the labels of what a call uses to those of the task. Housekeeping touches nothing.
func (x *exchange) touch(call checked, in *policy.Input) *Error {
	if housekeeping(call.msg) {
		return nil
	}
	if err := x.label(labelsOf(in)); err != nil {
		return refuse(CodeDenied, "Denied: %s (decision %s)", err, x.rec.ID)
	}
	return nil
}

// labelsOf are the operator's labels of what a question to the policy is about.
func labelsOf(in *policy.Input) []string {
	switch {
	case in.Tool != nil:
		return in.Tool.Labels
	case in.Resource != nil:
		return in.Resource.Labels
	case in.Prompt != nil:
		return in.Prompt.Labels
	}
	return nil
}

// label adds labels to those of the task; they never wash off.
func (x *exchange) label(labels []string) error {
	if len(labels) == 0 {
		return nil
	}
	after, ok := x.live.AddLabels(labels)
	if !ok {
		return fmt.Errorf("the task has %d labels already, and this adds more; a task can have %d", len(after), grant.MaxLabels)
	}
	x.rec.LabelsAfter = after
	return nil
}
