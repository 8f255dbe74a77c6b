package policy

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/open-policy-agent/opa/v1/ast"
)

func fullInput() *Input {
	left := int64(3)
	return &Input{
		Subject: &Subject{ID: "dev", Issuer: "https://i", Client: "c", Roles: []string{"reader", "b"}, Actors: []string{"a"},
			Claims: map[string]any{"n": json.Number("9007199254740993"), "team": "x"}, Proof: "dpop",
			Measured: &Measured{Digest: "sha256:1", Approved: true, Changed: true}},
		Grant:  &Grant{ID: "g", Task: "t", Expires: time.Date(2026, 1, 2, 3, 4, 5, 6, time.UTC), CallsLeft: &left},
		Action: "tools/call", Server: "files", ServerLabels: []string{"source:private"},
		Tool: &Tool{Name: "read_file", Title: "Read", Annotations: []byte(`{"readOnlyHint":true}`), Labels: []string{"l"},
			Digest: "sha256:2", Pinned: true, Reviewed: true},
		Resource: &Item{URI: "file:///a", Labels: []string{"r"}}, Prompt: &Item{Name: "p", Labels: []string{"q"}},
		Arguments: []byte(`{"path":"/srv/<a>","n":1.0}`), Flow: []string{"source:private"},
		Request: Request{ID: "01", Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC), Era: "modern", Method: "tools/call"},
		Result:  []byte(`{"content":[]}`),
	}
}

func everything() *reads {
	return &reads{all: true, allArgs: true, args: map[string]bool{}, parts: map[string]bool{"subject": true, "grant": true, "flow": true}}
}

// A document read back is the same question: the policy sees the same value.
func TestDocumentIsWhatPoliciesSee(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	for i := range 2000 {
		in := fullInput()
		drop := func(f func()) {
			if i > 0 && r.IntN(3) == 0 {
				f()
			}
		}
		drop(func() { in.Subject.Claims = nil })
		drop(func() { in.Subject.Measured = nil })
		drop(func() { in.Subject.Roles = nil })
		drop(func() { in.Subject = nil })
		drop(func() { in.Grant.CallsLeft = nil })
		drop(func() { in.Grant = nil })
		drop(func() { in.Tool.Annotations = nil })
		drop(func() { in.Tool = nil })
		drop(func() { in.Resource = nil })
		drop(func() { in.Prompt = nil })
		drop(func() { in.Arguments = nil })
		drop(func() { in.Flow = nil })
		drop(func() { in.Result = nil })
		raw, err := in.Document()
		if err != nil {
			t.Fatal(err)
		}
		back, err := ReadInput(raw)
		if err != nil {
			t.Fatalf("%s: %v", raw, err)
		}
		want, err := everything().value(in, true)
		if err != nil {
			t.Fatal(err)
		}
		got, err := everything().value(back, true)
		if err != nil {
			t.Fatal(err)
		}
		if want.Compare(got) != 0 {
			t.Fatalf("document %s\nread back, a policy sees\n%v\nand saw\n%v", raw, got, want)
		}
		again, err := back.Document()
		if err != nil || string(again) != string(raw) {
			t.Fatalf("written again: %s, %v\nwant %s", again, err, raw)
		}
		if i > 0 {
			continue
		}
		parsed, err := ast.ValueFromReader(strings.NewReader(string(raw)))
		if err != nil {
			t.Fatal(err)
		}
		if d := cmp.Diff(want.String(), parsed.String()); d != "" {
			t.Errorf("what a policy sees is not what the document says (-seen +document):\n%s", d)
		}
	}
}

func TestReadInputSaysWhatIsWrong(t *testing.T) {
	for _, tt := range []struct{ name, raw, want string }{
		{"unknown key", `{"subjet":{}}`, "read input: there is no input.subjet; did you mean subject?"},
		{"unknown key below", `{"subject":{"rols":[]}}`, "read input: there is no input.subject.rols; did you mean roles?"},
		{"unknown key, nothing near", `{"request":{"colour":1}}`, "read input: there is no input.request.colour; there are era, id, method, time"},
		{"another type", `{"subject":{"roles":"reader"}}`, "read input: input.subject.roles cannot be this string"},
		{"a time that is none", `{"request":{"time":"soon"}}`, "read input: input.request.time"},
		{"twice", `{"action":"a","action":"b"}`, `duplicate`},
		{"case", `{"Action":"a"}`, "read input: there is no input.Action; did you mean action?"},
		{"arguments", `{"arguments":[1]}`, "input.arguments is not an object"},
		{"annotations", `{"tool":{"annotations":3}}`, "input.tool.annotations is not an object"},
		{"claims", `{"subject":{"claims":"x"}}`, "input.subject.claims is not an object"},
		{"no object", `[]`, "read input: input cannot be an array"},
		{"nothing", ``, "EOF"},
		{"data behind", `{} {}`, "read input: "},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in, err := ReadInput([]byte(tt.raw))
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("ReadInput(%s) = %+v, %v; want an error with %q", tt.raw, in, err, tt.want)
			}
		})
	}
}
