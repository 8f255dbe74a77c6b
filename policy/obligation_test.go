package policy

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
)

// What the gateway cannot meet word for word refuses, and says what would have been right.
func TestObligationsAreMetAsWrittenOrRefuse(t *testing.T) {
	const (
		calls   = `the obligation "max_calls" is malformed; write {"type": "max_calls", "n": 5, "per": "grant" or "tool"}`
		redact  = `the obligation "redact" is malformed; write {"type": "redact", "what": "secrets", "hidden" or "links"}, for secrets with "unscanned": "refuse" or "pass"`
		refuse  = `the obligation "refuse" is malformed; write {"type": "refuse", "what": "secrets", "hidden" or "links", "in": "result" or "arguments"}, for secrets with "unscanned": "refuse" or "pass"`
		bytes   = `the obligation "max_bytes" is malformed; write {"type": "max_bytes", "n": 4096}, or of arguments {"type": "max_bytes", "n": 4096, "of": "arguments", "per": "call", "grant" or "tool"}`
		repeats = `the obligation "max_repeats" is malformed; write {"type": "max_repeats", "n": 3, "within": "10m"}`
		mask    = `the obligation "mask" is malformed; write {"type": "mask", "pointer": "/rows/*/email"}`
		by      = `the obligation "require_approval" is malformed; write {"type": "require_approval", "by": "release-manager"}`
		label   = `the obligation "label" is malformed; write {"type": "label", "add": ["source:private"]}`
	)
	for _, tt := range []struct{ raw, want string }{
		{`{"type":"record_arguments"}`, ""},
		{`{"type":"record_arguments","only":["path"]}`, `the obligation "record_arguments" is malformed; write {"type": "record_arguments"}`},
		{`{"type":"require_proof"}`, ""},
		{`{"type":"require_proof","kind":"mtls"}`, `the obligation "require_proof" is malformed; write {"type": "require_proof"}`},
		{`{"type":"max_calls","n":5,"per":"grant"}`, ""},
		{`{"type":"max_calls","n":1,"per":"tool"}`, ""},
		{`{"type":"max_calls","n":0,"per":"tool"}`, calls},
		{`{"type":"max_calls","n":-1,"per":"tool"}`, calls},
		{`{"type":"max_calls","n":1.5,"per":"tool"}`, calls},
		{`{"type":"max_calls","n":"5","per":"tool"}`, calls},
		{`{"type":"max_calls","n":9223372036854775808,"per":"tool"}`, calls},
		{`{"type":"max_calls","n":5}`, calls},
		{`{"type":"max_calls","per":"tool"}`, calls},
		{`{"type":"max_calls","n":5,"per":"role"}`, calls},
		{`{"type":"max_calls","n":5,"per":"tool","window":"1h"}`, calls},
		{`{"type":"label","add":["source:private","sink:external"]}`, ""},
		{`{"type":"label","add":[]}`, label},
		{`{"type":"label"}`, label},
		{`{"type":"label","add":"source:private"}`, label},
		{`{"type":"label","add":[7]}`, label},
		{`{"type":"label","add":[""]}`, label},
		{`{"type":"label","add":["two words"]}`, label},
		{`{"type":"label","add":["a\u0000b"]}`, label},
		{`{"type":"label","add":["` + strings.Repeat("x", 129) + `"]}`, label},
		{`{"type":"label","add":["` + strings.Repeat("x", 128) + `"]}`, ""},
		{`{"type":"label","add":["x"` + strings.Repeat(`,"x"`, 15) + `]}`, ""},
		{`{"type":"label","add":["x"` + strings.Repeat(`,"x"`, 16) + `]}`, label},
		{`{"type":"label","add":["x"],"remove":["y"]}`, label},
		{`{"type":"redact","what":"secrets"}`, ""},
		{`{"type":"redact","what":"secrets","unscanned":"pass"}`, ""},
		{`{"type":"redact","what":"links","unscanned":"pass"}`, redact},
		{`{"type":"redact","what":"names"}`, redact},
		{`{"type":"redact","what":"secrets","in":"arguments"}`, redact},
		{`{"type":"redact","what":"secrets","unscanned":"maybe"}`, redact},
		{`{"type":"refuse","what":"hidden"}`, ""},
		{`{"type":"refuse","what":"secrets","in":"arguments"}`, ""},
		{`{"type":"refuse","what":"secrets","in":"params"}`, refuse},
		{`{"type":"refuse"}`, refuse},
		{`{"type":"mask","pointer":"/rows/*/email"}`, ""},
		{`{"type":"mask","pointer":"/` + strings.Repeat("x", 1023) + `"}`, ""},
		{`{"type":"mask","pointer":"/` + strings.Repeat("x", 1024) + `"}`, mask},
		{`{"type":"mask","pointer":"rows"}`, mask},
		{`{"type":"max_bytes","n":10}`, ""},
		{`{"type":"max_bytes","n":10,"of":"arguments","per":"grant"}`, ""},
		{`{"type":"max_bytes","n":10,"of":"result","per":"grant"}`, bytes},
		{`{"type":"max_bytes","n":0}`, bytes},
		{`{"type":"max_bytes","n":10,"of":"request"}`, bytes},
		{`{"type":"max_bytes","n":10,"of":"arguments","per":"role"}`, bytes},
		{`{"type":"max_repeats","n":3}`, ""},
		{`{"type":"max_repeats","n":3,"within":"10m"}`, ""},
		{`{"type":"max_repeats","n":3,"within":"soon"}`, repeats},
		{`{"type":"max_repeats","n":1,"within":"1s"}`, ""},
		{`{"type":"max_repeats","n":1,"within":"999ms"}`, repeats},
		{`{"type":"max_repeats","n":1,"within":"24h"}`, ""},
		{`{"type":"max_repeats","n":1,"within":"24h1s"}`, repeats},
		{`{"type":"max_repeats","n":0}`, repeats},
		{`{"type":"max_repeats","within":"10m"}`, repeats},
		{`{"type":"require_approval","by":"release-manager"}`, ""},
		{`{"type":"require_approval","by":"` + strings.Repeat("x", 128) + `"}`, ""},
		{`{"type":"require_approval","by":"` + strings.Repeat("x", 129) + `"}`, by},
		{`{"type":"require_approval"}`, by},
		{`{"type":"encrypt","what":"secrets"}`, `the obligation "encrypt" cannot be met by this version`},
		{`{"type":"MAX_CALLS","n":5,"per":"tool"}`, `the obligation "MAX_CALLS" cannot be met by this version`},
	} {
		var named struct{ Type string }
		if err := json.Unmarshal([]byte(tt.raw), &named); err != nil {
			t.Fatal(err)
		}
		o := Obligation{Type: named.Type, Raw: json.RawMessage(tt.raw)}
		got := ""
		if err := o.Check(); err != nil {
			got = err.Error()
		}
		if got != tt.want {
			t.Errorf("Check(%s) = %q; want %q", tt.raw, got, tt.want)
		}
		if met := !strings.Contains(tt.want, "cannot be met"); Meets(o.Type) != met {
			t.Errorf("Meets(%q) = %v; want %v", o.Type, !met, met)
		}
	}
	if err := (Obligation{}).Check(); err == nil {
		t.Error("the zero obligation can be met")
	}
}

