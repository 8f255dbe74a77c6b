package guard

import (
	"html"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// An address is read as the most lenient of those who will read it does: a browser drops tabs
// and line ends, takes a backslash for a slash, and decodes escapes in hosts (WHATWG URL,
// "basic URL parser"); Markdown drops backslashes and decodes entities before that. Where two
// readings differ, each must lead where links may.

// form is how an address is written at its place.
type form struct {
	escapes  bool   // a backslash before punctuation is dropped (Markdown)
	entities bool   // &#104; is h (Markdown, HTML)
	strict   bool   // whatever has a scheme is an address, not only what is one for certain
	known    bool   // only what has a scheme that does something by itself is
	stops    string // characters, as written, that an address does not hold here
}

// edit replaces s[start:end].
type edit struct {
	start, end int
	with       string
}

// dangerous are the schemes that do or load something by themselves.
var dangerous = []string{"http", "https", "ftp", "ftps", "ws", "wss", "file", "data", "javascript", "vbscript", "livescript", "blob", "filesystem", "view-source", "intent", "jar", "mhtml", "ms-msdt", "search-ms", "mailto"}

// harmless are schemes that lead nowhere, besides those that this file writes.
var harmless = []string{"about", "cid", "urn", "hxxp", "hxxps"}

// reader reads the beginnings of addresses, again and again.
type reader struct {
	text []byte // what was read
	ends []int  // for each byte of text, where it ends in the source
	as   bool   // text is not as it is written
	work int    // bytes that were read in all
}

// maxHead bounds what is read of an address, in bytes of what is read. A host is far shorter.
const maxHead = 1024

// outside returns the edit that makes the address at s[at:] inert, if it leads somewhere that
// links may not.
func (d *Door) outside(s string, at int, f form, r *reader) (edit, bool) {
	if !mayBeAddress(s[at:]) {
		return edit{}, false
	}
	r.read(s, at, f)
	if with, n, ok := d.inertHead(r.text, f); ok {
		return edit{at, r.ends[n-1], with}, true
	}
	if !r.as {
		return edit{}, false
	}
	// Decoded it leads where it may, or is no address; who does not decode may see another.
	f.escapes, f.entities = false, false
	r.read(s, at, f)
	if with, n, ok := d.inertHead(r.text, f); ok {
		return edit{at, r.ends[n-1], with}, true
	}
	return edit{}, false
}

// mayBeAddress is quick, and false only for what begins with neither a scheme nor slashes.
func mayBeAddress(s string) bool {
	for i := 0; i < len(s) && i < 64; i++ {
		switch c := s[i]; {
		case c == ':' || c == '&' || c == '\\':
			return true
		case c == '/': // one slash begins a path, but not before another in any writing
			return i+1 < len(s) && strings.IndexByte("/\\&\t\r\n", s[i+1]) >= 0
		case c <= ' ' || c == '"' || c == '\'' || c == '`' || isSchemeByte(c):
		default:
			return false
		}
	}
	return len(s) >= 64
}

func isSchemeByte(c byte) bool {
	return 'a' <= c|0x20 && c|0x20 <= 'z' || '0' <= c && c <= '9' || c == '+' || c == '-' || c == '.'
}

// read reads the head of an address at s[at:], at most maxHead bytes: without the tabs and line
// ends that browsers drop and what they drop before an address, and to where its host ends.
func (r *reader) read(s string, at int, f form) {
	r.text, r.ends, r.as = r.text[:0], r.ends[:0], false
	i := at
	for i < len(s) && len(r.text) < maxHead {
		c := s[i]
		if strings.IndexByte(f.stops, c) >= 0 && (c > ' ' || len(r.text) > 0) || r.ended(c) {
			break
		}
		switch {
		case f.escapes && c == '\\' && i+1 < len(s) && isPunct(s[i+1]):
			r.as = true
			i += 2
			r.put(s[i-1], i)
			continue
		case f.entities && c == '&':
			if text, n := entity(s[i:]); n > 0 {
				r.as = true
				i += n
				for j := range len(text) {
					r.put(text[j], i)
				}
				continue
			}
		}
		i++
		r.put(c, i)
	}
	r.work += i - at
}

func (r *reader) put(c byte, end int) {
	if c == '\t' || c == '\n' || c == '\r' || c <= ' ' && len(r.text) == 0 {
		return
	}
	r.text, r.ends = append(r.text, c), append(r.ends, end)
}

// ended reports whether c ends a host, or shows that there is none.
func (r *reader) ended(c byte) bool {
	if c != '/' && c != '?' && c != '#' || len(r.text) == 0 {
		return false
	}
	last := r.text[len(r.text)-1]
	return last != '/' && last != '\\' && last != ':' && last > ' ' && last != '"' && last != '\'' && last != '`'
}

func isPunct(c byte) bool {
	return '!' <= c && c <= '/' || ':' <= c && c <= '@' || '[' <= c && c <= '`' || '{' <= c && c <= '~'
}

// entity decodes the character reference that s begins with, and returns its length. A number
// needs no semicolon; of names none that could stand in the head of an address goes without.
func entity(s string) (string, int) {
	i := 1
	if digits := "0123456789"; len(s) > 2 && s[1] == '#' {
		if i = 2; s[2]|0x20 == 'x' {
			i, digits = 3, "0123456789abcdefABCDEF"
		}
		first := i
		for i < len(s) && strings.IndexByte(digits, s[i]) >= 0 {
			i++
		}
		if i == first {
			return "", 0
		}
		text := html.UnescapeString(s[:i] + ";")
		if i < len(s) && s[i] == ';' {
			i++
		}
		return text, i
	}
	for i < len(s) && i < 40 && isSchemeByte(s[i]) {
		i++
	}
	if i == len(s) || s[i] != ';' {
		return "", 0
	}
	if text := html.UnescapeString(s[:i+1]); text != s[:i+1] {
		return text, i + 1
	}
	return "", 0
}

// inertHead judges the beginning of an address. It returns what stands for its first n bytes
// where it leads outside.
func (d *Door) inertHead(b []byte, f form) (with string, n int, ok bool) {
	i := 0
	for i < len(b) && (b[i] <= ' ' || b[i] == '"' || b[i] == '\'' || b[i] == '`' || b[i] == '\\' && i+1 < len(b) && (b[i+1] == '"' || b[i+1] == '\'')) {
		i++
	}
	lead := string(b[:i])
	scheme, colon := schemeOf(b, i)
	if colon < 0 {
		if i, slashes := skipSlashes(b, i); slashes >= 2 {
			with, n, ok = d.inertHost(b, i, "https")
			return lead + with, n, ok
		}
		return "", 0, false
	}
	if slices.Contains(harmless, scheme) || strings.HasPrefix(scheme, "inert-") || len(scheme) == 1 {
		return "", 0, false
	}
	known := slices.Contains(dangerous, scheme)
	next, slashes := skipSlashes(b, colon+1)
	switch {
	case scheme == "http" || scheme == "https":
		with, n, ok = d.inertHost(b, next, scheme)
		return lead + with, n, ok
	case scheme == "file" && localFile(b[colon+1:]):
		return "", 0, false
	case !known && (f.known || !f.strict && slashes < 2):
		return "", 0, false
	case !known && colon+1 < len(b) && b[colon+1] == ':': // std::string
		return "", 0, false
	}
	return lead + "inert-" + scheme + ":", colon + 1, true
}

// schemeOf returns the scheme that begins at b[i] in lower case, and where its colon is, or -1.
func schemeOf(b []byte, i int) (string, int) {
	var scheme []byte
	for ; i < len(b) && len(scheme) < 64; i++ {
		switch c := b[i]; {
		case c == ':' && len(scheme) > 0:
			return string(scheme), i
		case isSchemeByte(c) && (len(scheme) > 0 || 'a' <= c|0x20 && c|0x20 <= 'z'):
			if 'A' <= c && c <= 'Z' {
				c += 'a' - 'A'
			}
			scheme = append(scheme, c)
		default:
			return "", -1
		}
	}
	return "", -1
}

func skipSlashes(b []byte, i int) (next, slashes int) {
	for i < len(b) && (b[i] == '/' || b[i] == '\\') {
		i, slashes = i+1, slashes+1
	}
	return i, slashes
}

// localFile holds for file:///x and file://localhost/x, which name a file of the reader's own
// machine; file://host/x and file:////host/x are fetched from a host by some systems.
func localFile(b []byte) bool {
	rest, ok := strings.CutPrefix(string(b), "//localhost")
	if !ok {
		rest, ok = strings.CutPrefix(string(b), "//")
	}
	return ok && strings.HasPrefix(rest, "/") && (len(rest) == 1 || strings.IndexByte("/\\%", rest[1]) < 0)
}

// inertHost judges the host that begins at b[i].
func (d *Door) inertHost(b []byte, i int, scheme string) (with string, n int, ok bool) {
	end := i
	for end < len(b) && strings.IndexByte("/\\?#", b[end]) < 0 {
		end++
	}
	if end == i {
		return "", 0, false // leads nowhere
	}
	authority := string(b[i:end])
	user, name := "", authority
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		user, name = authority[:at+1], authority[at+1:]
	}
	port := ""
	if colon := strings.LastIndexByte(name, ':'); colon >= 0 && !strings.HasSuffix(name, "]") {
		name, port = name[:colon], name[colon:]
	}
	number, err := strconv.Atoi(strings.TrimPrefix(port+"0", ":"))
	number /= 10 // an empty port is the usual one
	sound := err == nil && number < 65536 && !strings.ContainsAny(port, "+-")
	if plain, err := url.PathUnescape(name); err == nil {
		if host, ok := asciiHost(plain); ok {
			if sound && d.leads(scheme, host, number) {
				return "", 0, false
			}
			name = host
		}
	}
	shown := harmlessText(user) + strings.ReplaceAll(harmlessText(name), ".", "[.]") + harmlessText(port)
	return strings.Replace(scheme, "tt", "xx", 1) + "://" + shown, end, true
}

// harmlessText writes what is no plain part of a host in percent escapes, so that nothing in it
// can be markup.
func harmlessText(s string) string {
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; isSchemeByte(c) || c == ':' || c == '@' || c == '%' || c == '_' {
			b.WriteByte(c)
			continue
		}
		b.WriteString("%" + strings.ToUpper(strconv.FormatUint(uint64(s[i])+0x100, 16)[1:]))
	}
	return b.String()
}
