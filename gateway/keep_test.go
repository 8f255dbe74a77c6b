package gateway

import (
	"encoding/json"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/gateway/audit"
	"sallyport/gateway/guard/secrets"
	"sallyport/policy"
)

// openly keeps inputs where a test can see them, and says that everybody can.
type openly struct{ readable bool }

func (openly) Keep(r *audit.Record, doc []byte) { r.Input = doc }
func (o openly) Readable() bool                 { return o.readable }

// keeping is a fixture whose gateway keeps inputs.
func keeping(t testing.TB, keep Inputs, most int) *fixture {
	t.Helper()
	f := newFixture(t)
	g, err := New(Options{Recorder: f.rec, Grants: f.issuer.Grants, StateKey: make([]byte, 32), Inputs: keep, MostInput: most})
	if err != nil {
		t.Fatal(err)
	}
	f.g, f.handler = g, g
	f.swap()
	return f
}

// of returns the records of a phase.
func (f *fakeRecorder) of(phase string) (out []audit.Record) {
	for _, r := range f.all() {
		if r.Phase == phase {
			out = append(out, r)
		}
	}
	return out
}

// What is kept can be asked again, and answers as it did.
func TestKeptInputIsDecidedAgain(t *testing.T) {
	f := keeping(t, openly{}, 0)
	f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`))
	f.post(f.reader, legacyCall("read_file", `{"path":"/etc/passwd"}`))
	f.post(f.reader, legacyCall("read_file", `{"path":"/srv/.aws"}`))
	records := append(f.rec.of(audit.PhaseDecision), f.rec.of(audit.PhaseRefusal)...)
	if len(records) != 3 {
		t.Fatalf("%d records; want a decision and two refusals", len(records))
	}
	gen := mustPolicy(t, testPolicy)
	for _, r := range records {
		if r.PolicyAllow == nil || !r.Replayable || r.Input == nil || r.InputMissing != "" {
			t.Fatalf("record %+v; want a replayable one", r)
		}
		in, err := policy.ReadInput(r.Input)
		if err != nil {
			t.Fatal(err)
		}
		d, err := gen.Decide(t.Context(), in)
		if err != nil || d.Allow != *r.PolicyAllow || !reflect.DeepEqual(d.Rules, r.Rules) || in.Request.ID != r.ID {
			t.Errorf("again: allow %v, rules %q, %v; recorded %v, %q", d.Allow, d.Rules, err, *r.PolicyAllow, r.Rules)
		}
	}
	for _, r := range f.rec.of(audit.PhaseOutcome) {
		if r.Input != nil || r.PolicyAllow != nil || r.Replayable {
			t.Errorf("the outcome says again what was asked: %+v", r)
		}
	}
}

// A refusal says who refused: the policy, or something behind it.
func TestPolicyAllowIsThePolicysOwnWord(t *testing.T) {
	yes, no := "true", "false"
	for _, tt := range []struct {
		name, want string
		do         func(f *fixture)
	}{
		{"allowed", yes, func(f *fixture) { f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`)) }},
		{"denied", no, func(f *fixture) { f.post(f.reader, legacyCall("read_file", `{"path":"/srv/.aws"}`)) }},
		{"hidden", no, func(f *fixture) { f.post(f.reader, legacyCall("write_file", `{}`)) }},
		{"an obligation that cannot be met", yes, func(f *fixture) {
			f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if true\n\nobligations contains {\"type\": \"encrypt\"}\n")
			f.swap()
			f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`))
		}},
		{"a policy that fails", no, func(f *fixture) {
			f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if to_number(input.arguments.path) > 1\n")
			f.swap()
			f.post(f.reader, legacyCall("read_file", `{"path":"/srv/a"}`))
		}},
		{"arguments of the wrong type", "absent", func(f *fixture) { f.post(f.reader, legacyCall("read_file", `{"path":1}`)) }},
		{"a list", "absent", func(f *fixture) { f.post(f.reader, listTools) }},
	} {
		t.Run(tt.name, func(t *testing.T) {
			f := keeping(t, openly{}, 0)
			tt.do(f)
			got := "absent"
			for _, r := range f.rec.all() {
				if r.PolicyAllow != nil {
					raw, _ := json.Marshal(*r.PolicyAllow)
					got = string(raw)
				}
			}
			if got != tt.want {
				t.Errorf("policy_allow %s; want %s: %+v", got, tt.want, f.rec.all())
			}
		})
	}
}

func TestALargeInputIsNotKeptAndSaysSo(t *testing.T) {
	f := keeping(t, openly{}, 600)
	f.snap.Policy = mustPolicy(t, "package mcp.authz\n\nallow if true\n")
	f.swap()
	for size, want := range map[int]string{
		500: "it has ", // the whole of it
		800: "its arguments have 811 bytes, and at most 600 of an input are kept (audit.inputBytes)",
	} {
		f.rec.records = nil
		if got := toolText(f.post(f.reader, legacyCall("ask", `{"text":"`+strings.Repeat("x", size)+`"}`)).Body.String()); got != "ok" {
			t.Fatalf("the call: %s; want ok", got)
		}
		r := f.rec.of(audit.PhaseDecision)[0]
		if r.Input != nil || r.Replayable || !strings.HasPrefix(r.InputMissing, want) {
			t.Errorf("%d bytes: input %d bytes, replayable %v, %q; want none, %q", size, len(r.Input), r.Replayable, r.InputMissing, want)
		}
	}
}

// A rule that is not enforced is in the record of the call, and the call is made.
func TestARuleThatIsNotEnforcedIsRecordedAndRefusesNothing(t *testing.T) {
	f := newFixture(t)
	f.snap.Policy = mustPolicy(t, testPolicy+`
# METADATA
# labels: {rule: no-tmp, enforce: false}
deny contains "nothing from /tmp" if startswith(input.arguments.path, "/tmp/")

# METADATA
# labels: {rule: approve-srv, enforce: false}
obligations contains {"type": "require_approval", "by": "boss"} if input.arguments.path == "/srv/b"

# METADATA
# labels: {rule: readers-write, enforce: false}
allow if {
	input.tool.name == "write_file"
	"reader" in input.subject.roles
}
`)
	f.swap()
	for _, tt := range []struct{ tool, path, answer, decision, advisory string }{
		{"read_file", "/srv/a", "ok", "allow", "null"},
		{"read_file", "/tmp/a", "ok", "would_deny", `{"allow":false,"reasons":["nothing from /tmp"],"obligations":[],"rules":["no-tmp"]}`},
		{"read_file", "/srv/b", "ok", "allow", `{"allow":true,"reasons":null,"obligations":[{"by":"boss","type":"require_approval"}],"rules":["approve-srv"]}`},
		{"write_file", "/srv/a", "-32602 Unknown tool: write_file", "deny", `{"allow":true,"reasons":null,"obligations":[],"rules":["readers-write"]}`},
	} {
		f.rec.records = nil
		if got := toolText(f.post(f.reader, legacyCall(tt.tool, `{"path":"`+tt.path+`"}`)).Body.String()); got != tt.answer {
			t.Errorf("%s %s: %s; want %s", tt.tool, tt.path, got, tt.answer)
		}
		r := f.rec.all()[0]
		if raw, _ := json.Marshal(r.Advisory); r.Decision != tt.decision || string(raw) != tt.advisory || len(r.Reasons) > 0 && tt.decision != "deny" {
			t.Errorf("%s %s: %s, reasons %q, advisory %s; want %s, %s", tt.tool, tt.path, r.Decision, r.Reasons, raw, tt.decision, tt.advisory)
		}
	}
}

// What system.log.mask erases is neither in a kept input nor in kept arguments; where it fails, nothing
// is kept, and the call goes on.
func TestMaskedInputIsNotRecorded(t *testing.T) {
	const authz = "package mcp.authz\n\nallow if true\n\nobligations contains {\"type\": \"record_arguments\"}\n"
	for _, tt := range []struct{ name, mask, erased, missing, arguments string }{
		{"erased", `mask contains "/input/arguments/pin"`, "/input/arguments/pin", "", `{"text":"t"}`},
		{"nothing to erase", `mask contains "/input/arguments/other"`, "", "", `{"text":"t","pin":"hunter2"}`},
		{"all of it", `mask contains "/input"`, "/input", "system.log.mask erases all of it", `"[not kept: system.log.mask erases all of it]"`},
		{"it fails", `mask contains "/input" if to_number(input.input.arguments.pin) > 1`, "", "system.log.mask: evaluate policy: builtin error in to_number at log.rego:3",
			`"[not kept: system.log.mask: evaluate policy: builtin error in to_number at log.rego:3]"`},
	} {
		for _, readable := range []bool{true, false} {
			f := keeping(t, openly{readable}, 0)
			f.snap.Policy = mustPolicies(t, map[string]string{"authz.rego": authz, "log.rego": "package system.log\n\n" + tt.mask + "\n"})
			f.swap()
			if got := toolText(f.post(f.reader, legacyCall("ask", `{"text":"t","pin":"hunter2"}`)).Body.String()); got != "ok" {
				t.Errorf("%s: the call: %s; want ok", tt.name, got)
			}
			r := f.rec.of(audit.PhaseDecision)[0]
			whole := tt.erased == "" && tt.missing == ""
			if strings.Join(r.InputErased, " ") != tt.erased || r.InputMissing != tt.missing || string(r.Arguments) != tt.arguments ||
				r.Replayable != whole || (r.Input != nil) != (tt.missing == "") || strings.Contains(string(r.Input), "hunter2") != whole {
				t.Errorf("%s: erased %q, missing %q, arguments %s, replayable %v, input %s", tt.name, r.InputErased, r.InputMissing, r.Arguments, r.Replayable, r.Input)
			}
		}
	}
}

// In clear, the record holds no secret that is found; sealed, the input is whole.
func TestAClearInputHoldsNoSecret(t *testing.T) {
	const key = "ghp_" + "a1B2c3D4e5F6g7H8i9J0k1L2m3N4o5P6q7R8"
	scanner, err := secrets.New(secrets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, readable := range []bool{true, false} {
		f := keeping(t, openly{readable}, 0)
		f.snap.Secrets = scanner
		f.server.Upstream = leaky{f.up}
		f.swap()
		f.post(f.reader, legacyCall("ask", `{"a":"`+key+`","b":"`+ownSecret+`"}`))
		r := f.rec.of(audit.PhaseDecision)[0]
		found := strings.Contains(string(r.Input), key) || strings.Contains(string(r.Input), ownSecret)
		if found == readable || r.Replayable == readable || readable != slices.Equal(r.InputErased, []string{"2 secrets"}) {
			t.Errorf("readable %v: replayable %v, erased %q, input %s", readable, r.Replayable, r.InputErased, r.Input)
		}
	}
}
