package credential

import (
	"encoding/base64"
	"encoding/hex"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"sallyport/internal/strictjson"
)

// MinScrub is the length in bytes from which a secret is looked for in what servers answer. A
// shorter one would be found in innocent text.
const MinScrub = 8

// maxLearned bounds the secrets of one server. Those used longest ago are forgotten first.
const maxLearned = 1024

// Redacted stands where a secret was. It is the same within JSON strings as without.
const Redacted = "[redacted by the gateway]"

// Scrubber finds secrets in what a server says. It knows those that the server was shown, also
// before the last rotation. The zero Scrubber knows none and finds nothing; it is safe for
// concurrent use and must not be copied.
type Scrubber struct {
	learned atomic.Pointer[searches] // nil before the first
	last    atomic.Pointer[string]   // the secret learned last, to spare a look
	used    atomic.Uint64            // counts uses, for the order

	mu    sync.Mutex // guards all below
	of    map[string]*known
	young []string // secrets that only searches.young knows
}

// searches are two passes over a document: a new secret costs a search for a few, not for all.
type searches struct{ old, young *needles }

// maxYoung is how many secrets are searched for apart from the rest.
const maxYoung = 32

// known is a secret in all its forms.
type known struct {
	forms []string
	used  uint64
}

// String hides what the scrubber knows.
func (s *Scrubber) String() string { return "scrubber" }

// GoString is String.
func (s *Scrubber) GoString() string { return s.String() }

// Learn makes the scrubber look for the secret from now on. It costs little for one that is
// known. A secret shorter than [MinScrub] is not looked for.
func (s *Scrubber) Learn(secret string) {
	if len(secret) < MinScrub {
		return
	}
	if last := s.last.Load(); last != nil && *last == secret {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.last.Store(&secret)
	now := s.used.Add(1)
	if k := s.of[secret]; k != nil {
		k.used = now
		return
	}
	if s.of == nil {
		s.of = map[string]*known{}
	}
	forgotten := len(s.of) >= maxLearned
	if forgotten {
		s.forget()
	}
	s.of[secret] = &known{formsOf(secret), now}
	s.young = append(s.young, secret)
	s.search(forgotten || len(s.young) > maxYoung)
}

// search makes the searches anew, that of the old secrets where merge is true. It must be called
// with mu held.
func (s *Scrubber) search(merge bool) {
	next := searches{}
	if last := s.learned.Load(); last != nil {
		next.old = last.old
	}
	var forms []string
	if merge {
		for _, k := range s.of {
			forms = append(forms, k.forms...)
		}
		next.old, s.young = newNeedles(forms), nil
	}
	forms = nil
	for _, secret := range s.young {
		forms = append(forms, s.of[secret].forms...)
	}
	next.young = newNeedles(forms)
	s.learned.Store(&next)
}

// forget drops the quarter used longest ago, so that it does not have to for each new one. It
// must be called with mu held.
func (s *Scrubber) forget() {
	var at []uint64
	for _, k := range s.of {
		at = append(at, k.used)
	}
	slices.Sort(at)
	for secret, k := range s.of {
		if k.used < at[len(at)/4] {
			delete(s.of, secret)
		}
	}
}

// formsOf are the texts in which a secret may appear, beside those that the views of a document
// undo (see [Scrubber.Scrub]): as it is, with + for a space, backwards, in ROT13, in hex, and in
// base64 of both alphabets wherever it begins in what was encoded. The second two are what an agent is
// told to do to a secret so that nobody knows it; a number of such turns has no end, and what only a
// server can undo is not found.
func formsOf(secret string) []string {
	back := []rune(secret)
	slices.Reverse(back)
	forms := []string{secret, strings.ReplaceAll(secret, " ", "+"), string(back), strings.Map(rot13, secret)}
	digits := hex.EncodeToString([]byte(secret))
	forms = append(forms, digits, strings.ToUpper(digits))
	for _, enc := range []*base64.Encoding{base64.RawStdEncoding, base64.RawURLEncoding} {
		for before := range 3 {
			padded := enc.EncodeToString([]byte("\x00\x00\x00"[:before] + secret))
			// The first and the last character may hold bits of the neighbours.
			forms = append(forms, padded[(8*before+5)/6:(before+len(secret))*8/6])
		}
	}
	slices.Sort(forms)
	return slices.Compact(forms)
}

func rot13(r rune) rune {
	switch {
	case 'a' <= r && r <= 'z':
		return 'a' + (r-'a'+13)%26
	case 'A' <= r && r <= 'Z':
		return 'A' + (r-'A'+13)%26
	}
	return r
}

// Scrub returns doc with [Redacted] in place of every secret, and how many there were. Where
// there is none it returns doc itself. It looks at the bytes with JSON escapes undone, and
// once more with a second layer of those, URL escapes and line breaks undone, so that it finds a
// secret however JSON, JSON within JSON or a URL spells it, and wherever base64 is wrapped. JSON stays JSON, unless a
// secret is found where no string is.
func (s *Scrubber) Scrub(doc []byte) ([]byte, int) {
	n := s.learned.Load()
	if n == nil {
		return doc, 0
	}
	return replace(doc, n.inJSON(doc))
}

// ScrubText is Scrub for text that is no JSON, such as a line of a log.
func (s *Scrubber) ScrubText(text string) string {
	n := s.learned.Load()
	if n == nil {
		return text
	}
	doc := []byte(text)
	out, found := replace(doc, append(n.find(plain(doc), nil), n.inJSON(doc)...))
	if found == 0 {
		return text
	}
	return string(out)
}

// find appends where secrets lie in the document that v is a view of.
func (s *searches) find(v view, found []hit) []hit {
	return s.young.find(v, s.old.find(v, found))
}

// inJSON finds what is in any of the views of a document.
func (s *searches) inJSON(doc []byte) []hit {
	v := unescaped(doc)
	found := s.find(v, nil)
	w, other := undone(v)
	if !other {
		return found
	}
	again := s.find(w, nil)
	slices.SortFunc(found, byStart)
	slices.SortFunc(again, byStart)
	first, i := found, 0
	for _, h := range again {
		for i < len(first) && first[i].Start < h.Start {
			i++
		}
		if i < len(first) && first[i].End <= h.End && first[i].size >= h.size {
			continue // the same, with an escape before it or a line break after it
		}
		found = append(found, h)
	}
	return found
}

func byStart(a, b hit) int { return a.Start - b.Start }

// hit is where a needle lies in a document; size is its own length.
type hit struct {
	strictjson.Span
	size int
}

// replace puts Redacted in place of the spans, which may overlap and be in any order.
func replace(doc []byte, found []hit) ([]byte, int) {
	if len(found) == 0 {
		return doc, 0
	}
	slices.SortFunc(found, byStart)
	out := make([]byte, 0, len(doc)+len(found)*len(Redacted))
	copied, count := 0, 0
	for i := 0; i < len(found); {
		at := found[i]
		for i++; i < len(found) && found[i].Start < at.End; i++ {
			at.End = max(at.End, found[i].End)
		}
		out = append(append(out, doc[copied:at.Start]...), Redacted...)
		copied = at.End
		count++
	}
	return append(out, doc[copied:]...), count
}
