package egress

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestEntriesAreReadWithTheirPorts(t *testing.T) {
	r, err := ParseRules([]string{
		"api.example.com", "api.example.com:8443", "*.example.org:443", "*.a.b_c.example", "10.1.2.3:5432", "[2001:db8::7]", "[2001:0db8::8]:80", "localhost:8080",
	})
	if err != nil {
		t.Fatal(err)
	}
	want := "api.example.com:443, api.example.com:8443, *.example.org:443, *.a.b_c.example:443, 10.1.2.3:5432, [2001:db8::7]:443, [2001:db8::8]:80, localhost:8080"
	if diff := cmp.Diff(want, r.String()); diff != "" {
		t.Errorf("Rules.String (-want +got):\n%s", diff)
	}
	if got := (Rules{}).String(); got != "nothing" {
		t.Errorf("zero Rules is %q; want nothing", got)
	}
}

func TestWrongEntriesAreNamedWithTheCure(t *testing.T) {
	for _, tt := range []struct{ entry, want string }{
		{"https://api.example.com", `egress entry "https://api.example.com" has a scheme: write "api.example.com:443"`},
		{"http://api.example.com/v1?x=1", `egress entry "http://api.example.com/v1?x=1" has a scheme: write "api.example.com:80"`},
		{"https://API.example.com:8443/", `egress entry "https://API.example.com:8443/" has a scheme: write "api.example.com:8443"`},
		{"https://user:hunter2@api.example.com/", `egress entry "…@api.example.com/" has a scheme: write "api.example.com:443"`},
		{"user:hunter2@api.example.com:443", `egress entry "…@api.example.com:443" has a user name: write the host and port alone; a credential belongs in the server's credential`},
		{"api.example.com/v1", `egress entry "api.example.com/v1" has a path: write "api.example.com:443"; paths inside https cannot be seen, so all of a host is open or none of it`},
		{"", `egress entry "" is empty: write a host and a port, as in "api.example.com:443"`},
		{"*", `egress entry "*" has a wildcard in the wrong place: a wildcard is the whole first part of the name, as in "*.example.com:443"`},
		{"*com", `egress entry "*com" has a wildcard in the wrong place: a wildcard is the whole first part of the name, as in "*.example.com:443"`},
		{"*.", `egress entry "*." has a wildcard in the wrong place: a wildcard is the whole first part of the name, as in "*.example.com:443"`},
		{"a.*.com:443", `egress entry "a.*.com:443" has a wildcard in the wrong place: a wildcard is the whole first part of the name, as in "*.example.com:443"`},
		{"api.example.com:*", `egress entry "api.example.com:*" has a wildcard in the wrong place: a wildcard is the whole first part of the name, as in "*.example.com:443"`},
		{"*.com:443", `egress entry "*.com:443" opens a whole top-level domain: write a wildcard below a domain, as in "*.example.com:443"`},
		{"*.10.0.0.1:80", `egress entry "*.10.0.0.1:80" has a wildcard before an address: list each address by itself`},
		{"API.Example.com:443", `egress entry "API.Example.com:443" has upper-case letters: write "api.example.com:443"`},
		{"bücher.example:443", `egress entry "bücher.example:443" has letters beyond ASCII: write the name in punycode, as in "xn--bcher-kva.example:443"`},
		{"api.example.com.:443", `egress entry "api.example.com.:443" ends in a dot: write it without`},
		{"api.example.com:0", `egress entry "api.example.com:0" has a port that is not a number from 1 to 65535: write a host and a port, as in "api.example.com:443"`},
		{"api.example.com:65536", `egress entry "api.example.com:65536" has a port that is not a number from 1 to 65535: write a host and a port, as in "api.example.com:443"`},
		{"api.example.com:0443", `egress entry "api.example.com:0443" has a port that is not a number from 1 to 65535: write a host and a port, as in "api.example.com:443"`},
		{"api.example.com:", `egress entry "api.example.com:" has a port that is not a number from 1 to 65535: write a host and a port, as in "api.example.com:443"`},
		{":443", `egress entry ":443" has no host: write a host and a port, as in "api.example.com:443"`},
		{"api example.com", `egress entry "api example.com" has ' ' in its host: write a host and a port, as in "api.example.com:443"`},
		{"api..example.com", `egress entry "api..example.com" has a part between dots that is empty, longer than 63 characters, or begins or ends with a hyphen: write a host and a port, as in "api.example.com:443"`},
		{"2130706433:80", `egress entry "2130706433:80" is an IPv4 address in a form other than four decimal numbers: write a host and a port, as in "api.example.com:443"`},
		{"0x7f.1:80", `egress entry "0x7f.1:80" is an IPv4 address in a form other than four decimal numbers: write a host and a port, as in "api.example.com:443"`},
		{"127.0.0.0x1:80", `egress entry "127.0.0.0x1:80" is an IPv4 address in a form other than four decimal numbers: write a host and a port, as in "api.example.com:443"`},
		{"0177.0.0.1:80", `egress entry "0177.0.0.1:80" is an IPv4 address in a form other than four decimal numbers: write a host and a port, as in "api.example.com:443"`},
		{"10.0.0.0/8", `egress entry "10.0.0.0/8" has a path: write "10.0.0.0:443"; paths inside https cannot be seen, so all of a host is open or none of it`},
		{"2001:db8::7", `egress entry "2001:db8::7" has more than one colon; an IPv6 address stands in brackets: write a host and a port, as in "api.example.com:443"`},
		{"[2001:db8::7", `egress entry "[2001:db8::7" has a bracket that does not close: write a host and a port, as in "api.example.com:443"`},
		{"[2001:db8::7]443", `egress entry "[2001:db8::7]443" has something other than a port after the bracket: write a host and a port, as in "api.example.com:443"`},
		{"[10.0.0.1]:80", `egress entry "[10.0.0.1]:80" has brackets around something other than an IPv6 address: write a host and a port, as in "api.example.com:443"`},
		{"[fe80::1%eth0]:80", `egress entry "[fe80::1%eth0]:80" has an IPv6 zone: write the address without it`},
		{"[::ffff:10.0.0.1]:80", `egress entry "[::ffff:10.0.0.1]:80" is an IPv4 address in IPv6 form: write "10.0.0.1:80"`},
		{"0.0.0.0:80", `egress entry "0.0.0.0:80" is no address of a host: write the address that the server connects to`},
		{"[ff02::1]:80", `egress entry "[ff02::1]:80" is no address of a host: write the address that the server connects to`},
	} {
		r, err := ParseRules([]string{"good.example.com", tt.entry})
		if err == nil || err.Error() != tt.want {
			t.Errorf("ParseRules(%q)\n got %v\nwant %s", tt.entry, err, tt.want)
		}
		if r.String() != "nothing" {
			t.Errorf("ParseRules(%q) returns %s beside its error; want nothing", tt.entry, r)
		}
	}
}

