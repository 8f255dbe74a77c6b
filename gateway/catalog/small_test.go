package catalog

import (
	"fmt"
	"strings"
	"testing"
)

// What callers bring stays in memory while their task lives, so the patterns of all properties count
// together.
func TestSchemasOfCallersAreSmall(t *testing.T) {
	many := func(pattern string, n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"p%d":{"pattern":"%s%d"}`, i, pattern, i)
		}
		return `{"properties":{` + strings.TrimPrefix(b.String(), ",") + `}}`
	}
	for _, tt := range []struct{ name, schema, want string }{
		{"a path", `{"properties":{"path":{"pattern":"^/srv/docs/","maxLength":200}},"required":["path"]}`, ""},
		{"many patterns, each good", many("(a{1,30}){1,30}", 100), "the patterns together have more than 4000 instructions"},
		{"long", `{"description":"` + strings.Repeat("x", 16<<10) + `"}`, "the limit is 16384"},
	} {
		_, err := CompileSmall([]byte(tt.schema))
		if got := fmt.Sprint(err); tt.want == "" && err != nil || !strings.Contains(got, tt.want) && tt.want != "" {
			t.Errorf("%s: %v; want %q", tt.name, err, tt.want)
		}
	}
	if _, err := Compile([]byte(many("(a{1,30}){1,30}", 1500))); err == nil || !strings.Contains(err.Error(), "the patterns together have more than 200000 instructions") {
		t.Errorf("a server's schema with patterns that would keep 134 MiB: %v", err)
	}
}
