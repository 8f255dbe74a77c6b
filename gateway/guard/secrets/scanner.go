package secrets

import (
	"cmp"
	"fmt"
	"slices"
)

// MinMarker is the length in bytes from which a marker is looked for. A shorter one would be
// found in innocent text.
const MinMarker = 8

// maxMarker bounds a marker: PEM keys are longer than any token.
const maxMarker = 64 << 10

// Marker is a value that may not pass: one that an operator planted, or a credential that only
// the gateway should know.
type Marker struct {
	Name  string // what findings call it; it may be logged
	Value string // at least MinMarker bytes
}

// Options say what a Scanner looks for.
type Options struct {
	Markers []Marker
	NoRules bool // looks for the markers alone
}

// Scanner finds secrets. It is immutable and safe for concurrent use. The zero Scanner looks
// for what the rules find.
type Scanner struct {
	noRules bool
	markers []Marker
	forms   []needle
	needles *needles
}

// New returns a scanner. The error names the marker that cannot be looked for. The rules are
// compiled when the first document is scanned, once for the process.
func New(o Options) (*Scanner, error) {
	for i, m := range o.Markers {
		switch {
		case len(m.Value) < MinMarker:
			return nil, fmt.Errorf("marker %d (%.40q): it has %d bytes and would be found in innocent text; use at least %d", i+1, m.Name, len(m.Value), MinMarker)
		case len(m.Value) > maxMarker:
			return nil, fmt.Errorf("marker %d (%.40q): it has %d bytes; use at most %d", i+1, m.Name, len(m.Value), maxMarker)
		}
	}
	return (&Scanner{noRules: o.NoRules}).With(o.Markers), nil
}

// With returns a scanner that looks for more markers as well, at no cost for the rules. Those
// that New would refuse are left out.
func (s *Scanner) With(more []Marker) *Scanner {
	next := &Scanner{noRules: s.noRules, markers: slices.Clone(s.markers), forms: slices.Clone(s.forms)}
	for _, m := range more {
		if len(m.Value) >= MinMarker && len(m.Value) <= maxMarker {
			next.forms = append(next.forms, formsOf(len(next.markers), m.Value)...)
			next.markers = append(next.markers, m)
		}
	}
	next.needles = newNeedles(next.forms)
	return next
}

// Markers returns a scanner that looks for the markers of s and nothing else; nil where s has none.
func (s *Scanner) Markers() *Scanner {
	if len(s.markers) == 0 {
		return nil
	}
	only := *s
	only.noRules = true
	return &only
}

// Warm compiles the rules, so that the first call that is searched need not wait for it.
func (s *Scanner) Warm() {
	if !s.noRules {
		_, _ = rules() // whoever scans hears of the error
	}
}

// String hides the markers.
func (s *Scanner) String() string { return "scanner" }

// GoString is String.
func (s *Scanner) GoString() string { return s.String() }

// Result is what a scan found.
type Result struct {
	Findings []Finding // by Start; they may overlap
	Complete bool      // all of the document was scanned
	Why      string    // if not: what stopped the scan, without values
}

// Finding is one secret, or the part of one that lies in one string.
type Finding struct {
	Rule       string   // the rule's or the marker's name
	Marker     bool     // it is a marker
	Start, End int      // the bytes of the document to replace
	Via        []string // what was undone to find it, outermost first: escape, hidden, url, base64, hex, gzip, reversed, rot13
}

// JSON scans a sound JSON document. Each finding lies within the contents of one string, a
// value or a member's name, on boundaries of characters and escapes, so that the document stays
// sound when plain text is put in its place. There is one exception: a marker that is written
// as a number has the span of the number, where no text can stand.
func (s *Scanner) JSON(doc []byte) Result {
	root := &view{text: doc}
	l, err := s.layers(len(doc))
	if err != nil {
		return Result{Why: err.Error()}
	}
	l.scan(unescape(root))
	found := withinStrings(doc, l.found)
	return l.result(doc, found)
}

// Text scans a text that is no JSON. Findings lie on boundaries of characters.
func (s *Scanner) Text(text []byte) Result {
	l, err := s.layers(len(text))
	if err != nil {
		return Result{Why: err.Error()}
	}
	l.scan(&view{text: text})
	return l.result(text, l.found)
}

func (s *Scanner) layers(size int) (*layers, error) {
	l := &layers{s: s, work: newWork(size)}
	if s.noRules {
		return l, nil
	}
	rs, err := rules()
	l.rules = rs
	return l, err
}

// scanMarkers looks for the scanner's markers in v.
func (l *layers) scanMarkers(v *view) {
	l.s.needles.find(v.text, func(x *needle, start int) {
		f := found{rule: l.s.markers[x.marker].Name, marker: true}
		if x.via != "" {
			f.via = []string{x.via}
		}
		l.add(v, f, start, start+len(x.text))
	})
}

// result puts the findings in order, each once, and drops those of generic rules where another
// rule found the same.
func (l *layers) result(doc []byte, all []found) Result {
	for i := range all {
		all[i].start, all[i].end = snap(doc, all[i].start), snapUp(doc, all[i].end)
	}
	slices.SortStableFunc(all, func(a, b found) int {
		return cmp.Or(cmp.Compare(a.start, b.start), cmp.Compare(b.end, a.end), cmp.Compare(a.rule, b.rule), cmp.Compare(len(a.via), len(b.via)))
	})
	all = slices.CompactFunc(all, func(a, b found) bool {
		return a.start == b.start && a.end == b.end && a.rule == b.rule && a.marker == b.marker
	})
	r := Result{Complete: l.work.why == "", Why: l.work.why}
	covered := -1 // the furthest end of a finding that is not generic and began before
	for i := range all {
		f := &all[i]
		if f.generic && (f.end <= covered || within(f, all[i+1:])) {
			continue
		}
		if !f.generic {
			covered = max(covered, f.end)
		}
		r.Findings = append(r.Findings, Finding{f.rule, f.marker, f.start, f.end, f.via})
	}
	return r
}

// within reports whether one of the findings that begin where f does holds it, and is not
// generic.
func within(f *found, next []found) bool {
	for i := range next {
		if next[i].start > f.start {
			return false
		}
		if !next[i].generic && next[i].end >= f.end {
			return true
		}
	}
	return false
}

// snapUp moves i on to where a character begins.
func snapUp(text []byte, i int) int {
	if k := snap(text, i); k != i {
		for i < len(text) && text[i]&0xc0 == 0x80 {
			i++
		}
	}
	return i
}