// The member unscanned says what becomes of what could not be searched, and in where it is looked for.
func TestARefusalSaysWhereAndWhetherItPasses(t *testing.T) {
	for raw, want := range map[string][2]bool{
		`{"type":"refuse","what":"secrets"}`:                                     {false, false},
		`{"type":"refuse","what":"secrets","in":"result","unscanned":"refuse"}`:  {false, false},
		`{"type":"refuse","what":"secrets","in":"arguments"}`:                    {true, false},
		`{"type":"refuse","what":"secrets","in":"arguments","unscanned":"pass"}`: {true, true},
	} {
		w, in, pass, err := Obligation{Type: Refuse, Raw: json.RawMessage(raw)}.Refuse()
		if got := [2]bool{in, pass}; w != Secrets || got != want || err != nil {
			t.Errorf("Refuse() of %s = %v, in arguments and passes %v, %v; want %v", raw, w, got, err, want)
		}
	}
}

func TestObligationsSayWhatTheyAskFor(t *testing.T) {
	g := mustLoad(t, `allow if true

obligations contains {"type": "max_calls", "n": data.limit * 2, "per": "tool"}

obligations contains {"type": "label", "add": [l | some l in input.tool.labels]}
`+"\n")
	in := call(`{}`)
	in.Tool.Labels = []string{"source:private"}
	d, err := g.Decide(t.Context(), in)
	if err != nil || len(d.Obligations) != 1 {
		t.Fatalf("Decide = %+v, %v; want the one obligation that is defined", d, err)
	}
	if labels, err := d.Obligations[0].Labels(); err != nil || !slices.Equal(labels, in.Tool.Labels) {
		t.Errorf("Labels() = %q, %v", labels, err)
	}
	if _, _, err := d.Obligations[0].MaxCalls(); err == nil {
		t.Error("an obligation label says how many calls there may be")
	}
	o := Obligation{Type: MaxCalls, Raw: json.RawMessage(`{"n":7,"per":"tool","type":"max_calls"}`)}
	if n, perTool, err := o.MaxCalls(); n != 7 || !perTool || err != nil {
		t.Errorf("MaxCalls() = %d, %v, %v; want 7 per tool", n, perTool, err)
	}
	if _, err := o.Labels(); err == nil {
		t.Error("an obligation max_calls says labels")
	}
}

// A malformed obligation that the text shows is told when the policy is loaded.
func TestObligationsThatCannotBeMetAreNoted(t *testing.T) {
	g := mustLoad(t, `allow if true

obligations contains {"type": "record_arguments"} if true

obligations contains {"type": "encrypt", "what": "secrets"} if true

obligations contains {"type": "max_calls", "n": 5} if true

obligations contains {"type": "max_calls", "n": data.limit, "per": "grant"} if true

obligations contains {"type": "label", "add": ["source:private"]} if true
`)
	want := []string{
		`authz.rego:7: the obligation "encrypt" cannot be met by this version: every call that carries it is refused`,
		`authz.rego:9: the obligation "max_calls" is malformed; write {"type": "max_calls", "n": 5, "per": "grant" or "tool"}: every call that carries it is refused`,
	}
	if got := g.Notes(); !slices.Equal(got, want) {
		t.Errorf("notes %q; want %q", got, want)
	}
}
