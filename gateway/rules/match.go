package rules

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode"
)

// match reports whether name fits pattern, in which * stands for any number of any characters.
func match(pattern, name string) bool {
	first, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == name
	}
	if !strings.HasPrefix(name, first) {
		return false
	}
	name = name[len(first):]
	for {
		part, after, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(name, part)
		}
		at := strings.Index(name, part)
		if at < 0 {
			return false
		}
		name, rest = name[at+len(part):], after
	}
}

// plainURI says how a URI could be read as another one.
func plainURI(uri string) error {
	if strings.ContainsFunc(uri, func(r rune) bool { return r == '\\' || unicode.IsSpace(r) || !unicode.IsPrint(r) }) {
		return errors.New("it has a backslash, a space or a character that does not print")
	}
	u, err := url.Parse(uri)
	if err != nil || u.Scheme == "" {
		return errors.New("it is not an absolute URI")
	}
	if scheme, _, _ := strings.Cut(uri, ":"); scheme != u.Scheme || u.Host != strings.ToLower(u.Host) || u.User != nil {
		return errors.New("write the scheme and the host in lower case, without a user")
	}
	if u.Scheme == "file" && !strings.HasPrefix(uri, "file:///") {
		return errors.New("write a file as file:///, without a host")
	}
	path := u.Opaque
	if path == "" {
		path = u.EscapedPath()
	}
	for i := 0; i+2 < len(path); i++ {
		if c, ok := unescape(path[i:]); ok && ambiguous(c) {
			return fmt.Errorf("write %s plainly", path[i:i+3])
		}
	}
	for i, segment := range strings.Split(path, "/") {
		if segment == "." || segment == ".." || segment == "" && i > 0 && i < strings.Count(path, "/") {
			return errors.New("its path has an empty segment, or one that is only dots")
		}
	}
	return nil
}

func unescape(s string) (byte, bool) {
	if s[0] != '%' {
		return 0, false
	}
	c, err := url.PathUnescape(s[:3])
	if err != nil {
		return 0, false
	}
	return c[0], true
}

// ambiguous are characters that need no escape (RFC 3986, 2.3), and those that change what the path
// is when somebody unescapes them twice or sooner.
func ambiguous(c byte) bool {
	switch {
	case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9':
		return true
	}
	return strings.IndexByte("-._~/\\%\x00", c) >= 0
}

// Reachable says why no URI that is taken can match a pattern on resources, or nil: what it means
// to mark would be read under another spelling, or is refused under any.
func Reachable(pattern string) error {
	fixed, _, star := strings.Cut(pattern, "*")
	if star && !strings.ContainsAny(fixed, ":/") {
		return nil // a star can be the scheme
	}
	var first error
	for _, some := range []string{"x", "1", "///x", "//x", "/x"} {
		err := plainURI(strings.ReplaceAll(pattern, "*", some))
		if err == nil {
			return nil
		}
		if first == nil {
			first = err
		}
	}
	return first
}
