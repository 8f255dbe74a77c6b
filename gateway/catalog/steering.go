package catalog

import (
	"bytes"
	"fmt"
	"strconv"
	"strings"

	"sallyport/gateway/guard/hidden"
	"sallyport/internal/strictjson"
)

// CheckSteering returns an error, which names the character and its place, if a string or a name
// anywhere in a JSON value has a character that steers what shows it: what a terminal obeys
// (control characters but tab and line ends, C1 and with it ESC), what turns the direction of
// writing, and tag characters, which spell text that nobody sees. No definition is served with one,
// whoever approves of it: there is nothing that it could be needed for.
func CheckSteering(doc []byte) error {
	if plainText(doc) {
		return nil
	}
	return EachText(doc, func(pointer, text string) error {
		for i, r := range text {
			if steers(r) {
				return fmt.Errorf("%s: %s at byte %d", Place(pointer), hidden.Name(r), i)
			}
		}
		return nil
	})
}

// plainText reports that a document cannot have such a character: there is no escape of one in it,
// and nothing beyond ASCII.
func plainText(doc []byte) bool {
	for _, c := range doc {
		if c >= 0x7f {
			return false
		}
	}
	return !bytes.Contains(doc, []byte(`\u`)) && !bytes.Contains(doc, []byte(`\b`)) && !bytes.Contains(doc, []byte(`\f`))
}

func steers(r rune) bool {
	switch {
	case r == '\t', r == '\n', r == '\r':
		return false
	case r < ' ', 0x7f <= r && r <= 0x9f, // control characters
		r == 0x061c, 0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, // direction
		0xe0000 <= r && r <= 0xe007f: // tags
		return true
	}
	return false
}

// Place names the place in a document that a JSON pointer leads to, for a person: bounded, and in
// characters that are seen.
func Place(pointer string) string {
	if pointer == "" {
		return "the text"
	}
	return strings.Trim(strconv.QuoteToASCII(truncate(strings.ReplaceAll(pointer[1:], "/", "."), maxQuoted)), `"`)
}

// EachText calls f for each string in a JSON value that has passed the strict check, the names of
// members included, with the JSON pointer of the value that it is or that it names. It stops at the
// first error and returns it.
func EachText(doc []byte, f func(pointer, text string) error) error {
	return eachText(trim(doc), "", f)
}

func eachText(value []byte, pointer string, f func(pointer, text string) error) error {
	if len(value) == 0 {
		return nil
	}
	switch value[0] {
	case '"':
		text, err := strictjson.String(value)
		if err != nil {
			return err
		}
		return f(pointer, text)
	case '[':
		elements, err := strictjson.Array(value)
		for i, e := range elements {
			if err == nil {
				err = eachText(e.Of(value), pointer+"/"+strconv.Itoa(i), f)
			}
		}
		return err
	case '{':
		members, err := strictjson.Object(value)
		for _, m := range members {
			below := pointer + "/" + pointerEscaper.Replace(m.Name)
			if err == nil {
				err = f(below, m.Name)
			}
			if err == nil {
				err = eachText(m.Value().Of(value), below, f)
			}
		}
		return err
	}
	return nil
}
