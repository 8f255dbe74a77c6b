package builtin

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// hostName is a host name in its plain form.
var hostName = regexp.MustCompile(`^(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)*[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?$`)

var portOf = map[string]int{"https": 443, "http": 80, "wss": 443, "ws": 80, "ftp": 21, "ssh": 22}

// anyHost stands for every public host.
const anyHost = "*"

func (c Check) urlErr() error {
	if len(c.Hosts) == 0 {
		return errors.New(`a check of kind url wants hosts; ["*"] for every public one`)
	}
	for _, h := range c.Hosts {
		if h == anyHost {
			continue
		}
		name := strings.TrimPrefix(h, "*.")
		_, addr := netip.ParseAddr(name)
		if !hostName.MatchString(name) && addr != nil || name != h && addr == nil {
			return fmt.Errorf("%s is no host; write example.com, *.example.com or an address, in lower case", quote(h))
		}
	}
	for _, p := range c.Ports {
		if p < 1 || p > 65535 {
			return fmt.Errorf("%d is no port", p)
		}
	}
	return nil
}

func (c Check) url(s string) error {
	u, host, err := plainURL(s)
	if err != nil {
		return err
	}
	schemes := c.Schemes
	if len(schemes) == 0 {
		schemes = []string{"https"}
	}
	if !slices.Contains(schemes, u.Scheme) {
		return fmt.Errorf("its scheme is %s; it may be %s", quote(u.Scheme), strings.Join(schemes, ", "))
	}
	if err := c.port(u); err != nil {
		return err
	}
	addr, isAddr := netip.ParseAddr(host)
	if isAddr == nil && !c.Private && !public(addr) {
		return fmt.Errorf("%s is a private address", quote(host))
	}
	if !hostAllowed(host, c.Hosts, isAddr == nil) {
		return fmt.Errorf("the host %s is not among those that it may name", quote(host))
	}
	if !c.Private && (host == "localhost" || strings.HasSuffix(host, ".localhost")) {
		return fmt.Errorf("%s is this machine", quote(host))
	}
	if isAddr != nil && !c.Private && inner(host) && !hostAllowed(host, named(c.Hosts), false) {
		return fmt.Errorf("%s is a name of an inner network; name it in hosts if it is meant", quote(host))
	}
	if c.Resolve && isAddr != nil {
		return c.resolve(host)
	}
	return nil
}

// plainURL takes what every parser reads alike: only what comes out of one parse as it went in.
func plainURL(s string) (*url.URL, string, error) {
	if err := unseen(s, ""); err != nil {
		return nil, "", err
	}
	if strings.ContainsAny(s, "\\ \"<>^`{|}") {
		return nil, "", errors.New("it has a character that a URL has not (a space, a backslash, a quote …)")
	}
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, "", errors.New("it is not a URL")
	case u.Scheme == "" || u.Opaque != "" || u.Host == "":
		return nil, "", errors.New("it is not a URL with a scheme and a host, as https://example.com/")
	case u.User != nil:
		return nil, "", errors.New("it names a user; write it without")
	case u.String() != s:
		return nil, "", fmt.Errorf("it can be read in more than one way; write %s", quote(u.String()))
	}
	host := u.Hostname()
	addr, bad := netip.ParseAddr(host)
	switch {
	case bad == nil && (addr.String() != host || addr.Zone() != ""):
		return nil, "", errors.New("its address is not in its usual form")
	case bad != nil && !hostName.MatchString(host):
		return nil, "", errors.New("its host is neither a name in lower case (punycode for other letters) nor an address in its usual form")
	}
	return u, host, nil
}

func (c Check) port(u *url.URL) error {
	port := portOf[u.Scheme]
	if p := u.Port(); p != "" {
		n, err := strconv.Atoi(p)
		if err != nil || strconv.Itoa(n) != p {
			return errors.New("its port is not a number in its usual form")
		}
		port = n
	} else if strings.HasSuffix(u.Host, ":") {
		return errors.New("it has a colon and no port")
	}
	if len(c.Ports) == 0 && port == portOf[u.Scheme] && port != 0 || slices.Contains(c.Ports, port) {
		return nil
	}
	return fmt.Errorf("the port %d is not among those that it may name", port)
}

func hostAllowed(host string, hosts []string, isAddr bool) bool {
	return slices.ContainsFunc(hosts, func(h string) bool {
		suffix, wild := strings.CutPrefix(h, "*")
		return h == host || h == anyHost || wild && !isAddr && strings.HasSuffix(host, suffix)
	})
}

// innerNames end names that the public DNS does not have (RFC 6762, 8375, 9476; ICANN's resolution on
// .internal), and under which clouds keep the credentials of machines.
var innerNames = []string{".internal", ".local", ".home.arpa", ".lan", ".intranet", ".corp", ".home", ".private", ".test", ".invalid", ".onion", ".alt"}

// inner reports whether a name is not one of the public Internet.
func inner(host string) bool {
	return !strings.Contains(host, ".") || slices.ContainsFunc(innerNames, func(end string) bool { return strings.HasSuffix(host, end) })
}

// named are the hosts that the operator has written down, rather than all there are.
func named(hosts []string) []string {
	return slices.DeleteFunc(slices.Clone(hosts), func(h string) bool { return h == anyHost })
}

// reserved are networks that are not the public Internet's, beside those that netip knows.
var reserved = prefixes("0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
	"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "5f00::/16")

func prefixes(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

// public reports whether an address is one of the public Internet.
func public(a netip.Addr) bool {
	if a.Is4In6() {
		return false // two notations for one address
	}
	if !a.IsGlobalUnicast() || a.IsPrivate() || a.IsLoopback() || a.IsLinkLocalUnicast() || a.IsMulticast() || a.IsUnspecified() {
		return false
	}
	return !slices.ContainsFunc(reserved, func(p netip.Prefix) bool { return p.Contains(a) })
}

// resolveTime bounds looking a name up.
const resolveTime = 2 * time.Second

// resolve says which address of a host is not public. The server looks the name up again, so this
// is no wall: where a server can connect to is bounded by its sandbox.
func (c Check) resolve(host string) error {
	ctx, cancel := context.WithTimeout(context.Background(), resolveTime)
	defer cancel()
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", host)
	if err != nil || len(addrs) == 0 {
		return fmt.Errorf("the host %s has no address that could be looked at", quote(host))
	}
	for _, a := range addrs {
		if !c.Private && !public(a.Unmap()) {
			return fmt.Errorf("the host %s has a private address", quote(host))
		}
	}
	return nil
}
