package policy

import (
	"strings"
	"testing"
)

// Two letters in each other's place are one slip of the pen.
func TestDistanceCountsSlipsOfThePen(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"abc", "", 3}, {"Reader", "reader", 0},
		{"reder", "reader", 1}, {"readers", "reader", 1}, {"roader", "reader", 1},
		{"ab", "ba", 1}, {"subejct", "subject", 1}, {"xsubejct", "subject", 2}, {"badc", "abcd", 2},
		{"abcd", "acbx", 2}, {"cab", "abc", 2}, {"ac", "bc", 1}, {"aab", "aba", 1},
	} {
		if got := distance(tt.a, tt.b); got != tt.want {
			t.Errorf("distance(%q, %q) = %d; want %d", tt.a, tt.b, got, tt.want)
		}
		if got := distance(tt.b, tt.a); got != tt.want {
			t.Errorf("distance(%q, %q) = %d; want %d", tt.b, tt.a, got, tt.want)
		}
	}
}

// Without a near name the first of those that there are are told, and whether there are more.
func TestOrNearTellsWhatThereIs(t *testing.T) {
	all := strings.Split("aaa bbb ccc ddd eee fff ggg hhh iii jjj kkk lll", " ")
	most := strings.Join(all[:mostNames], ", ")
	for n, want := range map[int]string{0: "", 1: "; it has aaa", mostNames: "; it has " + most, mostNames + 1: "; it has " + most + " and others"} {
		if got := orNear("zzzzzz", all[:n], "it has"); got != want {
			t.Errorf("of %d names: %q; want %q", n, got, want)
		}
	}
}

// An editor marks the key that is not there, also where its name stands before it.
func TestUnknownKeyIsMarkedAtTheKey(t *testing.T) {
	for rule, want := range map[string]int{
		`allow if input.subject.rols == "x"`:      24,
		`allow if {input.rols == "x"}`:            17,
		`allow if "a.rols" == input.subject.rols`: 36,
	} {
		_, err := FromFiles(t.Context(), map[string][]byte{"a.rego": []byte(head + rule + "\n")}, Options{})
		faults := Faults(err)
		if len(faults) != 1 || faults[0].Line != 3 || faults[0].Column != want {
			t.Errorf("%s: %+v, %v; want the key at %d", rule, faults, err, want)
		}
	}
}
