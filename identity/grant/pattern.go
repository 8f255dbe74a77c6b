package grant

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

const maxPattern = 256

// Pattern matches tools by the name of their server and their own. The zero Pattern matches
// none.
type Pattern struct {
	text         string
	server, tool string // globs without ** runs
}

// ParsePattern reads "server.tool", split at the first dot, for a tool's name may have dots and
// a server's has none. In both parts * stands for any run of characters, also none. The error
// says what to write instead.
func ParsePattern(s string) (Pattern, error) {
	if len(s) > maxPattern {
		return Pattern{}, fmt.Errorf("a pattern of %d bytes; at most %d", len(s), maxPattern)
	}
	if !utf8.ValidString(s) || strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.IsSpace(r) }) {
		return Pattern{}, fmt.Errorf("pattern %q has white space or control characters; write server.tool, such as files.read_*", s)
	}
	server, tool, found := strings.Cut(s, ".")
	switch {
	case s == "":
		return Pattern{}, fmt.Errorf(`an empty pattern; write server.tool, such as files.read_*, or "*.*" for every tool`)
	case !found && strings.Trim(s, "*") == "":
		return Pattern{}, fmt.Errorf(`pattern %q names no tool; write "*.*" for every tool of every server`, s)
	case !found || tool == "":
		return Pattern{}, fmt.Errorf(`pattern %q names no tool; write "%s.*" for all tools of %s`, s, server, server)
	case server == "":
		return Pattern{}, fmt.Errorf(`pattern %q names no server; write "*.%s" for the tool on every server`, s, tool)
	}
	return Pattern{text: s, server: squeeze(server), tool: squeeze(tool)}, nil
}

// squeeze makes one star of each run of them; else matching backtracks for nothing.
func squeeze(glob string) string {
	for strings.Contains(glob, "**") {
		glob = strings.ReplaceAll(glob, "**", "*")
	}
	return glob
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// Match reports whether the pattern matches the tool of the server. A server whose name has a
// dot is matched by none: "a.b" and "c" would read like "a" and "b.c".
func (p Pattern) Match(server, tool string) bool {
	return p.text != "" && strings.IndexByte(server, '.') < 0 && glob(p.server, server) && glob(p.tool, tool)
}

// Covers reports whether p surely matches everything that q matches. It may say no where it is
// so, never yes where it is not: q is read as a name, in which p's letters cannot stand for q's
// stars.
func (p Pattern) Covers(q Pattern) bool {
	return p.text != "" && q.text != "" && glob(p.server, q.server) && glob(p.tool, q.tool)
}

// glob goes back to the last star only, which is enough, since an earlier one could give a later
// one nothing that it cannot take itself: at most len(pattern)*len(s) steps.
func glob(pattern, s string) bool {
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(pattern) && pattern[i] == '*':
			star, mark = i, j
			i++
		case i < len(pattern) && pattern[i] == s[j]:
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pattern) && pattern[i] == '*' {
		i++
	}
	return i == len(pattern)
}
