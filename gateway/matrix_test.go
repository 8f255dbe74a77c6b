package gateway_test

import (
	"context"
	"flag"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport/gateway"
	"sallyport/gateway/upstream"
	"sallyport/identity"
)

var update = flag.Bool("update", false, "write the fail-closed matrix into docs/fail-closed.md")

// ways is every way in which a dependency can fail to do its work.
var ways = []string{"error", "time-out", "panic", "empty", "stale", "slow", "partial", "wrong type", "restart"}

// cell breaks one dependency in one way.
type cell struct {
	// apply breaks it and returns what lifts the fault. Nil where the cell makes no sense.
	apply func(h *house) (lift func())
	why   string // why there is no apply
	want  string // the refusal: HTTP status, JSON-RPC code or "result", and code
	sent  bool   // the upstream is what failed, so exactly one call reaches it
}

func none(why string) cell { return cell{why: why} }

// row is one dependency with a cell for each way.
type row struct {
	name  string
	make  func(t *testing.T) *house // default newHouse
	cells map[string]cell
}

// parts says which dependency each part of the gateway is. What begins with "-" is none, and says
// why. TestMatrixHasEveryDependency holds it against the types themselves.
var parts = map[reflect.Type]map[string]string{
	reflect.TypeFor[gateway.Options](): {
		"Recorder": "audit", "Grants": "grant store", "Now": "clock",
		"Approvals": "-nil or not, it can only refuse what the policy made subject to it",
		"StateKey":  "-a value, checked by New", "MostInput": "-a number",
		"Inputs": "-adds to the record, which is the dependency", "Observer": "-is told and not asked", "Logger": "-is told and not asked",
	},
	reflect.TypeFor[gateway.Snapshot](): {
		"Verifier": "keys", "Policy": "policy", "Servers": "catalogue", "Door": "-judges what comes back, when the call is over",
		"Shadow": "-changes no decision", "Secrets": "-narrows what a policy allowed; a value made at load", "Canaries": "-a setting",
		"Rules": "policy data", "Sole": "-a setting", "PublicURL": "-a setting", "Hosts": "-a setting", "Origins": "-a setting",
		"Limits": "budget", "RecordOnly": "-a setting", "RequireProof": "-a setting", "RequireProofFor": "-a setting",
		"Approved": "-nil approves nothing; its answer is input of the policy",
	},
	reflect.TypeFor[gateway.Server](): {
		"Name": "-a setting", "Upstream": "upstream", "Link": "upstream", "Pins": "pins",
	},
	reflect.TypeFor[identity.VerifierConfig](): {
		"Issuer": "-a setting", "Audience": "-a setting", "Keys": "keys", "PublicURL": "-a setting",
		"Proofs": "-nil refuses bound tokens", "CacheSize": "-a number", "Now": "clock",
	},
	reflect.TypeFor[upstream.HTTPConfig](): {
		"URL": "upstream", "Headers": "-a setting", "Credential": "credential source", "CredentialHeader": "-a setting", "CredentialPrefix": "-a setting",
		"TLS": "-a setting", "ConnectTimeout": "-a number", "IdleTimeout": "-a number", "MaxConns": "-a number", "MaxStreams": "-a number", "MaxHeaderBytes": "-a number",
	},
	reflect.TypeFor[upstream.StdioConfig](): {
		"Name": "-a setting", "Start": "sandbox", "Instance": "-a setting", "Env": "credential source", "Forget": "-is told and not asked",
		"Secrets": "-judges what comes back", "Changed": "-is told and not asked", "CallTimeout": "-a number", "StartTimeout": "-a number",
		"Idle": "-a number", "MaxMessage": "-a number", "MaxProcesses": "-a number", "Log": "-is told and not asked",
	},
}

// inside are dependencies that no part stands for alone.
var inside = []string{"schema"} // comes with the catalogue

func TestMatrixHasEveryDependency(t *testing.T) {
	named := slices.Clone(inside)
	for typ, known := range parts {
		for _, f := range reflect.VisibleFields(typ) {
			if !f.IsExported() {
				continue
			}
			dep := known[f.Name]
			switch {
			case dep == "" || dep == "-":
				t.Errorf("%s.%s is in no row of the fail-closed matrix; name its dependency in parts (matrix_test.go) and write a row of cells for a new one, or say after a - why it is none", typ, f.Name)
			case dep[0] != '-':
				named = append(named, dep)
			}
		}
		for name := range known {
			if _, ok := typ.FieldByName(name); !ok {
				t.Errorf("parts names %s.%s, which is gone; take it out", typ, name)
			}
		}
	}
	rows := rows()
	for _, dep := range named {
		if !slices.ContainsFunc(rows, func(r row) bool { return r.name == dep }) {
			t.Errorf("no row for the dependency %q: add it to rows() with a cell for each of %s", dep, strings.Join(ways, ", "))
		}
	}
	for _, r := range rows {
		if !slices.Contains(named, r.name) {
			t.Errorf("the row %q stands for no part; name it in parts", r.name)
		}
		for way := range r.cells {
			if !slices.Contains(ways, way) {
				t.Errorf("%s: %q is no way to fail", r.name, way)
			}
		}
		for _, way := range ways {
			if c := r.cells[way]; (c.apply == nil) == (c.why == "") {
				t.Errorf("%s × %s: there must be either a fault or the reason why there is none", r.name, way)
			}
		}
	}
}

