package guard

import (
	"bytes"
	"slices"
	"strconv"
	"strings"
)

// maxRounds bounds how often a text is gone over: what was made inert at one place can bring
// to light what stood inside it.
const maxRounds = 4

// inert returns s with every link and image that leads where none may written so that no
// client follows it and a reader still can: hxxps://evil[.]example/. Links are those of Markdown
// and HTML, and with bare also addresses that stand by themselves. ok is false where a text is
// so entangled that it could not be done.
func (d *Door) inert(s string, bare bool) (out string, n int, ok bool) {
	for range maxRounds {
		f := finder{d: d, s: s, bare: bare}
		if !f.find() {
			return s, n, false
		}
		if len(f.edits) == 0 {
			return s, n, true
		}
		var made int
		s, made = apply(s, f.edits)
		n += made
	}
	return s, n, false
}

// apply makes the edits in order. Of two that overlap the first is made.
func apply(s string, edits []edit) (string, int) {
	slices.SortStableFunc(edits, func(a, b edit) int { return a.start - b.start })
	var b strings.Builder
	b.Grow(len(s) + 16*len(edits))
	kept, n := 0, 0
	for _, e := range edits {
		if e.start < kept {
			continue
		}
		n++
		b.WriteString(s[kept:e.start])
		b.WriteString(e.with)
		kept = e.end
	}
	b.WriteString(s[kept:])
	return b.String(), n
}

