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

// A refusal that is sure is said, and one that hangs on what is missing is not.
func TestAskWithoutSaysOnlyWhatIsSure(t *testing.T) {
	g := mustLoad(t, `allow if "reader" in input.subject.roles

deny contains "banned" if input.subject.id == "banned"

deny contains "secret" if input.arguments.path == "/secret"`)
	for _, tt := range []struct {
		name    string
		change  func(*Input)
		missing []string
		want    Answer
	}{
		{"nothing missing", func(in *Input) {}, nil, Allowed},
		{"a denial that does not hang on it", func(in *Input) { in.Subject.ID = "banned" }, []string{"input.arguments"}, Refused},
		{"a denial that hangs on it", func(in *Input) {}, []string{"input.arguments"}, Unsure},
		{"no rule allows it, whatever is missing", func(in *Input) { in.Subject.Roles = []string{"guest"} }, []string{"input.arguments"}, Refused},
		{"who asks is missing", func(in *Input) {}, []string{"input.subject"}, Unsure},
	} {
		in := call(`{"path":"/srv"}`)
		tt.change(in)
		if got, err := g.AskWithout(t.Context(), in, tt.missing); err != nil || got != tt.want {
			t.Errorf("%s: %v, %v; want %v", tt.name, got, err, tt.want)
		}
	}
}
