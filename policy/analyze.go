package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"github.com/open-policy-agent/opa/v1/ast"
	"github.com/open-policy-agent/opa/v1/dependencies"

	"sallyport/internal/strictjson"
)

// reads is what the policies look at, found by analysis when they are loaded.
type reads struct {
	args    map[string]bool // top-level arguments read by name
	allArgs bool            // the arguments are read as a whole
	claims  bool            // subject.claims, or subject as a whole
	grant   map[string]bool // members of the grant that are read by name
	request bool            // request.id or request.time, which differ each time
	all     bool            // input as a whole
	impure  string          // a built-in whose answer is not decided by its operands
	notes   []string
}

// cacheable reports whether a decision depends on nothing but the paths in its key.
func (r *reads) cacheable() bool { return r.impure == "" && !r.request && !r.all }

// wallClock built-ins read the clock although OPA does not mark them so.
var wallClock = map[string]bool{
	"crypto.x509.parse_and_verify_certificates":              true,
	"crypto.x509.parse_and_verify_certificates_with_options": true,
}

func analyze(c *ast.Compiler) (reads, error) {
	r := reads{args: map[string]bool{}, grant: map[string]bool{}}
	for _, name := range []string{"allow", "deny", "obligations"} {
		ref := ast.MustParseRef("data.mcp.authz." + name)
		for _, rule := range c.GetRulesWithPrefix(ref) {
			refs, err := dependencies.Base(c, rule)
			if err != nil {
				return r, fmt.Errorf("analyse policy: %w", err)
			}
			for _, ref := range refs {
				r.add(ref, rule.Location)
			}
		}
	}
	r.unmet(c)
	r.purity(c)
	if r.impure != "" {
		r.notes = append(r.notes, "decisions are not cached: a rule calls "+r.impure)
	} else if r.request {
		r.notes = append(r.notes, "decisions are not cached: a rule reads input.request.id or input.request.time")
	}
	return r, nil
}

func (r *reads) add(ref ast.Ref, at *ast.Location) {
	if !ref.HasPrefix(ast.InputRootRef) {
		return
	}
	part := func(i int) string {
		if i >= len(ref) {
			return ""
		}
		s, ok := ref[i].Value.(ast.String)
		if !ok {
			return ""
		}
		return string(s)
	}
	switch first, second := part(1), part(2); first {
	case "":
		r.all, r.allArgs, r.claims, r.request = true, true, true, true
		r.readsAllOfGrant()
		r.notes = append(r.notes, fmt.Sprintf("a rule reads input as a whole (from %s:%d)", at.File, at.Row))
	case "arguments":
		if second == "" {
			r.allArgs = true
			r.notes = append(r.notes, fmt.Sprintf("a rule reads all of input.arguments (from %s:%d)", at.File, at.Row))
			return
		}
		r.args[second] = true
	case "grant":
		if second == "" {
			r.readsAllOfGrant()
			return
		}
		r.grant[second] = true
	case "subject":
		r.claims = r.claims || second == "" || second == "claims"
	case "request":
		r.request = r.request || second != "era" && second != "method"
	}
}

// met are the obligations that a permission can be given under in this version.
var met = map[string]bool{"record_arguments": true}

// unmet notes obligations that refuse every call they are on: unknown, misspelt, or of a later
// version.
func (r *reads) unmet(c *ast.Compiler) {
	for _, rule := range c.GetRulesWithPrefix(ast.MustParseRef("data.mcp.authz.obligations")) {
		ast.WalkTerms(rule, func(t *ast.Term) bool {
			obj, ok := t.Value.(ast.Object)
			if !ok {
				return false
			}
			if typ := obj.Get(ast.StringTerm("type")); typ != nil {
				if name, ok := typ.Value.(ast.String); ok && !met[string(name)] {
					r.notes = append(r.notes, fmt.Sprintf("%s:%d: the obligation %q cannot be met by this version: every call that carries it is refused",
						rule.Location.File, rule.Location.Row, string(name)))
				}
			}
			return false
		})
	}
}

// purity looks for a reachable built-in whose answer its operands do not decide. Every module
// counts: that is more than is reachable, never less.
func (r *reads) purity(c *ast.Compiler) {
	unsure := map[string]bool{}
	for _, b := range ast.Builtins {
		if b.IsNondeterministic() || wallClock[b.Name] {
			unsure[b.Name] = true
		}
	}
	for _, m := range c.Modules {
		ast.WalkRefs(m, func(ref ast.Ref) bool {
			if name := ref.String(); unsure[name] {
				r.impure = name
			}
			return r.impure != ""
		})
	}
}

// SubjectKey identifies what the policies can read of a subject: two subjects with the same
// key see the same lists.
func (g *Generation) SubjectKey(s *Subject) string {
	k := newKey()
	g.reads.subject(k, s)
	sum := k.sum()
	return string(sum[:])
}

