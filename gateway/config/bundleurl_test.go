package config

import (
	"crypto/ed25519"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"sallyport/policy"
)

// depot is who serves bundles.
type depot struct {
	*httptest.Server
	mu      sync.Mutex // guards all below
	body    []byte
	status  int
	moved   string // Location of a redirect
	asked   int
	answers map[int]int // by status
}

func newDepot(t *testing.T) *depot {
	d := &depot{answers: map[int]int{}}
	d.Server = httptest.NewTLSServer(d)
	d.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	t.Cleanup(d.Close)
	return d
}

func (d *depot) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked++
	etag := fmt.Sprintf(`"%s"`, digestOfBundle(d.body))
	status := http.StatusOK
	switch {
	case d.moved != "" && r.URL.Path == "/bundle.tar.gz":
		status = http.StatusFound
		w.Header().Set("Location", d.moved)
	case d.status != 0:
		status = d.status
	case r.Header.Get("If-None-Match") == etag:
		status = http.StatusNotModified
	}
	d.answers[status]++
	w.Header().Set("ETag", etag)
	w.WriteHeader(status)
	if status == http.StatusOK {
		_, _ = w.Write(d.body) // whoever has gone does not want it
	}
}

func (d *depot) serve(body []byte, status int, moved string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.body, d.status, d.moved = body, status, moved
}

func (d *depot) answered(status int) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answers[status]
}

func (d *depot) certificate() string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: d.Certificate().Raw}))
}

// author builds and signs policies for the tests.
type author struct {
	t               *testing.T
	private, public []byte
}

func newAuthor(t *testing.T) *author {
	t.Helper()
	private, public, _, err := policy.NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	return &author{t, private, public}
}

// bundle is a policy that lets readers use a tool; sign false: nobody has signed it.
func (a *author) bundle(number int64, tool string, sign bool) []byte {
	a.t.Helper()
	dir := a.t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "authz.rego"), []byte(strings.ReplaceAll(readers, `"read"`, `"`+tool+`"`)), 0o600); err != nil {
		a.t.Fatal(err)
	}
	o := policy.BuildOptions{Number: number}
	if sign {
		o.Key = a.private
	}
	built, err := policy.Build(a.t.Context(), dir, o)
	if err != nil {
		a.t.Fatal(err)
	}
	return built.Raw
}

// fromDepot is an installation whose policies come from a depot.
func fromDepot(t *testing.T, d *depot, a *author) *installation {
	i := install(t, newFakeServer(t).URL)
	if err := os.RemoveAll(filepath.Join(i.dir, "policies")); err != nil {
		t.Fatal(err)
	}
	i.write("sallyport.yaml", fmt.Sprintf("policies: %s/bundle.tar.gz\npolicyKey: sign.pub\npolicyCA: depot.pem\npolicyPoll: 1s\nmcpServers:\n  a:\n    url: %s\n", d.URL, newFakeServer(t).URL))
	i.write("sign.pub", string(a.public))
	i.write("depot.pem", d.certificate())
	return i
}

// refused is why the installation does not start.
func (i *installation) refused() string {
	i.t.Helper()
	cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), i.environ)
	if err == nil {
		var s *Service
		if s, err = Open(i.t.Context(), cfg, nil); err == nil {
			i.t.Error("it starts")
			return fmt.Sprint(s.Close())
		}
	}
	return err.Error()
}

