package builtin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The kinds of arguments.
const (
	Path       = "path"
	URL        = "url"
	Email      = "email"
	Identifier = "identifier"
	SQL        = "sql"
)

// Check is what one argument must be. The zero Check accepts nothing.
type Check struct {
	Kind      string   // one of the constants above
	Within    []string // of a path: the roots that it must be below, absolute
	Hosts     []string // of a URL: exact, *.example.com for all below, or * for every public one
	Schemes   []string // default https
	Ports     []int    // default: that of the scheme
	Private   bool     // a URL may name a private address
	Resolve   bool     // the host of a URL must have public addresses only
	Domains   []string // of mail: exact, *.example.com for all below, or * for all
	Addresses []string // of mail
	Pattern   string   // of an identifier: RE2, for the whole of it
	MaxLen    int      // bytes; default: of the kind
	Dialect   string   // of SQL: postgres
	Optional  bool     // the argument may be absent
}

// longest is how many bytes a value of each kind has at most where nothing else is said.
var longest = map[string]int{Path: 4096, URL: 2048, Email: 254, Identifier: 256, SQL: 16 << 10}

// maxItems is how many values a list has at most; maxCostly, where each is parsed by another program
// or looked up in the network, so that one call cannot keep the gateway busy for long.
const (
	maxItems  = 1000
	maxCostly = 16
)

func (c Check) maxItems() int {
	if c.Kind == SQL || c.Resolve {
		return maxCostly
	}
	return maxItems
}

// judge is how a value of each kind is judged. Each is total: it returns an error for whatever it
// cannot judge, and panics at nothing.
var judge = map[string]func(Check, string) error{Path: Check.path, URL: Check.url, Email: Check.email, Identifier: Check.identifier, SQL: Check.sql}

// Err says why the check itself cannot be meant.
func (c Check) Err() error {
	if judge[c.Kind] == nil {
		return fmt.Errorf("no kind of check is called %q; there are %s, %s, %s, %s and %s", c.Kind, Path, URL, Email, Identifier, SQL)
	}
	if err := c.foreign(); err != nil {
		return err
	}
	switch c.Kind {
	case Path:
		return c.pathErr()
	case URL:
		return c.urlErr()
	case Email:
		return c.emailErr()
	case Identifier:
		_, err := c.compiled()
		return err
	}
	return c.sqlErr()
}

// foreign names what belongs to a check of another kind.
func (c Check) foreign() error {
	for _, of := range []struct {
		given bool
		name  string
		kind  string
	}{
		{len(c.Within) > 0, "within", Path}, {len(c.Hosts) > 0, "hosts", URL}, {len(c.Schemes) > 0, "schemes", URL}, {len(c.Ports) > 0, "ports", URL},
		{c.Private, "private", URL}, {c.Resolve, "resolve", URL}, {len(c.Domains) > 0, "domains", Email}, {len(c.Addresses) > 0, "addresses", Email},
		{c.Pattern != "", "pattern", Identifier}, {c.Dialect != "", "dialect", SQL},
	} {
		if of.given && of.kind != c.Kind {
			return fmt.Errorf("%s is for checks of kind %s, and this is one of kind %s", of.name, of.kind, c.Kind)
		}
	}
	if c.MaxLen < 0 || c.MaxLen > 1<<20 {
		return errors.New("maxLen is from 1 to 1048576 bytes")
	}
	return nil
}

// Judge says why the value is not of its kind, or nil; the words are for whoever made the call.
// value is nil where the argument is absent. A list is judged value by value, and an empty one is
// no value.
func (c Check) Judge(value json.RawMessage) error {
	value = bytes.TrimSpace(value)
	if len(value) == 0 {
		if c.Optional && judge[c.Kind] != nil {
			return nil
		}
		return errors.New("it is missing")
	}
	if value[0] == '[' {
		var list []json.RawMessage
		if json.Unmarshal(value, &list) != nil || len(list) == 0 || len(list) > c.maxItems() {
			return fmt.Errorf("it wants 1 to %d values", c.maxItems())
		}
		for i, one := range list {
			if err := c.one(one); err != nil {
				return fmt.Errorf("value %d: %w", i+1, err)
			}
		}
		return nil
	}
	return c.one(value)
}

func (c Check) one(value json.RawMessage) error {
	var s string
	if len(value) == 0 || value[0] != '"' || json.Unmarshal(value, &s) != nil {
		return errors.New("it is not a text")
	}
	return c.text(s)
}

// text judges one value.
func (c Check) text(s string) error {
	do := judge[c.Kind]
	if do == nil {
		return errors.New("nobody can judge it")
	}
	most := c.MaxLen
	if most == 0 {
		most = longest[c.Kind]
	}
	switch {
	case s == "":
		return errors.New("it is empty")
	case len(s) > most:
		return fmt.Errorf("it has %d bytes; at most %d", len(s), most)
	case !utf8.ValidString(s):
		return errors.New("it is not UTF-8")
	}
	return do(c, s)
}

// unseen says which character of s is a control character or is not seen; allowed are exempt.
func unseen(s, allowed string) error {
	for i, r := range s {
		if !unicode.IsPrint(r) && !strings.ContainsRune(allowed, r) {
			return fmt.Errorf("it has the character U+%04X at byte %d", r, i)
		}
	}
	return nil
}

// quote shows a bounded piece of a value.
func quote(s string) string {
	const most = 64
	if len(s) > most {
		for most := most; ; most-- {
			if utf8.RuneStart(s[most]) {
				return strconv.QuoteToASCII(s[:most]) + "…"
			}
		}
	}
	return strconv.QuoteToASCII(s)
}
