package builtin

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"
)

// mailbox is the plain form of an address: dot-atoms of RFC 5322 before the @, a host name behind
// it. No comments, no quotes, no display name, no list.
var mailbox = regexp.MustCompile(`^([A-Za-z0-9!#$%&'*+/=?^_{|}~-]+(?:\.[A-Za-z0-9!#$%&'*+/=?^_{|}~-]+)*)@([A-Za-z0-9.-]+)$`)

func (c Check) emailErr() error {
	if len(c.Domains)+len(c.Addresses) == 0 {
		return errors.New("a check of kind email wants domains or addresses")
	}
	for _, d := range c.Domains {
		if d != anyHost && !hostName.MatchString(strings.TrimPrefix(d, "*.")) {
			return fmt.Errorf("%s is no domain; write example.com or *.example.com, in lower case", quote(d))
		}
	}
	for _, a := range c.Addresses {
		if _, _, err := splitAddress(a); err != nil {
			return fmt.Errorf("%s is no address: %w", quote(a), err)
		}
	}
	return nil
}

func splitAddress(s string) (local, domain string, err error) {
	m := mailbox.FindStringSubmatch(s)
	if m == nil || len(m[1]) > 64 {
		return "", "", errors.New("it is not one plain address, as ann@example.com")
	}
	domain = strings.ToLower(m[2])
	if !hostName.MatchString(domain) {
		return "", "", errors.New("its domain is not a host name")
	}
	return m[1], domain, nil
}

func (c Check) email(s string) error {
	local, domain, err := splitAddress(s)
	if err != nil {
		return err
	}
	if hostAllowed(domain, c.Domains, false) || slices.Contains(c.Addresses, local+"@"+domain) {
		return nil
	}
	return fmt.Errorf("mail to %s is not among what may be sent to", quote(s))
}

// patterns are the compiled ones, by their text. The operator writes them, so they are few; a policy
// could make them of its input, so they are bounded.
var patterns struct {
	sync.Mutex
	of map[string]*regexp.Regexp
}

const (
	maxPatterns = 256
	maxPattern  = 1024 // bytes
)

func (c Check) compiled() (*regexp.Regexp, error) {
	if c.Pattern == "" {
		return nil, errors.New("a check of kind identifier wants a pattern")
	}
	if len(c.Pattern) > maxPattern {
		return nil, fmt.Errorf("the pattern has %d bytes; at most %d", len(c.Pattern), maxPattern)
	}
	patterns.Lock()
	defer patterns.Unlock()
	if re := patterns.of[c.Pattern]; re != nil {
		return re, nil
	}
	// Alone first: `a)|(?:b` is no expression, and between the brackets it would be one that holds
	// for a part of the text.
	_, err := regexp.Compile(c.Pattern)
	if err != nil {
		return nil, fmt.Errorf("the pattern %s is no regular expression (RE2)", quote(c.Pattern))
	}
	re, err := regexp.Compile(`\A(?:` + c.Pattern + `)\z`)
	if err != nil {
		return nil, fmt.Errorf("the pattern %s is no regular expression (RE2)", quote(c.Pattern))
	}
	if patterns.of == nil || len(patterns.of) >= maxPatterns {
		patterns.of = map[string]*regexp.Regexp{}
	}
	patterns.of[c.Pattern] = re
	return re, nil
}

func (c Check) identifier(s string) error {
	if err := unseen(s, ""); err != nil {
		return err
	}
	re, err := c.compiled()
	if err != nil {
		return err
	}
	if !re.MatchString(s) {
		return fmt.Errorf("%s is not of the form %s", quote(s), quote(c.Pattern))
	}
	return nil
}
