package secrets

import (
	"bytes"
	"slices"
)

const (
	// A window for an expression without a longest match goes on as long as the bytes are those
	// of a match, but not for more than this; what is longer is found by its beginning.
	maxWord = 4096

	// A command of curl is looked at over its lines, but for no more than this.
	maxCommand = 4096
)

// scanRules looks for what the rules find in v.
func (l *layers) scanRules(v *view) {
	m := matcher{layers: l, v: v}
	ix := l.rules.index
	for list, i, t := ix.next(v.text, 0, 0); list != nil; list, i, t = ix.next(v.text, i, t) {
		for _, p := range list {
			if start := i - 3 - p.at; p.fits(v.text, start) {
				m.candidate(p, start)
			}
		}
	}
	for _, r := range m.whole {
		l.matchWhole(v, r)
	}
}

// matcher is where the scan of one view stands.
type matcher struct {
	*layers
	v     *view
	done  map[*rule]int  // rules that found something: where the last match ended
	none  map[*rule]part // where a rule has no match at all
	whole []*rule        // that have to look at all of v
	ends  part           // of PEM keys
}

// candidate has the rule of p look at what is around its core at text[i].
func (m *matcher) candidate(p *pattern, i int) {
	r, text := p.rule, m.v.text
	if i < m.done[r] {
		return
	}
	if p.hint {
		if !slices.Contains(m.whole, r) {
			m.whole = append(m.whole, r)
		}
		return
	}
	last := i + len(p.core)
	if p.name && !r.assigned(text, last) {
		return
	}
	start, stop := p.window(text, i, last)
	if n, ok := m.none[r]; ok && n.start <= start && stop <= n.end {
		return
	}
	if !r.hasOption(text[start:stop]) || !m.work.match(stop-start) {
		return
	}
	end := 0
	if r.opening != nil {
		end = m.matchPEM(m.v, r, start, stop, &m.ends)
	} else {
		end = m.match(m.v, r, start, i, stop)
	}
	if m.done == nil {
		m.done, m.none = map[*rule]int{}, map[*rule]part{}
	}
	switch {
	case end > 0:
		m.done[r] = end
	case end == nothing:
		m.none[r] = part{start, stop}
	}
}

// nothing is the answer of match where there is no match anywhere in the window.
const nothing = -1

// hasOption reports whether a command has an option that the rule looks for.
func (r *rule) hasOption(text []byte) bool {
	for _, o := range r.options {
		if bytes.Contains(text, o) {
			return true
		}
	}
	return len(r.options) == 0
}

// window returns the part of text that a match around text[i:last] can lie in, with a character
// or two around it, which \b and $ look at.
func (p *pattern) window(text []byte, i, last int) (start, stop int) {
	const around = 4 // a character
	least := i - maxWord
	if p.before != unbounded {
		least = i - p.before
	}
	for start = i; start > max(0, least) && p.left.has(text[start-1]); {
		start--
	}
	switch {
	case p.rule.options != nil:
		stop = commandEnd(text, last)
	case p.name && p.rule.reach == unbounded:
		for stop = min(len(text), last+mostBetween); stop < min(len(text), reach(last, unbounded)) && isWord[text[stop]]; {
			stop++
		}
	case p.name:
		stop = last + p.rule.reach
	default:
		for stop = last; stop < min(len(text), reach(last, p.after)) && p.right.has(text[stop]); {
			stop++
		}
	}
	start, stop = max(0, start-around), min(len(text), stop+around)
	return snap(text, start), snap(text, stop)
}

// reach returns how far a match can go on behind text[i] that can have n more bytes. Where it
// has no longest the places are few, so that one look does for many beginnings.
func reach(i, n int) int {
	if n == unbounded {
		return (i+maxWord/2)/maxWord*maxWord + maxWord
	}
	return i + n
}

// commandEnd returns where a command of several lines ends that begins before text[i].
func commandEnd(text []byte, i int) int {
	stop := min(len(text), i+maxCommand)
	for lines := 0; i < stop && lines < 6; lines++ {
		k := bytes.IndexAny(text[i:stop], "\r\n")
		if k < 0 {
			return stop
		}
		for i += k; i < stop && (text[i] == '\n' || text[i] == '\r'); i++ {
		}
	}
	return i
}

// match looks for the first match of r in text[start:stop] that holds text[at], and returns
// where it ends, 0, or nothing. Where there is none it tries once more up to the next quote: to a rule
// the end of a string is the end of a text.
func (l *layers) match(v *view, r *rule, start, at, stop int) int {
	m, none := r.covering(v.text[start:stop], at-start)
	if k := bytes.IndexByte(v.text[at:stop], '"'); m == nil && k >= 0 {
		m, _ = r.covering(v.text[start:at+k], at-start)
	}
	switch {
	case m == nil && none:
		return nothing
	case m == nil:
		return 0
	}
	for i := range m {
		if m[i] >= 0 {
			m[i] += start
		}
	}
	l.report(v, r, m)
	return m[1]
}

// covering returns the first match that holds text[at], as FindSubmatchIndex does, or nil; none
// is true where there is no match at all.
func (r *rule) covering(text []byte, at int) (m []int, none bool) {
	for from := 0; from <= at; {
		m := r.re.FindSubmatchIndex(text[from:])
		switch {
		case m == nil:
			return nil, from == 0
		case from+m[0] > at:
			return nil, false
		case from+m[1] > at:
			for i := range m {
				if m[i] >= 0 {
					m[i] += from
				}
			}
			return m, false
		}
		from += max(m[1], m[0]+1) // an earlier one, which has its own window
	}
	return nil, false
}

// matchWhole looks for what r finds anywhere in v.
func (l *layers) matchWhole(v *view, r *rule) {
	if !l.work.match(len(v.text)) {
		return
	}
	for _, m := range r.re.FindAllSubmatchIndex(v.text, -1) {
		l.report(v, r, m)
	}
}

// report notes a match of r unless the rule or the library leaves it alone. m is as
// FindSubmatchIndex has it.
func (l *layers) report(v *view, r *rule, m []int) {
	whole := bytes.Trim(v.text[m[0]:m[1]], "\n")
	s := r.secret(m)
	secret := v.text[s[0]:s[1]]
	if len(secret) == 0 || r.entropy > 0 && entropy(string(secret)) <= r.entropy {
		return
	}
	f := finding{secret: string(secret), match: string(whole), line: line(v.text, m[0], m[1])}
	if f.allowed(l.rules.global) || f.allowed(r.allow) {
		return
	}
	l.add(v, found{rule: r.id, generic: r.generic}, s[0], s[1])
}

// add notes what was found in v.text[start:end].
func (l *layers) add(v *view, f found, start, end int) {
	if len(l.found) >= maxFound {
		l.work.stop("more than %d secrets were found in it", maxFound)
		return
	}
	f.start, f.end = v.in(start, end)
	f.via = append(f.via, v.ways()...)
	l.found = append(l.found, f)
}

// maxFound bounds what is reported of one document.
const maxFound = 10_000

// secret returns where the secret lies in a match: the group that the rule names, else the first
// that matched something, else all of it.
func (r *rule) secret(m []int) [2]int {
	if r.group > 0 {
		return [2]int{m[2*r.group], m[2*r.group+1]}
	}
	for k := 2; k+1 < len(m); k += 2 {
		if m[k] >= 0 && m[k+1] > m[k] {
			return [2]int{m[k], m[k+1]}
		}
	}
	return [2]int{m[0], m[1]}
}
