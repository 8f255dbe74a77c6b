package policy

import (
	"context"
	"testing"

	"pgregory.net/rapid"
)

// What is said of a question with parts missing is what would be said with them, whatever they are.
func TestAnswerWithoutPartsHoldsForAllOfThem(t *testing.T) {
	said := map[Answer]int{}
	rapid.Check(t, func(t *rapid.T) {
		src := genPolicy(t)
		g := loadGenerated(t, src, -1)
		for i := range 3 {
			base := genInput(t, i)
			answer, err := g.AskWithout(context.Background(), fill(t, base, 100+i), unknowns)
			if err != nil {
				continue // nothing is said
			}
			said[answer]++
			for j := range 5 {
				full := fill(t, base, 10*i+j)
				d, err := g.Ask(context.Background(), full)
				if err == nil && (answer == Allowed && !d.Allow || answer == Refused && d.Allow) {
					t.Fatalf("%s\nsaid %v without parts; with %+v it is %+v, %v", src, answer, full, d, err)
				}
			}
		}
	})
	if said[Unsure] == 0 || said[Refused] == 0 || said[Allowed] == 0 {
		t.Errorf("said %v: the generator is one-sided", said)
	}
}

func TestAskIsDeniedForHousekeeping(t *testing.T) {
	g := mustLoad(t, "allow if false\ndeny contains \"x\" if input.action == \"ping\"")
	for method, want := range map[string]bool{"tools/list": true, "notifications/cancelled": true, "": true, "ping": false, "tools/call": false, "sampling/createMessage": false} {
		in := call(``)
		in.Action, in.Request.Method = method, method
		if d, err := g.Ask(t.Context(), in); err != nil || d.Allow != want {
			t.Errorf("Ask(%q) = %v, %v; want %v", method, d.Allow, err, want)
		}
	}
}