// keyWriter collects fields so that no two different sequences give the same bytes: each is
// written with its length, and what is absent differs from what is empty.
type keyWriter struct{ buf []byte }

func newKey() *keyWriter { return &keyWriter{make([]byte, 0, 512)} }

func (k *keyWriter) text(s string) {
	k.number(len(s))
	k.buf = append(k.buf, s...)
}

func (k *keyWriter) bytes(b []byte) {
	k.number(len(b))
	k.buf = append(k.buf, b...)
}

func (k *keyWriter) texts(list []string) {
	k.number(len(list))
	for _, s := range list {
		k.text(s)
	}
}

func (k *keyWriter) number(n int) { k.buf = binary.AppendVarint(k.buf, int64(n)) }

func (k *keyWriter) flag(b bool) bool {
	n := 0
	if b {
		n = 1
	}
	k.number(n)
	return b
}

func (k *keyWriter) sum() [32]byte { return sha256.Sum256(k.buf) }

// subject writes everything but the claims, which only count where a policy reads them. The
// claims of a token differ each time (jti, iat), so such policies share little.
func (r *reads) subject(k *keyWriter, s *Subject) {
	if !k.flag(s != nil) {
		return
	}
	for _, t := range []string{s.ID, s.Issuer, s.Client, s.Proof} {
		k.text(t)
	}
	k.texts(s.Roles)
	k.texts(s.Actors)
	if k.flag(s.Measured != nil) {
		k.text(s.Measured.Digest)
		k.flag(s.Measured.Approved)
		k.flag(s.Measured.Changed)
	}
	if k.flag(r.claims) {
		raw, err := json.Marshal(s.Claims) // sorts the names
		k.flag(err == nil)
		k.bytes(raw)
	}
}

func (r *reads) readsAllOfGrant() {
	for _, member := range []string{"id", "task", "expires", "calls_left"} {
		r.grant[member] = true
	}
}

// grantKey writes what is read of a grant, but for how many calls are left. Every token has a grant
// of its own, so what is not read must not keep callers apart.
func (r *reads) grantKey(k *keyWriter, g *Grant) {
	if !k.flag(g != nil) {
		return
	}
	if k.flag(r.grant["id"]) {
		k.text(g.ID)
	}
	if k.flag(r.grant["task"]) {
		k.text(g.Task)
	}
	if k.flag(r.grant["expires"]) {
		k.text(g.Expires.UTC().Format(time.RFC3339Nano))
	}
}

// GrantKey identifies what a list can read of a grant: two callers with the same subject and grant
// key see the same lists.
func (g *Generation) GrantKey(grant *Grant) string {
	k := newKey()
	g.reads.grantKey(k, grant)
	sum := k.sum()
	return string(sum[:])
}

// key is the key of a decision: every path of input that a policy can read.
func (r *reads) key(in *Input) [32]byte {
	k := newKey()
	r.subject(k, in.Subject)
	r.grantKey(k, in.Grant)
	if r.grant["calls_left"] && in.Grant != nil && k.flag(in.Grant.CallsLeft != nil) {
		k.number(int(*in.Grant.CallsLeft))
	}
	for _, t := range []string{in.Action, in.Server, in.Request.Era, in.Request.Method} {
		k.text(t)
	}
	if k.flag(in.Tool != nil) {
		k.text(in.Tool.Name)
		k.text(in.Tool.Title)
		k.text(in.Tool.Digest)
		k.bytes(in.Tool.Annotations)
		k.texts(in.Tool.Labels)
		k.flag(in.Tool.Pinned)
	}
	for _, item := range []*Item{in.Resource, in.Prompt} {
		if k.flag(item != nil) {
			k.text(item.URI)
			k.text(item.Name)
			k.texts(item.Labels)
		}
	}
	k.texts(in.Flow)
	r.argumentsKey(k, in.Arguments)
	return k.sum()
}

// argumentsKey writes the raw bytes of the arguments that are read, in the order of their
// names. Two spellings of one value are two keys, which costs a miss and nothing else.
func (r *reads) argumentsKey(k *keyWriter, raw []byte) {
	if r.allArgs {
		k.bytes(raw)
		return
	}
	if len(r.args) == 0 || len(raw) == 0 {
		k.number(0)
		return
	}
	var found []strictjson.Member
	// Not an object: nothing can be read of it, as when there are no arguments.
	_ = strictjson.EachMember(raw, func(m strictjson.Member) {
		if r.args[m.Name] {
			found = append(found, m)
		}
	})
	slices.SortFunc(found, func(a, b strictjson.Member) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	k.number(len(found))
	for _, m := range found {
		k.text(m.Name)
		k.bytes(m.Value().Of(raw))
	}
}
