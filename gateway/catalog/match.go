package catalog

import (
	"bytes"
	"unicode/utf8"

	"sallyport/internal/strictjson"
)

// matcher runs a program over one value that has passed the strict check. work is what it may
// still look at, in bytes: branches can look at the same bytes many times, and a pattern runs
// many instructions for each.
type matcher struct {
	data     []byte
	work     int
	patterns int // what may still be spent on patterns, in instructions times bytes
	outline  strictjson.Outline

	level int // of objects that are open
	rows  [rowLevels]row
}

// matches reports whether the value is certainly valid.
func (p *program) matches(data []byte, o strictjson.Outline) (ok bool) {
	if p == nil {
		return false
	}
	defer func() {
		if recover() != nil { // data that has not passed the strict check
			ok = false
		}
	}()
	m := matchers.Get().(*matcher)
	defer m.end()
	m.begin(data, o)
	end, all := m.value(space(data, 0), p)
	return all && space(data, end) == len(data)
}

func space(b []byte, i int) int {
	if i < len(b) && b[i] > ' ' {
		return i // most of the time
	}
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\t' || b[i] == '\r') {
		i++
	}
	return i
}

// value matches the value that begins at i and returns where it ends.
func (m *matcher) value(i int, p *program) (end int, ok bool) {
	if !m.spend(1) || p != nil && p.never {
		return i, false
	}
	if p == nil || p.any {
		end = m.skip(i)
		return end, m.spend(end - i)
	}
	for _, b := range p.branches {
		if !m.branch(i, b) {
			return i, false
		}
	}
	switch m.data[i] {
	case '{':
		if p.types&isObject == 0 {
			return i, false
		}
		return m.object(i, p)
	case '[':
		if p.types&isArray == 0 {
			return i, false
		}
		return m.array(i, p)
	case '"':
		end = stringEnd(m.data, i)
		return end, m.spend(end-i) && p.types&isString != 0 && m.text(m.data[i:end], p)
	case 't':
		end = i + len("true")
		return end, m.spend(end-i) && p.types&isBoolean != 0 && (p.listed == nil || p.listed.yes)
	case 'f':
		end = i + len("false")
		return end, m.spend(end-i) && p.types&isBoolean != 0 && (p.listed == nil || p.listed.no)
	case 'n':
		end = i + len("null")
		return end, m.spend(end-i) && p.types&isNull != 0
	}
	if c := m.data[i]; c != '-' && (c < '0' || c > '9') {
		return i, false // no value begins here: the reading is out of step, and must not go on
	}
	end, whole := numberEnd(m.data, i)
	return end, m.spend(end-i) && p.number(m.data[i:end], whole)
}

// blank skips white space, and pays for it.
func (m *matcher) blank(i int) (int, bool) {
	end := space(m.data, i)
	return end, m.spend(end - i)
}

// next moves past a comma and the white space around it.
func (m *matcher) next(i int) (int, bool) {
	from := i
	if i = space(m.data, i); m.data[i] == ',' {
		i = space(m.data, i+1)
	}
	return i, m.spend(i - from)
}

func (m *matcher) spend(n int) bool {
	m.work -= n
	return m.work >= 0
}

// branch reports whether one of the programs matches the value at i.
func (m *matcher) branch(i int, programs []*program) bool {
	level := m.level
	for _, p := range programs {
		_, ok := m.value(i, p)
		if m.level = level; ok {
			return true
		}
		if m.work < 0 {
			return false
		}
	}
	return false
}

func (m *matcher) object(i int, p *program) (end int, ok bool) {
	var found uint64
	row, n := m.row(p), 0
	m.level++
	i++
	for alike := row != nil; ; n++ {
		var known member
		if alike = alike && n < row.used && m.again(i, row.steps[n].Span); alike {
			known = row.steps[n].member
			// Up to the colon it is as before; the space behind it is the value's own.
			end = space(m.data, i+row.steps[n].End-row.steps[n].Start)
		} else {
			at, closed := m.nextMember(i)
			if closed {
				m.level--
				return at, m.spend(at-i+n) && found == p.required && p.count.admit(n)
			}
			if m.data[at] != '"' {
				return i, false // out of step, as in value
			}
			name := stringEnd(m.data, at)
			text := m.data[at+1 : name-1]
			if bytes.IndexByte(text, '\\') >= 0 { // an escape could spell a name in another way
				return i, false
			}
			known = p.members[string(text)]
			end = space(m.data, space(m.data, name)+1)
			row.learn(n, rowStep{strictjson.Span{Start: i, End: end}, known})
		}
		found |= known.bit
		sub := p.rest
		if known.property {
			sub = known.value
		}
		if !m.spend(end - i) { // the name and the space around it
			return i, false
		}
		if i, ok = m.value(end, sub); !ok {
			return i, false
		}
	}
}

// nextMember moves from the brace or the end of a value to the next name, or past the brace that
// closes the object.
func (m *matcher) nextMember(i int) (at int, closed bool) {
	if i = space(m.data, i); m.data[i] == ',' {
		i = space(m.data, i+1)
	}
	if m.data[i] == '}' {
		return i + 1, true
	}
	return i, false
}

func (m *matcher) array(i int, p *program) (end int, ok bool) {
	n := 0
	if i, ok = m.blank(i + 1); !ok {
		return i, false
	}
	for ; m.data[i] != ']'; n++ {
		sub := p.items
		if n < len(p.first) {
			sub = p.first[n]
		}
		if i, ok = m.value(i, sub); !ok {
			return i, false
		}
		if i, ok = m.next(i); !ok {
			return i, false
		}
	}
	return i + 1, m.spend(n) && p.elements.admit(n)
}

func (m *matcher) text(raw []byte, p *program) bool {
	if p.anyText {
		return true
	}
	s := raw[1 : len(raw)-1]
	if bytes.IndexByte(s, '\\') >= 0 {
		decoded, err := strictjson.String(raw)
		if err != nil {
			return false
		}
		s = []byte(decoded)
	}
	if p.listed != nil && !p.listed.texts[string(s)] {
		return false
	}
	if p.format != nil && p.format(string(s)) != nil {
		return false
	}
	if p.length != (bounds{0, -1}) && !p.length.admit(utf8.RuneCount(s)) {
		return false
	}
	if p.pattern == nil {
		return true
	}
	m.patterns -= len(s) * p.pattern.insts
	return m.patterns >= 0 && p.pattern.Match(s)
}

// skip returns where the value at i ends.
func (m *matcher) skip(i int) int {
	if end, ok := m.outline.End(i); ok {
		return end
	}
	depth := 0
	for i < len(m.data) {
		switch c := m.data[i]; c {
		case '"':
			i = stringEnd(m.data, i)
		case '{', '[':
			depth++
			i++
		case '}', ']':
			depth--
			i++
		case ' ', '\n', '\t', '\r', ',', ':':
			i++
			continue
		case 't', 'n':
			i += len("true")
		case 'f':
			i += len("false")
		default:
			i, _ = numberEnd(m.data, i)
		}
		if depth == 0 {
			return i
		}
	}
	return i
}

// numberEnd returns where the number at i ends, and whether it has neither point nor exponent.
func numberEnd(b []byte, i int) (end int, whole bool) {
	whole = true
	for i++; i < len(b); i++ {
		switch c := b[i]; {
		case '0' <= c && c <= '9':
		case c == '.', c == 'e', c == 'E', c == '+', c == '-':
			whole = false
		default:
			return i, whole
		}
	}
	return i, whole
}