// A newer signed bundle is followed; whatever else the URL answers, those before serve on, and
// readiness says why.
func TestPoliciesOfAURLAreFollowed(t *testing.T) {
	d, a, other := newDepot(t), newAuthor(t), newAuthor(t)
	i := fromDepot(t, d, a)
	d.serve(a.bundle(5, "read", true), 0, "")
	i.open()
	if got := i.call("/mcp/a", "read"); got != "done" {
		t.Fatalf("read → %s; want done", got)
	}
	i.bundleEvery = 10 * time.Millisecond
	i.follow(ways["polling"])
	eventually(t, "an unchanged bundle is not sent again", func() bool { return d.answered(http.StatusNotModified) > 0 })
	d.serve(a.bundle(6, "write", true), 0, "")
	eventually(t, "the newer bundle is followed", func() bool { return i.call("/mcp/a", "write") == "done" })
	for _, tt := range []struct {
		name   string
		body   []byte
		status int
		moved  string
		want   string
	}{
		{"older", a.bundle(5, "read", true), 0, "", "its number is 5, and number 6 was installed before"},
		{"unsigned", a.bundle(7, "read", false), 0, "", "it is not signed (no .signatures.json)"},
		{"another key", other.bundle(7, "read", true), 0, "", "no signature by a key that is taken"},
		{"no bundle", []byte("<html>"), 0, "", "it is no .tar.gz archive"},
		{"gone", nil, http.StatusNotFound, "", "the server answered 404 Not Found"},
		{"to another host", nil, 0, "https://elsewhere.example/bundle.tar.gz", "it redirects to https://elsewhere.example; only the host that policies names is asked"},
		{"to plain HTTP", nil, 0, "http://" + strings.TrimPrefix(d.URL, "https://") + "/b", "it redirects to http://"},
		{"in circles", nil, 0, d.URL + "/bundle.tar.gz", "more than 5 redirects"},
		{"too large", make([]byte, maxBundle+1), 0, "", "the bundle has more than 67108864 bytes"},
	} {
		d.serve(tt.body, tt.status, tt.moved)
		eventually(t, tt.name+": readiness says why", func() bool {
			code, text := i.readyz()
			return code == http.StatusOK && strings.Contains(text, tt.want) && strings.Contains(i.logs.String(), tt.want)
		})
		if got := i.call("/mcp/a", "write"); got != "done" {
			t.Errorf("%s: write → %s; want the policies before to serve on", tt.name, got)
		}
	}
	d.serve(a.bundle(7, "read", true), 0, "")
	eventually(t, "the next good bundle is followed, and all is well", func() bool {
		_, text := i.readyz()
		return i.call("/mcp/a", "read") == "done" && text == "ready\n"
	})
}

