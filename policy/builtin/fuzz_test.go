package builtin

import (
	"encoding/json"
	"net/netip"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func judgedText(c Check, value string) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return c.Judge(raw)
}

// A path that is taken is below its root, however it is written.
func FuzzPathStaysWithin(f *testing.F) {
	root, err := filepath.EvalSymlinks(f.TempDir())
	if err != nil {
		f.Fatal(err)
	}
	if err := os.Symlink("/", filepath.Join(root, "out")); err != nil {
		f.Fatal(err)
	}
	c := Check{Kind: Path, Within: []string{root}}
	for _, s := range []string{"ROOT/a", "ROOT/../etc/passwd", "ROOT", "ROOTx", "/etc/passwd", "ROOT/a/./b", "a", "ROOT//b", "ROOT/a\x00", "ROOT/%2e%2e/x", "ROOT/\\..\\x", "ROOT/out/etc", "ROOT/a/out"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		value = strings.ReplaceAll(value, "ROOT", root) // each process has another
		if judgedText(c, value) != nil {
			return
		}
		clean := filepath.Clean(value)
		if clean != root && !strings.HasPrefix(clean, root+"/") {
			t.Fatalf("%q is taken as below %s, and is %s", value, root, clean)
		}
		if real, err := filepath.EvalSymlinks(clean); err == nil && real != root && !strings.HasPrefix(real, root+"/") {
			t.Fatalf("%q is taken and leads to %s", value, real)
		}
		if strings.ContainsAny(value, "\x00\n") {
			t.Fatalf("%q is taken", value)
		}
	})
}

// A URL that is taken goes to a host that is allowed, to every reader that was asked.
func FuzzURLGoesWhereItMay(f *testing.F) {
	c := Check{Kind: URL, Hosts: []string{"api.example.com", "*.docs.example"}}
	for _, s := range []string{"https://api.example.com/x", "https://api.example.com@evil.test/", "https://evil.test#api.example.com", "https://api.example.com\\@evil.test", "https://API.example.com.", "https://a.docs.example:8443/",
		"https://api.example.com%2eevil.test/", "//api.example.com", "https:api.example.com", "https://xn--pi-mia.example.com/", "https://api.example.com\t.evil.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if judgedText(c, value) != nil {
			return
		}
		u, err := url.Parse(value)
		if err != nil {
			t.Fatalf("%q is taken and no URL: %v", value, err)
		}
		host := strings.ToLower(u.Hostname())
		if u.Scheme != "https" || u.User != nil || host != "api.example.com" && !strings.HasSuffix(host, ".docs.example") {
			t.Fatalf("%q is taken and goes to %q as %q", value, host, u.User)
		}
		if _, err := netip.ParseAddr(host); err == nil {
			t.Fatalf("%q is taken and is an address", value)
		}
		if strings.ContainsAny(value, "\\ \t\r\n") {
			t.Fatalf("%q is taken, which a browser reads otherwise", value)
		}
	})
}

// An address that is taken is one recipient, at a domain that is allowed.
func FuzzEmailIsOneRecipient(f *testing.F) {
	c := Check{Kind: Email, Domains: []string{"example.com"}}
	for _, s := range []string{"ann@example.com", "ann@example.com,eve@evil.test", "ann@example.com\nBcc: eve@evil.test", `"a@evil.test"@example.com`, "Ann <ann@example.com>", "eve@evil.test (ann@example.com)", "@evil.test:ann@example.com", "ann@example.com.evil.test"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, value string) {
		if judgedText(c, value) != nil {
			return
		}
		local, domain, _ := strings.Cut(value, "@")
		if local == "" || !strings.EqualFold(domain, "example.com") || strings.ContainsAny(value, " ,;:<>()\"\\\r\n\t%!") {
			t.Fatalf("%q is taken", value)
		}
	})
}
