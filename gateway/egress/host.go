package egress

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strconv"
	"strings"
)

// Flaws of a host for which [ParseRules] knows a better cure than "write a host and a port".
var (
	errDot      = errors.New("ends in a dot")
	errNotASCII = errors.New("has letters beyond ASCII")
	errZone     = errors.New("has an IPv6 zone")
)

// An authority is a host and a port, in the one form that this package compares: the name in
// lower case, or the address. Exactly one of name and addr is set; the zero authority is
// nothing that can be listed or asked for.
type authority struct {
	name string
	addr netip.Addr
	port uint16
}

func (a authority) host() string {
	if a.addr.IsValid() {
		return a.addr.String()
	}
	return a.name
}

func (a authority) String() string {
	return net.JoinHostPort(a.host(), strconv.Itoa(int(a.port)))
}

// parseAuthority reads host, host:port, 192.0.2.1:port or [2001:db8::1]:port. A missing port
// is the given one; a missing port and none given is an error. Letters of a name may be of
// either case, as in every other client of DNS.
func parseAuthority(s string, port uint16) (authority, error) {
	host, digits, found, err := splitPort(s)
	if err != nil {
		return authority{}, err
	}
	if found {
		if port, err = parsePort(digits); err != nil {
			return authority{}, err
		}
	}
	if port == 0 {
		return authority{}, errors.New("has no port")
	}
	if strings.HasPrefix(host, "[") {
		addr, err := parseV6(host[1 : len(host)-1])
		return authority{addr: addr, port: port}, err
	}
	if endsInNumber(host) {
		addr, err := netip.ParseAddr(host)
		if err != nil {
			return authority{}, errors.New("is an IPv4 address in a form other than four decimal numbers")
		}
		return authority{addr: addr, port: port}, nil
	}
	if strings.ContainsFunc(host, func(r rune) bool { return r >= 0x80 }) {
		return authority{}, errNotASCII // before ToLower, which makes an ASCII k of the Kelvin sign
	}
	name := strings.ToLower(host)
	return authority{name: name, port: port}, checkName(name)
}

// splitPort cuts the port off; found says whether there is one. The host keeps its brackets.
func splitPort(s string) (host, port string, found bool, err error) {
	if strings.HasPrefix(s, "[") {
		end := strings.IndexByte(s, ']')
		switch {
		case end < 0:
			return "", "", false, errors.New("has a bracket that does not close")
		case end == len(s)-1:
			return s, "", false, nil
		case s[end+1] != ':':
			return "", "", false, errors.New("has something other than a port after the bracket")
		}
		return s[:end+1], s[end+2:], true, nil
	}
	host, port, found = strings.Cut(s, ":")
	if strings.Contains(port, ":") {
		return "", "", false, errors.New("has more than one colon; an IPv6 address stands in brackets")
	}
	return host, port, found, nil
}

func parsePort(digits string) (uint16, error) {
	n, err := strconv.ParseUint(digits, 10, 16)
	// ParseUint takes +80 and 0080 too; two spellings of a port are one too many.
	if err != nil || n == 0 || strconv.FormatUint(n, 10) != digits {
		return 0, errors.New("has a port that is not a number from 1 to 65535")
	}
	return uint16(n), nil
}

func parseV6(s string) (netip.Addr, error) {
	addr, err := netip.ParseAddr(s)
	switch {
	case err != nil || !addr.Is6():
		return netip.Addr{}, errors.New("has brackets around something other than an IPv6 address")
	case addr.Zone() != "":
		// A zone picks an interface of this machine, which is nothing for a sandbox to pick.
		return netip.Addr{}, errZone
	}
	return addr, nil
}

// endsInNumber reports whether a resolver may take s for an IPv4 address: its last label is a
// number, decimal, octal or hexadecimal (WHATWG URL, "ends in a number checker"). No name of
// the DNS ends so, and inet_aton reads "127.1", "0x7f.1" and "2130706433" as 127.0.0.1.
func endsInNumber(s string) bool {
	last := s[strings.LastIndexByte(s, '.')+1:]
	if last == "" {
		return false
	}
	if strings.HasPrefix(last, "0x") || strings.HasPrefix(last, "0X") {
		return true
	}
	return strings.Trim(last, "0123456789") == ""
}

// checkName returns what is wrong with s as a name of the DNS in lower case. Underscores are
// let through because names with them exist and resolve.
func checkName(s string) error {
	switch {
	case s == "":
		return errors.New("has no host")
	case len(s) > 253:
		return errors.New("has a host of more than 253 characters")
	case strings.HasSuffix(s, "."):
		return errDot
	}
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return errors.New("has a part between dots that is empty, longer than 63 characters, or begins or ends with a hyphen")
		}
		for _, c := range label {
			if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-' || c == '_') {
				return fmt.Errorf("has %q in its host", c)
			}
		}
	}
	return nil
}
