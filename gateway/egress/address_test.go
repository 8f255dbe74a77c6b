package egress

import (
	"net/netip"
	"testing"
)

func TestOnlyPublicAddressesArePublic(t *testing.T) {
	for _, tt := range []struct{ addr, want string }{
		{"93.184.215.14", ""},
		{"9.255.255.255", ""},
		{"11.0.0.0", ""},
		{"172.15.255.255", ""},
		{"172.32.0.0", ""},
		{"223.255.255.255", ""},
		{"2606:2800:21f:cb07::1", ""},
		{"64:ff9b::5db8:d70e", ""},
		{"::ffff:93.184.215.14", ""},

		{"0.0.0.0", "unspecified"},
		{"0.1.2.3", "unspecified"},
		{"10.0.0.1", "private"},
		{"172.16.0.1", "private"},
		{"172.31.255.255", "private"},
		{"192.168.1.1", "private"},
		{"100.64.0.1", "carrier's private"},
		{"100.127.255.255", "carrier's private"},
		{"127.0.0.1", "loopback"},
		{"127.255.255.254", "loopback"},
		{"169.254.169.254", "link-local"},
		{"192.0.0.192", "reserved"},
		{"198.18.0.1", "benchmarking"},
		{"224.0.0.251", "multicast"},
		{"255.255.255.255", "reserved"},
		{"::", "unspecified"},
		{"::1", "loopback"},
		{"fe80::1", "link-local"},
		{"fd00:ec2::254", "private"},
		{"fec0::1", "reserved"},
		{"ff02::1", "multicast"},
		{"100::1", "reserved"},

		{"::ffff:127.0.0.1", "loopback"},
		{"::ffff:169.254.169.254", "link-local"},
		{"::7f00:1", "reserved"}, // IPv4-compatible 127.0.0.1
		{"64:ff9b::7f00:1", "loopback"},
		{"64:ff9b::a9fe:a9fe", "link-local"},
		{"64:ff9b:1::7f00:1", "reserved"},
		{"2002:7f00:1::", "6to4"},
		{"2002:a9fe:a9fe::1", "6to4"},
		{"2001:0:7f00:1::", "Teredo"},
		{"2001:0:4136:e378:8000:63bf:3fff:fdd2", "Teredo"},
		{"2001:10::1", "reserved"},
		{"2001:db8::1", "documentation"},
		{"3fff::1", "documentation"},
		{"2606:2800:21f:cb07::1%eth0", "scoped"},
	} {
		if got := notPublic(netip.MustParseAddr(tt.addr)); got != tt.want {
			t.Errorf("notPublic(%s) = %q; want %q", tt.addr, got, tt.want)
		}
	}
	if notPublic(netip.Addr{}) == "" {
		t.Error("the zero address is public")
	}
}
