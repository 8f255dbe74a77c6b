package guard

import "testing"

func TestLinkHostsAreMatchedExactly(t *testing.T) {
	d, err := New(Config{LinkHosts: []string{"example.com", "*.docs.example.com", "localhost:8080", "münchen.example", "127.0.0.1", "[::1]:9000"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		scheme, host string
		port         int
		want         bool
	}{
		{"https", "example.com", 0, true}, {"http", "EXAMPLE.com.", 0, true}, {"https", "example.com", 443, true},
		{"https", "example.com", 8443, false}, {"https", "example.com", 80, false}, {"http", "example.com", 80, true},
		{"ftp", "example.com", 0, false}, {"javascript", "example.com", 0, false},
		{"https", "www.example.com", 0, false}, {"https", "example.com.evil.example", 0, false}, {"https", "notexample.com", 0, false},
		{"https", "a.docs.example.com", 0, true}, {"https", "a.b.docs.example.com", 0, true}, {"https", "docs.example.com", 0, false}, {"https", "xdocs.example.com", 0, false},
		{"http", "localhost", 8080, true}, {"http", "localhost", 0, false},
		{"https", "xn--mnchen-3ya.example", 0, true}, {"https", "MÜNCHEN.example", 0, true}, {"https", "munchen.example", 0, false},
		{"http", "127.0.0.1", 0, true}, {"http", "0x7f.1", 0, false}, {"http", "2130706433", 0, false}, {"http", "[::1]", 9000, true}, {"http", "[0:0::1]", 9000, true},
		{"https", "", 0, false}, {"https", "exam ple.com", 0, false},
	} {
		name, ok := asciiHost(tt.host)
		if got := ok && d.leads(tt.scheme, name, tt.port); got != tt.want {
			t.Errorf("%s to %q (%q), port %d: %v; want %v", tt.scheme, tt.host, name, tt.port, got, tt.want)
		}
	}
}

func TestConfigurationIsRefusedInWords(t *testing.T) {
	for _, tt := range []struct {
		c    Config
		want string
	}{
		{Config{Content: []string{"text", "images"}}, `guards.content: "images" is no kind of content; there are text, image, audio, resource, resource_link, blob`},
		{Config{LinkHosts: []string{"https://example.com"}}, `guards.linkHosts: "https://example.com" is not a host; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{"user@example.com"}}, `guards.linkHosts: "user@example.com" is not a host; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{""}}, `guards.linkHosts: "" is not a host; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{"*"}}, `guards.linkHosts: "*" has a * elsewhere than at its beginning; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{"*.com"}}, `guards.linkHosts: "*.com" stands for more than the hosts of one domain; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{"example.*"}}, `guards.linkHosts: "example.*" has a * elsewhere than at its beginning; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{"example.com:http"}}, `guards.linkHosts: "example.com:http" has no port after its colon; write example.com, *.example.com or example.com:8443`},
		{Config{LinkHosts: []string{"0x7f.1"}}, `guards.linkHosts: "0x7f.1" is not a host; write example.com, *.example.com or example.com:8443`},
	} {
		d, err := New(tt.c)
		if err == nil || err.Error() != tt.want || d != nil {
			t.Errorf("New(%+v) = %v\nwant %s", tt.c, err, tt.want)
		}
	}
}

func TestReportSaysWhatWasDone(t *testing.T) {
	r := Report{Hidden: 3, Links: 1, Secrets: 2, Masked: 1, Dropped: 2, Canary: true, Unscanned: true}
	r.rule("github-pat")
	r.rule("aws-access-token")
	r.rule("github-pat")
	want := "3 hidden characters or control sequences taken out; 1 link made inert; 2 secrets redacted (aws-access-token, github-pat); " +
		"1 value masked; 2 items of content left out; a canary was in it; not scanned for secrets to its end"
	if got := r.String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	if got := (Report{}).String(); got != "" {
		t.Errorf("a report of nothing says %q", got)
	}
}
