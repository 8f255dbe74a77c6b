package policy

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"slices"
	"time"

	"sallyport/internal/strictjson"
)

// SubjectKey identifies what the policies can read of a subject: two subjects with the same
// key see the same lists.
func (g *Generation) SubjectKey(s *Subject) string {
	k := newKey()
	g.reads.subject(k, s)
	sum := k.sum()
	return string(sum[:])
}

// GrantKey identifies what a list can read of a grant: two callers with the same subject and
// grant key see the same lists. nil, which is no grant, has a key too.
func (g *Generation) GrantKey(grant *Grant) string {
	k := newKey()
	g.reads.grant(k, grant)
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

// subject writes what the policies read of a subject. The claims of a token differ each time
// (jti, iat), so policies that read those share little.
func (r *reads) subject(k *keyWriter, s *Subject) {
	if !k.flag(s != nil) {
		return
	}
	for _, t := range []struct{ part, value string }{{"id", s.ID}, {"issuer", s.Issuer}, {"client", s.Client}, {"proof", s.Proof}} {
		if r.part("subject", t.part) {
			k.text(t.value)
		}
	}
	if r.part("subject", "roles") {
		k.texts(s.Roles)
	}
	if r.part("subject", "actors") {
		k.texts(s.Actors)
	}
	if r.part("subject", "measured") && k.flag(s.Measured != nil) {
		k.text(s.Measured.Digest)
		k.flag(s.Measured.Approved)
		k.flag(s.Measured.Changed)
	}
	if r.part("subject", "claims") {
		raw, err := json.Marshal(s.Claims) // sorts the names
		k.flag(err == nil)
		k.bytes(raw)
	}
}

// grant writes what the policies read of a grant, but for calls_left. Every token has a grant of
// its own, so what is not read must not keep callers apart.
func (r *reads) grant(k *keyWriter, g *Grant) {
	if !k.flag(g != nil) {
		return
	}
	if r.part("grant", "id") {
		k.text(g.ID)
	}
	if r.part("grant", "task") {
		k.text(g.Task)
	}
	if r.part("grant", "expires") {
		k.text(g.Expires.UTC().Format(time.RFC3339Nano))
	}
}

// key is the key of a decision: every path of input that the policies read, and some that are the
// same for most callers whether read or not.
func (r *reads) key(in *Input) [32]byte {
	k := newKey()
	r.subject(k, in.Subject)
	r.grant(k, in.Grant)
	if in.Grant != nil && r.part("grant", "calls_left") && k.flag(in.Grant.CallsLeft != nil) {
		k.number(int(*in.Grant.CallsLeft))
	}
	for _, t := range []string{in.Action, in.Server, in.Request.Era, in.Request.Method} {
		k.text(t)
	}
	k.texts(in.ServerLabels)
	if k.flag(in.Tool != nil) {
		k.text(in.Tool.Name)
		k.text(in.Tool.Title)
		k.text(in.Tool.Digest)
		k.bytes(in.Tool.Annotations)
		k.texts(in.Tool.Labels)
		k.flag(in.Tool.Pinned)
		k.flag(in.Tool.Reviewed)
	}
	for _, item := range []*Item{in.Resource, in.Prompt} {
		if k.flag(item != nil) {
			k.text(item.URI)
			k.text(item.Name)
			k.texts(item.Labels)
		}
	}
	if r.part("flow", "labels") {
		k.texts(in.Flow)
	}
	r.argumentsKey(k, in.Arguments, in.ArgumentsOutline)
	return k.sum()
}

// argumentsKey writes the raw bytes of the arguments that are read, in the order of their
// names. Two spellings of one value are two keys, which costs a miss and nothing else.
func (r *reads) argumentsKey(k *keyWriter, raw []byte, o strictjson.Outline) {
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
	_ = o.EachMember(raw, func(m strictjson.Member) {
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