// TestFailClosedMatrix breaks each dependency in each way under a call that is otherwise allowed.
// Not one byte may reach the server, the refusal must be the right one, and once the fault is
// lifted the same call is allowed.
func TestFailClosedMatrix(t *testing.T) {
	got := map[string]string{}
	for _, r := range rows() {
		for _, way := range ways {
			c := r.cells[way]
			if c.apply == nil {
				got[r.name+way] = "– " + c.why
				continue
			}
			got[r.name+way] = "`" + c.want + "`"
			t.Run(r.name+"/"+way, func(t *testing.T) {
				if r.make == nil {
					r.make = newHouse
				}
				h := r.make(t)
				if a := h.call(); a != "allowed" {
					t.Fatalf("before anything is broken: %s", a)
				}
				lift := c.apply(h)
				before, calls := h.bytes.Load(), h.calls.Load()
				if a := h.call(); a != c.want {
					t.Errorf("refused with %s; want %s\n%s", a, c.want, h.said)
				}
				switch n := h.calls.Load() - calls; {
				case c.sent && n != 1:
					t.Errorf("%d calls reached the server; want 1", n)
				case c.want == "allowed": // only late
					if !h.faults[h.slow()].seen || h.faults[h.slow()].at != before {
						t.Error("the server had bytes before the part had answered")
					}
				case !c.sent && h.bytes.Load() != before:
					t.Errorf("%d bytes reached the server; want none", h.bytes.Load()-before)
				}
				if c.sent && !h.outcome() {
					t.Error("no outcome of the call that was sent is in the record")
				}
				lift()
				if a := h.call(); a != "allowed" {
					t.Errorf("after the fault: %s; want allowed\n%s", a, h.said)
				}
			})
		}
	}
	page := matrixPage(got)
	const file = "../docs/fail-closed.md"
	if *update {
		if err := os.WriteFile(file, []byte(page), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if text, err := os.ReadFile(file); err != nil || string(text) != page {
		t.Errorf("docs/fail-closed.md is not what the test shows; run make docs (%v)", err)
	}
}

func matrixPage(got map[string]string) string {
	var b strings.Builder
	b.WriteString("# What happens when a part fails\n\nGenerated from `TestFailClosedMatrix`, which breaks each part in each way under a call that is otherwise\n" +
		"allowed: no byte reaches the server (of the upstream itself: exactly one call, and its outcome is in\nthe record), the client gets the refusal below, and the same call is allowed once the fault is lifted.\n" +
		"A slow part is waited for: the call is `allowed` late, and no byte leaves before the part has answered.\nA refusal is the HTTP status, the JSON-RPC code or `result` (a tool result that is an error), and the\ncode in the record. `TestMatrixHasEveryDependency` refuses a new part without its cells. \"–\" stands\nbefore the reason why a part cannot fail in that way.\n")
	for _, r := range rows() {
		fmt.Fprintf(&b, "\n## %s\n\n| way | refusal |\n|---|---|\n", r.name)
		for _, way := range ways {
			fmt.Fprintf(&b, "| %s | %s |\n", way, got[r.name+way])
		}
	}
	return b.String()
}

// fault is how a part fails at the moment; the empty one does not.
type fault struct {
	way   string
	leave context.CancelFunc // the client goes
	sent  func() int64       // bytes that the server has had
	at    int64              // as many, when a slow part answered
	seen  bool
}

// do fails in the way of an error, a time-out, a panic or slowness: the right answer late, when
// the client has gone; what it asked for is done all the same (a lost connection cancels nothing).
func (f *fault) do() error {
	switch f.way {
	case "error", "restart":
		return fmt.Errorf("injected: %s", f.way)
	case "time-out":
		f.leave()
		return context.DeadlineExceeded
	case "panic":
		panic("injected")
	case "slow":
		f.leave()
		if !f.seen {
			f.seen, f.at = true, f.sent()
		}
	}
	return nil
}