// At a start whose URL does not answer, the last good bundle does if it verifies; else there is no start.
func TestStartWithoutTheURL(t *testing.T) {
	d, a := newDepot(t), newAuthor(t)
	i := fromDepot(t, d, a)
	d.serve(nil, http.StatusServiceUnavailable, "")
	if got, want := i.refused(), "the server answered 503 Service Unavailable; and there is no bundle of an earlier start"; !strings.Contains(got, want) {
		t.Errorf("without any bundle: %s\nlacks %s", got, want)
	}
	good := a.bundle(5, "read", true)
	d.serve(good, 0, "")
	i.open()
	i.close()
	d.serve(nil, http.StatusServiceUnavailable, "")
	again := &installation{t: t, dir: i.dir, logs: &logs{}}
	again.open()
	if got := again.call("/mcp/a", "read"); got != "done" {
		t.Errorf("with the last good bundle: read → %s; want done", got)
	}
	if want := "the last good policies are used"; !strings.Contains(again.logs.String(), want) {
		t.Errorf("log lacks %q:\n%s", want, again.logs)
	}
	if _, text := again.readyz(); !strings.Contains(text, "the server answered 503") {
		t.Errorf("readyz says %q; want that the URL does not answer", text)
	}
	again.close()
	kept := filepath.Join(i.dir, "state", policiesDir, bundleFile)
	for name, raw := range map[string][]byte{"cut short": good[:len(good)-40], "unsigned": a.bundle(9, "write", false), "of another": newAuthor(t).bundle(9, "write", true), "older": a.bundle(4, "write", true)} {
		if err := os.WriteFile(kept, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		// As if whoever wrote the bundle had written where it came from as well.
		i.write("state/policies/source.json", fmt.Sprintf(`{"url":"%s/bundle.tar.gz","digest":"%s"}`, d.URL, digestOfBundle(raw)))
		if got := i.refused(); !strings.Contains(got, "policies in https://") {
			t.Errorf("%s: %s; want the kept bundle refused", name, got)
		}
	}
	if err := os.WriteFile(kept, good, 0o600); err != nil {
		t.Fatal(err)
	}
	i.write("state/policies/source.json", fmt.Sprintf(`{"url":"https://elsewhere/b","digest":"%s"}`, digestOfBundle(good)))
	if got := i.refused(); !strings.Contains(got, "no bundle of an earlier start") {
		t.Errorf("kept from another URL: %s; want it refused", got)
	}
	i.write("depot.pem", newOtherCertificate(t))
	if got := i.refused(); !strings.Contains(got, "certificate signed by unknown authority") {
		t.Errorf("a server that nobody vouches for: %s", got)
	}
}

// newOtherCertificate is one that has signed nothing here.
func newOtherCertificate(t *testing.T) string {
	t.Helper()
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(nil, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

// With a key, files and directories are held to the same: never from signed back to unsigned, never
// to something older, at a reload and at a start.
func TestSignedPoliciesAreNotDowngraded(t *testing.T) {
	a, server := newAuthor(t), newFakeServer(t)
	i := install(t, server.URL)
	put := func(raw []byte) {
		t.Helper()
		temp := filepath.Join(i.dir, "next")
		if err := os.WriteFile(temp, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Rename(temp, filepath.Join(i.dir, "bundle.tar.gz")); err != nil {
			t.Fatal(err)
		}
	}
	config := func(policies, key string) {
		i.write("sallyport.yaml", "policies: "+policies+"\n"+key+"mcpServers:\n  a:\n    url: "+server.URL+"\n")
	}
	const withKey = "policyKey: sign.pub\n"
	i.write("sign.pub", string(a.public))
	config("bundle.tar.gz", "")
	put(a.bundle(5, "read", true))
	if got, want := i.refused(), "the bundle is signed, and there is no policyKey to verify the signature with; set it (a gateway that runs takes it at its next start)"; !strings.Contains(got, want) {
		t.Errorf("signed without a key: %s\nlacks %s", got, want)
	}
	config("policies", withKey)
	if got, want := i.refused(), "it is not signed (no .signatures.json), and policyKey wants a signature"; !strings.Contains(got, want) {
		t.Errorf("a plain directory: %s\nlacks %s", got, want)
	}
	config("bundle.tar.gz", withKey)
	i.open()
	for _, tt := range []struct {
		name, want string
		change     func()
	}{
		{"unsigned", "it is not signed", func() { put(a.bundle(6, "write", false)) }},
		{"older", "its number is 4, and number 5 was installed before", func() { put(a.bundle(4, "write", true)) }},
		{"same number", "its number 5 is that of the bundle that was installed before, which held something else", func() { put(a.bundle(5, "write", true)) }},
		{"a directory instead", "it is not signed", func() { config("policies", withKey) }},
		{"no key instead", "it is not signed", func() { config("policies", "") }},
		{"another key of the same name", "no signature by a key that is taken", func() {
			config("bundle.tar.gz", withKey)
			put(a.bundle(6, "write", true))
			i.write("sign.pub", string(newAuthor(t).public))
		}},
	} {
		tt.change()
		if err := i.Reload(t.Context()); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: %v\nlacks %q", tt.name, err, tt.want)
		}
		if got := i.call("/mcp/a", "read"); got != "done" {
			t.Errorf("%s: read → %s; want the policies before to serve on", tt.name, got)
		}
	}
	i.write("sign.pub", string(newAuthor(t).public)+string(a.public))
	if err := i.Reload(t.Context()); err != nil || i.call("/mcp/a", "write") != "done" {
		t.Errorf("a newer bundle, and one key more: %v", err)
	}
	i.close()
	put(a.bundle(5, "read", true))
	if got, want := i.refused(), "number 6 was installed before"; !strings.Contains(got, want) {
		t.Errorf("older at the next start: %s\nlacks %s", got, want)
	}
	i.write("state/policies/installed.json", "{")
	if got, want := i.refused(), "says how new the policies must be and cannot be read"; !strings.Contains(got, want) {
		t.Errorf("a memory that cannot be read: %s\nlacks %s", got, want)
	}
}
