package policy

import (
	"slices"
	"testing"
)

func TestArgumentNamesAreThoseThatRulesReadAtAnyDepth(t *testing.T) {
	for _, tt := range []struct {
		name, src string
		want      []string
	}{
		{"a path", `allow if input.arguments.opts.path == "x"`, []string{"opts", "path"}},
		{"rows", "allow if {\n\tsome row in input.arguments.rows\n\trow.from == \"x\"\n}", []string{"from", "rows"}},
		{"every", `allow if every r in input.arguments.rows { r.to.mail != "x" }`, []string{"mail", "rows", "to"}},
		{"object.get", `allow if object.get(input.arguments, "path", "") == "x"`, []string{"path"}},
		{"object.get with a path", `allow if startswith(object.get(input.arguments, ["opts", "dir"], ""), "/")`, []string{"dir", "opts"}},
		{"an alias", "allow if {\n\ta := input.arguments\n\ta.path == \"x\"\n}", []string{"path"}},
		{"a function", "f(a) if a.path == \"x\"\n\nallow if f(input.arguments)", []string{"path"}},
		{"data", "allow if {\n\tu := data.users[_]\n\tv := u.Home\n\tv.City == input.arguments.city\n}", []string{"city"}},
		{"the rest of the input", `allow if input.subject.claims.Email == "x"`, nil},
		{"an alias of it", "allow if {\n\ts := input.subject\n\ts.claims.Email == \"x\"\n}", nil},
		{"what is only noted", "allow if true\n\nadvisory_x contains \"x\" if input.arguments.Old == 1", nil},
	} {
		if got := mustLoad(t, tt.src).ArgumentNames(); !slices.Equal(got, tt.want) {
			t.Errorf("%s: %q; want %q", tt.name, got, tt.want)
		}
	}
}