// mayLink is quick, and false only for a text in which there is no link. It reads text as well as
// what stands in JSON for it.
func mayLink(s []byte) bool {
	for rest := s; ; {
		i := bytes.IndexByte(rest, ']')
		if i < 0 || i+1 == len(rest) {
			break
		}
		if rest = rest[i+1:]; rest[0] == '(' || rest[0] == ':' || rest[0] == '\\' {
			return true
		}
	}
	for rest := s; ; {
		i := bytes.IndexByte(rest, '<')
		if i < 0 || i+1 == len(rest) {
			return false
		}
		if rest = rest[i+1:]; isLetter(rest[0]) || rest[0] == '\\' {
			return true
		}
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// finder looks for links in one text.
type finder struct {
	d     *Door
	s     string
	bare  bool
	edits []edit

	// Tags are read from each "<" on, also from those inside the values of others, since who
	// reads the text may not see the outer one as a tag. Where two readings meet they go on alike,
	// and the second stops: the whole is read a fixed number of times at most.
	met      []uint64 // a bit for each place where an attribute began
	nameEnd  int      // where the last name of a tag ended
	styleEnd int      // where the last style sheet ended
	reader   reader
}

// maxWork bounds the work on addresses, in bytes read for each byte of the text.
const maxWork = 8

// find gathers the edits of one reading, and reports whether it came to the end.
func (f *finder) find() bool {
	for i := 0; i+1 < len(f.s); i++ {
		if f.tired() {
			return false
		}
		switch c, next := f.s[i], f.s[i+1]; {
		case c == ']' && next == '(':
			f.markdown(i+2, true)
		case c == ']' && next == ':':
			f.markdown(i+2, false)
		case c == '<' && isLetter(next):
			f.judge(i+1, form{entities: true, stops: " \t\n\r<>"})
			f.tag(i + 1)
		case f.bare && c == ':':
			f.bareAddress(i)
		case f.bare && c|0x20 == 'w' && (i == 0 || !isWord(f.s[i-1])) && len(f.s) > i+4 && strings.EqualFold(f.s[i:i+4], "www."):
			f.bareHost(i)
		}
	}
	return !f.tired()
}

func (f *finder) tired() bool { return f.reader.work > maxWork*len(f.s)+1<<16 }

func (f *finder) judge(at int, how form) {
	if e, ok := f.d.outside(f.s, at, how, &f.reader); ok {
		f.edits = append(f.edits, e)
	}
}

// markdown judges the destination of a link, an image or a reference (CommonMark, "Link
// destination").
func (f *finder) markdown(at int, inline bool) {
	for at < len(f.s) && f.s[at] <= ' ' {
		at++
	}
	how := form{escapes: true, entities: true, strict: inline, stops: " \t\n\r)"}
	if at < len(f.s) && f.s[at] == '<' {
		at++
		how.stops = "\n\r>"
	}
	f.judge(at, how)
}

// addressAttributes hold one address by definition.
var addressAttributes = []string{"href", "src", "action", "formaction", "data", "poster", "background", "cite", "longdesc", "codebase", "classid", "manifest", "profile", "usemap", "icon", "dynsrc", "lowsrc", "xlink:href"}

// tag reads the attributes of an HTML tag whose name begins at i (WHATWG HTML, "Tokenization").
func (f *finder) tag(i int) {
	if i >= f.nameEnd {
		f.nameEnd = i + endOfTagName.in(f.s[i:])
	}
	style := f.nameEnd-i == len("style") && strings.EqualFold(f.s[i:f.nameEnd], "style")
	if f.met == nil {
		f.met = make([]uint64, len(f.s)/64+1)
	}
	for i = f.nameEnd; i < len(f.s); {
		for i < len(f.s) && strings.IndexByte(" \t\n\r\f/", f.s[i]) >= 0 {
			i++
		}
		if i >= len(f.s) || f.met[i/64]&(1<<(i%64)) != 0 {
			return
		}
		f.met[i/64] |= 1 << (i % 64)
		if f.s[i] == '>' {
			if style {
				f.styles(i + 1)
			}
			return
		}
		i = f.attribute(i)
	}
}

// attribute reads one attribute and returns where it ends.
func (f *finder) attribute(i int) int {
	end := i + 1 + endOfName.in(f.s[i+1:])
	name := strings.ToLower(f.s[i:min(end, i+40)])
	for i = end; i < len(f.s) && strings.IndexByte(" \t\n\r\f", f.s[i]) >= 0; i++ {
	}
	if i >= len(f.s) || f.s[i] != '=' {
		return end
	}
	for i++; i < len(f.s) && strings.IndexByte(" \t\n\r\f", f.s[i]) >= 0; i++ {
	}
	if i >= len(f.s) {
		return i
	}
	if quote := f.s[i]; quote == '"' || quote == '\'' {
		i++
		if end = len(f.s); strings.IndexByte(f.s[i:], quote) >= 0 {
			end = i + strings.IndexByte(f.s[i:], quote)
		}
		f.value(name, i, end)
		return min(end+1, len(f.s))
	}
	end = i + endOfValue.in(f.s[i:])
	f.value(name, i, end)
	return end
}

// value judges the addresses in the value of an attribute: the value itself, and whatever looks
// like one in a list, a style or a script.
func (f *finder) value(name string, start, end int) {
	if strings.HasPrefix(name, "xmlns") || strings.HasSuffix(name, ":schemalocation") || name == "targetnamespace" {
		return // names of XML that look like addresses
	}
	if name == "srcdoc" { // a document in an attribute, encoded twice
		if end > start {
			f.edits = append(f.edits, edit{start, end, ""})
		}
		return
	}
	f.judgeWithin(start, end, slices.Contains(addressAttributes, name))
	if name == "style" {
		f.escapedStyle(start, end)
	}
}

// judgeWithin judges what begins at start and after each separator.
func (f *finder) judgeWithin(start, end int, strict bool) {
	value := f.s[:end]
	for start < end && value[start] <= ' ' {
		start++
	}
	for i := start; i < end && !f.tired(); i++ {
		if i > start && (value[i] <= ' ' || value[i-1] > ' ' && strings.IndexByte(",;=(\"'|", value[i-1]) < 0) {
			continue
		}
		if e, ok := f.d.outside(value, i, form{entities: true, strict: strict && i == start}, &f.reader); ok {
			f.edits = append(f.edits, e)
			i = max(i, e.end-1)
		}
	}
}

// styles judges what is in a style element that begins at i.
func (f *finder) styles(i int) {
	if i < f.styleEnd {
		return
	}
	f.styleEnd = len(f.s)
	if end := strings.Index(f.s[i:], "</"); end >= 0 {
		f.styleEnd = i + end
	}
	f.judgeWithin(i, f.styleEnd, false)
	f.escapedStyle(i, f.styleEnd)
}

// escapedStyle takes the backslashes out of a style sheet in which they write an address that
// leads outside (CSS Syntax, "Escaping").
func (f *finder) escapedStyle(start, end int) {
	sheet := f.s[start:end]
	if strings.IndexByte(sheet, '\\') < 0 {
		return
	}
	open := finder{d: f.d, s: sheet}
	open.judgeWithin(0, len(sheet), false)
	read := finder{d: f.d, s: unescapeStyle(sheet)}
	read.judgeWithin(0, len(read.s), false)
	f.reader.work += open.reader.work + read.reader.work
	if len(read.edits) <= len(open.edits) {
		return
	}
	for i := start; i < end; i++ {
		if f.s[i] == '\\' {
			f.edits = append(f.edits, edit{i, i + 1, "/"})
		}
	}
}

func unescapeStyle(s string) string {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '\\' {
			b.WriteByte(s[i])
			continue
		}
		end := i + 1
		for end < len(s) && end < i+7 && strings.IndexByte("0123456789abcdefABCDEF", s[end]) >= 0 {
			end++
		}
		if end == i+1 {
			continue
		}
		r, _ := strconv.ParseUint(s[i+1:end], 16, 32)
		b.WriteRune(rune(r))
		if end < len(s) && s[end] <= ' ' {
			end++
		}
		i = end - 1
	}
	return b.String()
}

// bareAddress judges an address by itself whose scheme ends at i.
func (f *finder) bareAddress(i int) {
	start := i
	for start > 0 && i-start < 32 && isSchemeByte(f.s[start-1]) {
		start--
	}
	for start < i && !isLetter(f.s[start]) {
		start++
	}
	if start == i {
		return
	}
	// Who makes links of bare addresses ends them at punctuation, unless a user name goes on.
	stops := bareStops + "()[]{},;'|*"
	head := strings.TrimLeft(f.s[i+1:min(len(f.s), i+maxHead)], "/\\")
	if strings.IndexByte(head[:endOfBareHead.in(head)], '@') >= 0 {
		stops = bareStops
	}
	f.judge(start, form{stops: stops})
}

const bareStops = " \t\n\r\f<>\"`"

// bareHost judges www.example.com, which many clients make a link of.
func (f *finder) bareHost(i int) {
	end := i + endOfBareHost.in(f.s[i:])
	if end-i > maxHead {
		end = i + maxHead
	}
	if name, ok := asciiHost(strings.TrimRight(f.s[i:end], ".:!")); !ok || !f.d.leads("https", name, 0) {
		f.edits = append(f.edits, edit{i, i + 4, f.s[i:i+3] + "[.]"})
	}
}

func isWord(c byte) bool { return isSchemeByte(c) || c == '_' || c == '/' || c == '@' }

// bytesOf is a set of bytes.
type bytesOf [256]bool

func setOf(chars string) *bytesOf {
	var t bytesOf
	for i := range len(chars) {
		t[chars[i]] = true
	}
	return &t
}

// in returns the index of the first byte of s that is in the set, or the length of s.
func (t *bytesOf) in(s string) int {
	for i := range len(s) {
		if t[s[i]] {
			return i
		}
	}
	return len(s)
}

var (
	endOfTagName  = setOf(" \t\n\r\f/>")
	endOfName     = setOf(" \t\n\r\f/>=")
	endOfValue    = setOf(" \t\n\r\f>")
	endOfBareHead = setOf(bareStops + "/\\?#")
	endOfBareHost = setOf(bareStops + "/\\?#'()[]{},;")
)
