package guard

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"golang.org/x/net/idna"
)

// host is one entry of the hosts that links may lead to.
type host struct {
	name  string // as asciiHost returns it
	below bool   // the hosts below name, and not name itself
	port  int    // 0: the usual one of the scheme
}

const hostForm = "write example.com, *.example.com or example.com:8443"

func parseHost(entry string) (host, error) {
	h := host{name: entry}
	wrong := func(why string) (host, error) {
		return host{}, fmt.Errorf("%.80q %s; %s", entry, why, hostForm)
	}
	if strings.Contains(entry, "/") || strings.Contains(entry, "@") {
		return wrong("is not a host")
	}
	if colon := strings.LastIndexByte(entry, ':'); colon >= 0 && !strings.HasSuffix(entry, "]") {
		port, err := strconv.Atoi(entry[colon+1:])
		if err != nil || port < 1 || port > 65535 || strings.HasPrefix(entry[colon+1:], "+") {
			return wrong("has no port after its colon")
		}
		h.port, h.name = port, entry[:colon]
	}
	if name, ok := strings.CutPrefix(h.name, "*."); ok {
		h.below, h.name = true, name
	}
	if strings.Contains(h.name, "*") {
		return wrong("has a * elsewhere than at its beginning")
	}
	name, ok := asciiHost(h.name)
	if !ok {
		return wrong("is not a host")
	}
	if h.below && (!strings.Contains(name, ".") || isAddress(name)) {
		return wrong("stands for more than the hosts of one domain")
	}
	h.name = name
	return h, nil
}

// asciiHost returns a host in the one form in which hosts are compared: lower case, ASCII,
// without a final dot, international names in punycode; and whether it is a host that could be
// in a list. Forms of addresses that only browsers read (0x7f.1) are not.
func asciiHost(name string) (string, bool) {
	if inner, ok := strings.CutPrefix(name, "["); ok {
		addr, err := netip.ParseAddr(strings.TrimSuffix(inner, "]"))
		return "[" + addr.String() + "]", err == nil && addr.Is6() && addr.Zone() == "" && strings.HasSuffix(inner, "]")
	}
	var err error
	if strings.Trim(name, "abcdefghijklmnopqrstuvwxyz0123456789.") != "" {
		name, err = idna.Lookup.ToASCII(name)
	}
	name = strings.TrimSuffix(name, ".")
	if err != nil || name == "" || len(name) > 253 {
		return "", false
	}
	for _, label := range strings.Split(name, ".") {
		if label == "" || len(label) > 63 || strings.Trim(label, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" {
			return "", false
		}
	}
	last := name[strings.LastIndexByte(name, '.')+1:]
	if '0' <= last[0] && last[0] <= '9' { // a browser reads an address here
		return name, isAddress(name)
	}
	return name, true
}

func isAddress(name string) bool {
	_, err := netip.ParseAddr(strings.Trim(name, "[]"))
	return err == nil
}

// leads reports whether a link of this scheme may lead to the host, given as asciiHost returns
// it. Port 0 is the usual one.
func (d *Door) leads(scheme, name string, port int) bool {
	usual := map[string]int{"http": 80, "https": 443}[scheme]
	if usual == 0 {
		return false
	}
	if port == 0 {
		port = usual
	}
	for _, h := range d.hosts {
		want := h.port
		if want == 0 {
			want = usual
		}
		if want == port && (h.name == name && !h.below || h.below && strings.HasSuffix(name, "."+h.name)) {
			return true
		}
	}
	return false
}
