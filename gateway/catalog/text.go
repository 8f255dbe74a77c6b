package catalog

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"
)

// quoteName quotes a name that came from outside: bounded, and without characters that could
// forge a line of a log or steer a terminal.
func quoteName(name string) string { return strconv.Quote(truncate(name, maxQuoted)) }

// truncate cuts s to at most n bytes and an ellipsis, between characters.
func truncate(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return s[:n] + "…"
}

// clip returns err as one line of bounded length. What it wrapped is lost: the errors of the
// schema compiler are for people only.
func clip(err error) error {
	line := strings.Join(strings.Fields(err.Error()), " ")
	line = strings.ReplaceAll(line, base, "")
	return errors.New(truncate(strings.ToValidUTF8(line, "?"), maxMessage))
}
