package egress

import "net/netip"

// special is what no list of names opens: addresses that are of this machine, of the networks
// around it, or of nobody (IANA special-purpose registries, RFC 6890 and its successors). Each
// has the word that the log uses. The first that holds an address is its word.
var special = []struct {
	prefix netip.Prefix
	what   string
}{
	{netip.MustParsePrefix("0.0.0.0/8"), "unspecified"},
	{netip.MustParsePrefix("10.0.0.0/8"), "private"},
	{netip.MustParsePrefix("100.64.0.0/10"), "carrier's private"},
	{netip.MustParsePrefix("127.0.0.0/8"), "loopback"},
	{netip.MustParsePrefix("169.254.0.0/16"), "link-local"},
	{netip.MustParsePrefix("172.16.0.0/12"), "private"},
	{netip.MustParsePrefix("192.0.0.0/24"), "reserved"},
	{netip.MustParsePrefix("192.0.2.0/24"), "documentation"},
	{netip.MustParsePrefix("192.88.99.0/24"), "6to4 relay"},
	{netip.MustParsePrefix("192.168.0.0/16"), "private"},
	{netip.MustParsePrefix("198.18.0.0/15"), "benchmarking"},
	{netip.MustParsePrefix("198.51.100.0/24"), "documentation"},
	{netip.MustParsePrefix("203.0.113.0/24"), "documentation"},
	{netip.MustParsePrefix("224.0.0.0/4"), "multicast"},
	{netip.MustParsePrefix("240.0.0.0/4"), "reserved"},
	{netip.MustParsePrefix("::/128"), "unspecified"},
	{netip.MustParsePrefix("::1/128"), "loopback"},
	{netip.MustParsePrefix("fc00::/7"), "private"},
	{netip.MustParsePrefix("fe80::/10"), "link-local"},
	{netip.MustParsePrefix("ff00::/8"), "multicast"},
	// Forms that carry an IPv4 address. Nobody reaches anything by them any more, so none is
	// opened, whatever the address inside.
	{netip.MustParsePrefix("2002::/16"), "6to4"},
	{netip.MustParsePrefix("2001::/32"), "Teredo"},
	{netip.MustParsePrefix("2001::/23"), "reserved"},
	{netip.MustParsePrefix("2001:db8::/32"), "documentation"},
	{netip.MustParsePrefix("3fff::/20"), "documentation"},
}

var (
	// nat64 is the one embedding in use: networks with IPv6 alone reach IPv4 hosts through it
	// (RFC 6052), so the address inside is looked at instead. Prefixes that a network chooses
	// for itself cannot be told from other addresses.
	nat64 = netip.MustParsePrefix("64:ff9b::/96")
	// global is the part of IPv6 that is handed out; all outside it is refused unnamed.
	global = netip.MustParsePrefix("2000::/3")
)

// notPublic returns a word for what addr is, when it is something other than an address of
// the public internet, and "" when it is one.
func notPublic(addr netip.Addr) string {
	if addr.Zone() != "" || !addr.IsValid() {
		return "scoped"
	}
	addr = addr.Unmap()
	if nat64.Contains(addr) {
		b := addr.As16()
		return notPublic(netip.AddrFrom4([4]byte(b[12:])))
	}
	for _, s := range special {
		if s.prefix.Contains(addr) {
			return s.what
		}
	}
	if addr.Is6() && !global.Contains(addr) {
		return "reserved"
	}
	return ""
}
