package policy

import (
	"strings"
	"testing"
)

// A role that was misspelt is told from one that a policy can know.
func TestRolesAreThoseThatPoliciesMention(t *testing.T) {
	const data = `{"reader_tools":{"auditor":["a"]},"people":["clerk"],"Reader":1}`
	for _, tt := range []struct{ name, src, role, want string }{
		{"literal", `allow if "reader" in input.subject.roles`, "reader", ""},
		{"misspelt", `allow if "reader" in input.subject.roles`, "reder", `no policy mentions the role "reder"; did you mean reader?`},
		{"two near", "allow if \"writer1\" in input.subject.roles\nallow if \"writer2\" in input.subject.roles", "writer", `no policy mentions the role "writer"; did you mean writer1 or writer2?`},
		{"nothing near", "allow if \"reader\" in input.subject.roles\ndeny contains \"stop\" if \"guest\" in input.subject.roles", "operator", `no policy mentions the role "operator"; they mention guest, reader`},
		{"letter case", `allow if "reader" in input.subject.roles`, "READER", `no policy mentions the role "READER"; did you mean reader?`},
		{"empty", `allow if "reader" in input.subject.roles`, "", `no policy mentions the role ""; they mention reader`},
		{"set", "allow if {\n\tsome role in {\"reader\", \"editor\"}\n\trole in input.subject.roles\n}", "editer", `no policy mentions the role "editer"; did you mean editor?`},
		{"equality", `allow if input.subject.roles[_] == "reader"`, "readr", `did you mean reader?`},
		{"intersection", `allow if count({"reader"} & {r | some r in input.subject.roles}) > 0`, "readr", `did you mean reader?`},
		{"through a rule", "roles contains r if some r in input.subject.roles\nallow if \"reader\" in roles", "readr", `did you mean reader?`},
		{"through a function", "allow if has(\"reader\")\nhas(r) if r in input.subject.roles", "readr", `did you mean reader?`},
		{"through a function, there", "allow if has(\"reader\")\nhas(r) if r in input.subject.roles", "reader", ""},
		{"negated", `allow if not "guest" in input.subject.roles`, "guest", ""},
		{"object of the policy", "allow if {\n\tsome r in input.subject.roles\n\tinput.tool.name in tools[r]\n}\ntools := {\"editor\": {\"edit\"}}", "editor", ""},
		{"key in data", "allow if {\n\tsome r in input.subject.roles\n\tinput.tool.name in data.reader_tools[r]\n}", "auditor", ""},
		{"near a key in data", "allow if {\n\tsome r in input.subject.roles\n\tinput.tool.name in data.reader_tools[r]\n}", "auditer", `did you mean auditor?`},
		{"string in data", "allow if {\n\tsome r in input.subject.roles\n\tr in data.people\n}", "clerk", ""},
		{"a part of a reference is no role", `allow if "reader" in input.subject.roles`, "subject", `no policy mentions the role "subject"`},
		{"nor is a package", `allow if "reader" in input.subject.roles`, "authz", `no policy mentions the role "authz"`},
		{"prefix", "allow if {\n\tsome r in input.subject.roles\n\tstartswith(r, \"team-\")\n}", "team-a", ""},
		{"pattern under every", `allow if every r in input.subject.roles { regex.match("^team-", r) }`, "team-a", ""},
		{"pattern through a rule", "roles := {r | some r in input.subject.roles}\nallow if {\n\tsome r in roles\n\tendswith(r, \"-team\")\n}", "a-team", ""},
		{"the whole subject", "allow if f(input.subject)\nf(s) if startswith(s.roles[_], \"team-\")", "team-a", ""},
		{"roles are not read", `allow if input.subject.id == "ann"`, "whatever", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := load(map[string]string{"authz.rego": head + tt.src + "\n", "data.json": data})
			if err != nil {
				t.Fatal(err)
			}
			got := ""
			if err := g.Role(tt.role); err != nil {
				got = err.Error()
			}
			if got != tt.want && (tt.want == "" || !strings.Contains(got, tt.want)) {
				t.Errorf("Role(%q) = %q; want %q", tt.role, got, tt.want)
			}
		})
	}
}
