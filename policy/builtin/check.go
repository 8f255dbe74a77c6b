package builtin

import (
	"encoding/json"
	"fmt"
)

// Check is what one argument must be. The zero Check accepts nothing.
type Check struct {
	Kind      string   // path, url, email, identifier or sql
	Within    []string // of a path: the roots that it must be below
	Hosts     []string // of a URL: exact, or *.example.com for all below
	Schemes   []string
	Ports     []int
	Private   bool // a URL may lead to a private address
	Domains   []string
	Addresses []string
	Pattern   string // of an identifier: RE2, for the whole of it
	MaxLen    int    // bytes
	Dialect   string // of SQL
	Optional  bool   // the argument may be absent
}

// Err says why the check itself cannot be meant.
func (c Check) Err() error { return fmt.Errorf("no kind of check is called %q", c.Kind) }

// Judge says why the value is not of its kind, or nil. value is nil where the argument is absent.
func (c Check) Judge(value json.RawMessage) error { return c.Err() }
