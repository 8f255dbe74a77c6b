package strictjson

// quick scans a document in one pass and is one-sided: what it accepts, jsontext accepts. It
// gives up on what is rare (names with escapes, surrogates, objects of very many members), and
// jsontext then decides, and finds the words for what is wrong. It is used again ([quickly]), so
// that its tables need not be cleared for each document.
type quick struct {
	data  []byte
	names [128]Span // member names of the objects that are open
	used  int       // of names
	depth int       // that is allowed

	marks  marks
	shapes [shapeLevels]shape // of the newest object of each level
	odd    bool               // a number is long or has an exponent
}

// maxQuickNames bounds the members of one object, whose names are compared pairwise.
const maxQuickNames = 48

// certain reports whether data is one JSON value, for certain: grammar, UTF-8, escapes, no name
// twice in an object, and no deeper than depth.
func (q *quick) certain() bool {
	i := q.value(q.space(0), q.depth)
	return i >= 0 && q.space(i) == len(q.data)
}

// outline is what the pass has learned.
func (q *quick) outline() Outline {
	return Outline{doc: q.data, large: append([]large(nil), q.marks.noted[:q.marks.used]...)}
}

func (q *quick) space(i int) int {
	if i < len(q.data) && q.data[i] > ' ' {
		return i // most of the time
	}
	return space(q.data, i)
}

// value returns the index after the value at i, or -1.
func (q *quick) value(i, depth int) int {
	if i >= len(q.data) {
		return -1
	}
	switch q.data[i] {
	case '{':
		return q.object(i+1, depth-1)
	case '[':
		return q.array(i+1, depth-1)
	case '"':
		end, _ := q.text(i)
		return end
	case 't':
		return q.literal(i, "true")
	case 'f':
		return q.literal(i, "false")
	case 'n':
		return q.literal(i, "null")
	}
	return q.number(i)
}

func (q *quick) literal(i int, word string) int {
	if len(q.data)-i < len(word) || string(q.data[i:i+len(word)]) != word {
		return -1
	}
	return i + len(word)
}

func (q *quick) object(i, depth int) int {
	if depth < 0 {
		return -1
	}
	level := q.depth - depth
	first, was := q.used, q.shape(level)
	slot, mixed := q.marks.open(i-1, level)
	for n, alike := 0, was != nil; ; n++ {
		if alike = alike && was.has(n) && q.again(i, &was.steps[n]); alike {
			if !q.repeat(&was.steps[n], first) {
				return -1
			}
			i += was.steps[n].width()
		} else {
			from, at := i, q.space(i)
			switch c := q.at(at); {
			case c == '}':
				q.used = first
				q.marks.close(slot, at+1, mixed)
				return at + 1
			case n > 0 && c != ',':
				return -1
			case n > 0:
				at = q.space(at + 1)
			}
			if i = q.nameAt(at, first); i < 0 {
				return -1
			}
			was.learn(n, step{Span{from, i}, q.names[q.used-1], !isFolded(q.names[q.used-1].Of(q.data))})
		}
		if i = q.value(i, depth); i < 0 {
			return -1
		}
	}
}

// nameAt notes the member name at i and returns where its value begins, or -1.
func (q *quick) nameAt(i, first int) int {
	if q.at(i) != '"' {
		return -1
	}
	end, escaped := q.text(i)
	if end < 0 || escaped || !q.name(Span{i, end}, first) {
		return -1
	}
	if i = q.space(end); q.at(i) != ':' {
		return -1
	}
	return q.space(i + 1)
}

// at returns the byte at i, or 0, which no rule accepts.
func (q *quick) at(i int) byte {
	if i < len(q.data) {
		return q.data[i]
	}
	return 0
}

// name notes a member name and reports whether it is new among those since first.
func (q *quick) name(s Span, first int) bool {
	if q.used-first >= maxQuickNames || q.used == len(q.names) {
		return false
	}
	text := q.data[s.Start:s.End]
	for _, o := range q.names[first:q.used] {
		if o.End-o.Start == len(text) && string(q.data[o.Start:o.End]) == string(text) {
			return false
		}
	}
	q.names[q.used] = s
	q.used++
	q.marks.mixed = q.marks.mixed || !isFolded(text)
	return true
}

func (q *quick) array(i, depth int) int {
	if depth < 0 {
		return -1
	}
	slot, mixed := q.marks.open(i-1, q.depth-depth)
	if i = q.space(i); q.at(i) == ']' {
		q.marks.close(slot, i+1, mixed)
		return i + 1
	}
	for {
		if i = q.value(i, depth); i < 0 {
			return -1
		}
		switch i = q.space(i); q.at(i) {
		case ',':
			i = q.space(i + 1)
		case ']':
			q.marks.close(slot, i+1, mixed)
			return i + 1
		default:
			return -1
		}
	}
}

// escape returns the length of the escape after its backslash, or 0.
func (q *quick) escape(i int) int {
	switch q.at(i) {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return 1
	case 'u':
	default:
		return 0
	}
	const length = len("u0041")
	if len(q.data)-i < length {
		return 0
	}
	r := 0
	for _, c := range q.data[i+1 : i+length] {
		switch {
		case '0' <= c && c <= '9':
			r = r<<4 | int(c-'0')
		case 'a' <= c && c <= 'f':
			r = r<<4 | int(c-'a'+10)
		case 'A' <= c && c <= 'F':
			r = r<<4 | int(c-'A'+10)
		default:
			return 0
		}
	}
	if 0xd800 <= r && r <= 0xdfff {
		return 0 // half of a pair, or a pair: for jsontext
	}
	return length
}

// number follows RFC 8259, section 6.
func (q *quick) number(i int) int {
	from := i
	if i = q.digitsAndAll(i); i-from >= shortNumber {
		q.odd = true
	}
	return i
}

func (q *quick) digitsAndAll(i int) int {
	if q.at(i) == '-' {
		i++
	}
	switch c := q.at(i); {
	case c == '0':
		i++
	case '1' <= c && c <= '9':
		i = q.digits(i)
	default:
		return -1
	}
	if q.at(i) == '.' {
		from := i + 1
		if i = q.digits(from); i == from {
			return -1
		}
	}
	if c := q.at(i); c == 'e' || c == 'E' {
		q.odd = true
		i++
		if c := q.at(i); c == '+' || c == '-' {
			i++
		}
		from := i
		if i = q.digits(from); i == from {
			return -1
		}
	}
	return i
}

func (q *quick) digits(i int) int {
	for i < len(q.data) && '0' <= q.data[i] && q.data[i] <= '9' {
		i++
	}
	return i
}
