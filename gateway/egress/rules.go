package egress

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
)

// defaultPort is the port of an entry that names none: https, since that is what nearly every
// entry is for.
const defaultPort = 443

// Rules is what a server may reach. The zero Rules reaches nothing. Rules is immutable and may
// be shared.
type Rules struct {
	exact map[authority]bool
	below []authority // *.name:port, name without the star
	text  []string    // the entries in the form they are compared in, in the order given
}

// ParseRules reads the entries of a server's egress list:
//
//	api.example.com        the host, port 443
//	api.example.com:8443   the host and that port alone
//	*.example.com:443      every host below example.com, at any depth, but not example.com
//	203.0.113.7:5432       the address; private addresses are reached in this way only
//	[2001:db8::7]:443      the same for IPv6
//
// The error names every entry that is wrong, what is wrong with it and what to write instead.
// On an error the zero Rules is returned.
func ParseRules(entries []string) (Rules, error) {
	r := Rules{exact: make(map[authority]bool)}
	var wrong []error
	for _, entry := range entries {
		name, wildcard := strings.CutPrefix(entry, "*.")
		a, err := parseEntry(name, wildcard)
		if err != nil {
			wrong = append(wrong, fmt.Errorf("egress entry %q %w", printable(entry), err))
			continue
		}
		if wildcard {
			r.below = append(r.below, a)
			r.text = append(r.text, "*."+a.String())
			continue
		}
		r.exact[a] = true
		r.text = append(r.text, a.String())
	}
	if len(wrong) > 0 {
		return Rules{}, errors.Join(wrong...)
	}
	return r, nil
}

// String returns the entries with their ports, separated by commas, or "nothing".
func (r Rules) String() string {
	if len(r.text) == 0 {
		return "nothing"
	}
	return strings.Join(r.text, ", ")
}

// allows reports whether a may be asked for. It says nothing of the addresses that a name
// resolves to.
func (r Rules) allows(a authority) bool {
	if r.exact[a] {
		return true
	}
	for _, b := range r.below {
		if a.port == b.port && strings.HasSuffix(a.name, "."+b.name) {
			return true
		}
	}
	return false
}

// listsAddress reports whether the list holds this very address and port, which is the one
// way to reach an address that is not public.
func (r Rules) listsAddress(p netip.AddrPort) bool {
	return r.exact[authority{addr: p.Addr().Unmap(), port: p.Port()}]
}

// parseEntry reads an entry without its leading "*.".
func parseEntry(s string, wildcard bool) (authority, error) {
	if err := commonMistake(s, wildcard); err != nil {
		return authority{}, err
	}
	a, err := parseAuthority(s, defaultPort)
	switch {
	case err != nil:
		return authority{}, withCure(err)
	case wildcard && a.addr.IsValid():
		return authority{}, errors.New("has a wildcard before an address: list each address by itself")
	case wildcard && !strings.Contains(a.name, "."):
		return authority{}, errors.New("opens a whole top-level domain: write a wildcard below a domain, as in \"*.example.com:443\"")
	case a.addr.Is4In6():
		return authority{}, fmt.Errorf("is an IPv4 address in IPv6 form: write %q", authority{addr: a.addr.Unmap(), port: a.port})
	case a.addr.IsValid() && (a.addr.IsUnspecified() || a.addr.IsMulticast()):
		return authority{}, errors.New("is no address of a host: write the address that the server connects to")
	}
	return a, nil
}

// commonMistake finds what people write that is nearly right, and says what was meant.
func commonMistake(s string, wildcard bool) error {
	if s == "" && !wildcard {
		return errors.New("is empty: write a host and a port, as in \"api.example.com:443\"")
	}
	if scheme, rest, found := strings.Cut(s, "://"); found {
		return fmt.Errorf("has a scheme: write %q", meant(rest, scheme))
	}
	if strings.Contains(s, "@") {
		return errors.New("has a user name: write the host and port alone; a credential belongs in the server's credential")
	}
	if i := strings.IndexAny(s, "/?#"); i >= 0 {
		return fmt.Errorf("has a path: write %q; paths inside https cannot be seen, so all of a host is open or none of it", meant(s[:i], ""))
	}
	if strings.Contains(s, "*") || wildcard && s == "" {
		return errors.New("has a wildcard in the wrong place: a wildcard is the whole first part of the name, as in \"*.example.com:443\"")
	}
	if lower := strings.ToLower(s); lower != s {
		return fmt.Errorf("has upper-case letters: write %q", lower)
	}
	return nil
}

// meant guesses the entry for an address as people copy it from a browser. It drops all that
// could be a secret.
func meant(rest, scheme string) string {
	if i := strings.IndexAny(rest, "/?#"); i >= 0 {
		rest = rest[:i]
	}
	rest = strings.ToLower(rest[strings.LastIndexByte(rest, '@')+1:])
	_, _, hasPort, err := splitPort(rest)
	switch {
	case err != nil || rest == "":
		return "api.example.com:443"
	case hasPort:
		return rest
	case scheme == "http":
		return rest + ":80"
	}
	return rest + ":443"
}

func withCure(err error) error {
	switch {
	case errors.Is(err, errDot):
		return fmt.Errorf("%w: write it without", err)
	case errors.Is(err, errNotASCII):
		return fmt.Errorf("%w: write the name in punycode, as in \"xn--bcher-kva.example:443\"", err)
	case errors.Is(err, errZone):
		return fmt.Errorf("%w: write the address without it", err)
	}
	return fmt.Errorf("%w: write a host and a port, as in \"api.example.com:443\"", err)
}

// printable is the entry for a message, without what stands before an @: it may be a password.
func printable(entry string) string {
	if i := strings.LastIndexByte(entry, '@'); i >= 0 {
		return "…" + entry[i:]
	}
	return entry
}
