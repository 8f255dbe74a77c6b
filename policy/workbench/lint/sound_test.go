package lint

import (
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"sallyport/policy"
)

// conditions are drawn from to make rules; many of them contradict each other.
var conditions = []string{
	`input.action == "tools/call"`, `input.action == "resources/read"`, `input.action != "tools/call"`, `not input.action == "tools/call"`,
	`input.tool.name == "a"`, `input.tool.name in {"a", "b"}`, `input.tool.name != "a"`, `not input.tool.name`, `input.tool.name`,
	`startswith(input.resource.uri, "file:")`, `input.resource.uri == "file:x"`, `input.resource`,
	`input.arguments.n > 5`, `input.arguments.n >= 10`, `input.arguments.n < 10`, `5 >= input.arguments.n`, `input.arguments.n == 10`, `input.arguments.n == "x"`, `is_string(input.arguments.n)`, `input.arguments.n`, `not input.arguments.n`,
	`startswith(input.arguments.p, "/a")`, `startswith(input.arguments.p, "/a/b")`, `startswith(input.arguments.p, "/c")`, `input.arguments.p in {"/a/b/x", "/c"}`, `input.arguments.p != "/c"`, `not startswith(input.arguments.p, "/a")`,
	`input.server.name == "s"`, `input.server.name != "s"`, `"r" in input.subject.roles`, `not "r" in input.subject.roles`, `is("a")`, `is("b")`, `named`, `not named`,
	`some x in input.arguments.list; x == 1`, `some y in input.arguments.list; y > 1`, `every z in input.arguments.list { z > 1 }`, `data.on`, `not data.on`,
}

const helpers = "\n\nis(x) if input.tool.name == x\n\nnamed if input.tool.name == \"b\"\n\nnamed if input.arguments.n == 10"

func questions() []*policy.Input {
	var out []*policy.Input
	for _, server := range []string{"s", "t"} {
		for _, roles := range [][]string{{"r"}, {"q"}} {
			for _, n := range []string{``, `"n":5`, `"n":7`, `"n":10`, `"n":15`, `"n":"x"`, `"n":false`} {
				for _, p := range []string{``, `"p":"/a/b/x"`, `"p":"/a"`, `"p":"/c"`} {
					for _, list := range []string{``, `"list":[1,2]`, `"list":[]`, `"list":[3]`} {
						args := []byte("{" + strings.Join(strings.FieldsFunc(strings.Join([]string{n, p, list}, "|"), func(r rune) bool { return r == '|' }), ",") + "}")
						for _, tool := range []string{"a", "b", "c"} {
							out = append(out, &policy.Input{Action: "tools/call", Server: server, Subject: &policy.Subject{Roles: roles},
								Tool: &policy.Tool{Name: tool}, Arguments: args})
						}
					}
				}
			}
			out = append(out, &policy.Input{Action: "resources/read", Server: server, Subject: &policy.Subject{Roles: roles},
				Resource: &policy.Item{URI: "file:x"}},
				&policy.Input{Action: "ping", Server: server, Subject: &policy.Subject{Roles: roles}})
		}
	}
	return out
}

// A rule of which it is said that it never holds allows nothing, whatever is asked. The seed is fixed,
// so that a failure can be looked at.
func TestWhatNeverHoldsAllowsNothing(t *testing.T) {
	random := rand.New(rand.NewPCG(6, 6))
	asked := questions()
	never, silent := 0, 0
	for range 400 {
		var body []string
		for range 2 + random.IntN(3) {
			body = append(body, conditions[random.IntN(len(conditions))])
		}
		rule := "allow if {\n\t" + strings.Join(body, "\n\t") + "\n}" + helpers
		said := check(t, rule, Setting{}, "data.json", `{"on": true}`)
		if strings.Contains(said, "error compile") || strings.Contains(said, "error wrong-type") {
			continue // the same variable twice
		}
		if !strings.Contains(said, "this rule of allow never holds") {
			silent++
			continue
		}
		never++
		for _, on := range []string{"true", "false"} {
			g, err := policy.FromFiles(t.Context(), map[string][]byte{"authz.rego": []byte("package mcp.authz\n\n" + rule), "data.json": []byte(`{"on": ` + on + `}`)}, policy.Options{})
			if err != nil {
				t.Fatalf("%s\n%v", rule, err)
			}
			for _, in := range asked {
				if d, err := g.Decide(t.Context(), in); err == nil && d.Allow {
					t.Fatalf("%s\n%s\nand yet it allows %s", rule, said, shownInput(in))
				}
			}
		}
	}
	if never < 50 || silent < 50 {
		t.Errorf("of the rules %d were said never to hold, %d were not; want both", never, silent)
	}
}

func shownInput(in *policy.Input) string {
	doc, err := in.Document()
	return fmt.Sprintf("%s (%v)", doc, err)
}
