package policy

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const anyAllow = "package mcp.authz\n\nallow if true\n"

func TestMaskErasesWhatThePolicySays(t *testing.T) {
	for _, tt := range []struct{ name, rules, args, want, erased string }{
		{"nothing", `mask contains "/input/arguments/password"`, `{"user":"ann"}`, `{"user":"ann"}`, ""},
		{"a member", `mask contains "/input/arguments/password"`, `{"user":"ann","password":"hunter2"}`, `{"user":"ann"}`, "/input/arguments/password"},
		{"deep, and in a list", `mask contains "/input/arguments/rows/1/pin"`, `{"rows":[{"pin":1},{"pin":2}]}`, `{"rows":[{"pin":1},{}]}`, "/input/arguments/rows/1/pin"},
		{"an element keeps its place", `mask contains {"op": "remove", "path": "/input/arguments/list/0"}`, `{"list":["x","y"]}`, `{"list":[null,"y"]}`, "/input/arguments/list/0"},
		{"an element that is not there", `mask contains "/input/arguments/list/2"`, `{"list":["x","y"]}`, `{"list":["x","y"]}`, ""},
		{"another value", `mask contains {"op": "upsert", "path": "/input/arguments/pin", "value": "***"}`, `{"pin":"1234"}`, `{"pin":"***"}`, "/input/arguments/pin"},
		{"under a condition", `mask contains "/input/arguments/text" if input.input.tool.name == "write"`, `{"text":"t"}`, `{}`, "/input/arguments/text"},
		{"under another condition", `mask contains "/input/arguments/text" if input.input.tool.name == "read"`, `{"text":"t"}`, `{"text":"t"}`, ""},
		{"names with a slash", `mask contains "/input/arguments/a~1b"`, `{"a/b":1,"a":{"b":2}}`, `{"a":{"b":2}}`, "/input/arguments/a~1b"},
		{"numbers stay what they are", `mask contains "/input/arguments/x"`, `{"n":12345678901234567890.10,"x":1}`, `{"n":12345678901234567890.10}`, "/input/arguments/x"},
		{"all arguments", `mask contains "/input/arguments"`, `{"a":1}`, "", "/input/arguments"},
		{"computed names", "mask contains concat(\"/\", [\"/input/arguments\", key]) if {\n\tsome key, _ in input.input.arguments\n\tkey in data.hidden.names\n}", `{"pin":1,"a":"<b>"}`, `{"a":"<b>"}`, "/input/arguments/pin"},
	} {
		g, err := load(map[string]string{"authz.rego": anyAllow, "log.rego": "package system.log\n\n" + tt.rules + "\n", "hidden/data.json": `{"names": ["pin"]}`})
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		m, err := g.Erasure(t.Context(), advisedInputOf("write", tt.args))
		if err != nil {
			t.Fatalf("%s: %v", tt.name, err)
		}
		got, erased, err := m.Apply([]byte(tt.args), "arguments")
		if err != nil || string(got) != tt.want || strings.Join(erased, " ") != tt.erased {
			t.Errorf("%s: arguments %s, erased %q, %v; want %s, %q", tt.name, got, erased, err, tt.want, tt.erased)
		}
		// The whole input is masked alike.
		doc := `{"arguments":` + tt.args + `,"other":1}`
		want := `{"arguments":` + tt.want + `,"other":1}`
		if tt.want == "" {
			want = `{"other":1}`
		}
		if got, _, err := m.Apply([]byte(doc)); err != nil || string(got) != want {
			t.Errorf("%s: input %s, %v; want %s", tt.name, got, err, want)
		}
	}
}

func advisedInputOf(tool, args string) *Input {
	in := advisedInput("reader", tool, "")
	in.Arguments = []byte(args)
	return in
}

// What a rule was to erase and cannot be read is an error: then nothing is recorded.
func TestAMaskThatCannotBeReadIsAnError(t *testing.T) {
	for rule, want := range map[string]string{
		`mask contains 7`:                                                     "system.log.mask holds something that is neither a text nor an object",
		`mask contains "password"`:                                            "system.log.mask: a path is /input or below it",
		`mask contains "/result/x"`:                                           "system.log.mask: a path is /input or below it",
		`mask contains {"op": "erase", "path": "/input"}`:                     `system.log.mask: an object has op "remove", or op "upsert" with a value, and a path`,
		`mask contains "/input" if to_number(input.input.arguments.text) > 1`: "system.log.mask: evaluate policy: builtin error in to_number at log.rego:3",
	} {
		g, err := load(map[string]string{"authz.rego": anyAllow, "log.rego": "package system.log\n\n" + rule + "\n"})
		if err != nil {
			t.Fatal(err)
		}
		_, err = g.Erasure(t.Context(), advisedInputOf("write", `{"text":"hunter2"}`))
		if err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", rule, err, want)
		}
	}
}

func TestAPackageSystemLogThatErasesNothingDoesNotLoad(t *testing.T) {
	for src, want := range map[string]string{
		"masks contains \"/input\"\n":                             "no rule `mask` in package system.log: nothing would be erased",
		"mask := [\"/input\"]\n":                                  "log.rego:3: `mask` must be a set: mask contains \"/input/arguments/password\"\n\tmask := [\"/input\"]",
		"mask contains \"/input\"\n\ndrop if input.x == 1\n":      "log.rego:5: no decision is left out of the record, so `drop` would mean nothing; what must not be in it is for `mask`",
		"mask contains \"/input\" if http.send({\"url\": \"x\"})": "log.rego:3: undefined function http.send; a policy reaches no network, environment or randomness; keep what it needs in data\n\tmask contains \"/input\" if http.send({\"url\": \"x\"})",
	} {
		_, err := load(map[string]string{"authz.rego": anyAllow, "log.rego": "package system.log\n\n" + src})
		if err == nil || err.Error() != want {
			t.Errorf("%s\n%v\nwant %s", src, err, want)
		}
	}
}

// The rules of system.log have no part in decisions: neither in what is cached, nor in what is
// checked against the input of policies.
func TestMaskHasNoPartInDecisions(t *testing.T) {
	g, err := load(map[string]string{"authz.rego": anyAllow, "log.rego": "package system.log\n\nmask contains \"/input/arguments\" if time.now_ns() > 0\n",
		"log_test.rego": "package system.log_test\n\nimport data.system.log\n\ntest_mask if log.mask == {\"/input/arguments\"} with input as {\"input\": {}}\n"})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string(nil), g.Notes()); diff != "" {
		t.Errorf("notes (-want +got):\n%s", diff)
	}
	for _, cached := range []bool{false, true} {
		if d, err := g.Decide(t.Context(), advisedInputOf("write", `{}`)); err != nil || d.Cached != cached {
			t.Errorf("decision %+v, %v; want cached %v", d, err, cached)
		}
	}
}
