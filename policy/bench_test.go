package policy

import (
	"fmt"
	"strings"
	"testing"
)

// rules returns a policy with n allow rules of the recommended form, of which the last holds.
func rules(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, "allow if {\n\t\"role%d\" in input.subject.roles\n\tinput.server.name == \"files\"\n\tinput.tool.name == \"tool%d\"\n\tstartswith(input.arguments.path, \"/srv/%d/\")\n}\n\n", i, i, i)
	}
	return b.String()
}

func BenchmarkDecide(b *testing.B) {
	for _, n := range []int{20, 200} {
		for name, size := range map[string]int{"cached": 0, "cold": -1} {
			b.Run(fmt.Sprintf("%drules/%s", n, name), func(b *testing.B) {
				g, err := FromFiles(b.Context(), map[string][]byte{"a.rego": []byte("package mcp.authz\n\n" + rules(n))}, Options{CacheSize: size})
				if err != nil {
					b.Fatal(err)
				}
				in := call(fmt.Sprintf(`{"path":"/srv/%d/x"}`, n-1))
				in.Subject.Roles, in.Tool.Name = []string{fmt.Sprintf("role%d", n-1)}, fmt.Sprintf("tool%d", n-1)
				b.ReportAllocs()
				for b.Loop() {
					if d, err := g.Decide(b.Context(), in); err != nil || !d.Allow {
						b.Fatal(d, err)
					}
				}
			})
		}
	}
}

func BenchmarkVisible(b *testing.B) {
	g, err := FromFiles(b.Context(), map[string][]byte{"a.rego": []byte("package mcp.authz\n\n" + rules(20))}, Options{})
	if err != nil {
		b.Fatal(err)
	}
	in := call("")
	in.Subject.Roles, in.Tool.Name = []string{"role19"}, "tool19"
	b.ReportAllocs()
	for b.Loop() {
		if ok, err := g.Visible(b.Context(), in); err != nil || !ok {
			b.Fatal(ok, err)
		}
	}
}