func TestEveryWrongEntryIsNamedAtOnce(t *testing.T) {
	_, err := ParseRules([]string{"*", "ok.example.com", "https://b.example"})
	if err == nil || strings.Count(err.Error(), "egress entry") != 2 {
		t.Errorf("ParseRules = %v; want a line for each of two", err)
	}
}

func TestRulesAllowWhatTheyNameAndNothingElse(t *testing.T) {
	r, err := ParseRules([]string{"api.example.com", "*.example.org:8443", "10.0.0.7:80", "[2001:db8::7]:80"})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		target string
		want   bool
	}{
		{"api.example.com:443", true},
		{"API.EXAMPLE.COM:443", true},
		{"api.example.com:80", false},
		{"example.com:443", false},
		{"x.api.example.com:443", false},
		{"xapi.example.com:443", false},
		{"a.example.org:8443", true},
		{"a.b.c.example.org:8443", true},
		{"example.org:8443", false},
		{"aexample.org:8443", false},
		{"a.example.org:443", false},
		{"example.org.evil.example:8443", false},
		{"10.0.0.7:80", true},
		{"10.0.0.7:443", false},
		{"10.0.0.8:80", false},
		{"[2001:db8::7]:80", true},
		{"[2001:db8:0::0:7]:80", true},
		{"[::ffff:10.0.0.7]:80", false},
	} {
		a, err := parseAuthority(tt.target, 0)
		if err != nil {
			t.Errorf("parseAuthority(%q): %v", tt.target, err)
			continue
		}
		if got := r.allows(a); got != tt.want {
			t.Errorf("allows(%s) = %t; want %t", tt.target, got, tt.want)
		}
		if (Rules{}).allows(a) {
			t.Errorf("zero Rules allows %s", tt.target)
		}
	}
}

// FuzzParseRules holds that what is accepted is stable: its printed form is read again as the
// same rules, and names no more than one host or one tree of hosts.
func FuzzParseRules(f *testing.F) {
	for _, s := range []string{"api.example.com", "*.example.org:8443", "10.0.0.7:80", "[2001:db8::7]:80", "https://x@y/z", "0x7f.1", "*.", "[::1%lo]:1", "K.example"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ParseRules([]string{s})
		if err != nil {
			if !strings.HasPrefix(err.Error(), "egress entry ") {
				t.Errorf("ParseRules(%q) = %v; want the entry named", s, err)
			}
			return
		}
		again, err := ParseRules([]string{r.String()})
		if err != nil || again.String() != r.String() {
			t.Errorf("ParseRules(%q) = %s, read again = %s, %v", s, r, again, err)
		}
		if strings.ContainsAny(strings.TrimPrefix(r.String(), "*."), "*/@?#% ,") {
			t.Errorf("ParseRules(%q) = %s; want one host and port", s, r)
		}
	})
}
