package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"math/big"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/config"
)

// Each thing that runs out is said before it has, with what to do.
func TestDoctorSaysWhatRunsOut(t *testing.T) {
	now := time.Date(2026, 1, 15, 9, 0, 0, 0, time.UTC)
	cert, key := pair(t, now)
	for _, tt := range []struct {
		name  string
		m     machine
		what  string
		fine  bool
		words string
	}{
		{"files", machine{fewFiles, fewBytes, now}, "descriptors", true, "4096 files and connections may be open"},
		{"few files", machine{1024, fewBytes, now}, "descriptors", false, "raise it to 4096 or more (ulimit -n, or LimitNOFILE of the service)"},
		{"room", machine{fewFiles, 2 << 30, now}, "disk", true, "2.0 GiB are free"},
		{"little room", machine{fewFiles, 1 << 28, now}, "disk", false, "0.2 GiB are free under ./state; when the record cannot be written every call is refused"},
		{"certificate", machine{fewFiles, fewBytes, now}, "certificate", true, "until 2026-02-14T09:00:00Z"},
		{"certificate that ends", machine{fewFiles, fewBytes, now.AddDate(0, 0, 25)}, "certificate", false, "put a new one there before"},
		{"certificate that has ended", machine{fewFiles, fewBytes, now.AddDate(0, 2, 0)}, "certificate", false, "ended at 2026-02-14T09:00:00Z, and clients refuse it"},
		{"certificate of tomorrow", machine{fewFiles, fewBytes, now.AddDate(0, 0, -1)}, "certificate", false, "is this machine's clock right?"},
	} {
		cfg := &config.Config{State: "./state"}
		cfg.TLS.Cert, cfg.TLS.Key = cert, key
		found := false
		for _, c := range tt.m.judge(cfg) {
			if c.What != tt.what {
				continue
			}
			found = true
			if c.Fine != tt.fine || !strings.Contains(c.Text, tt.words) {
				t.Errorf("%s: %+v; want fine %v and %q", tt.name, c, tt.fine, tt.words)
			}
		}
		if !found {
			t.Errorf("%s: nothing is said of %s", tt.name, tt.what)
		}
	}
	cfg := &config.Config{State: filepath.Join(t.TempDir(), "not", "yet")}
	if checks := examineMachine(cfg); len(checks) != 2 {
		t.Errorf("without a certificate, before the state is made: %+v", checks)
	}
	cfg.TLS.Cert = filepath.Join(t.TempDir(), "none.pem")
	if c := (machine{now: now}).certificate(cfg.TLS.Cert, key); c.Fine || !strings.Contains(c.Text, "clients cannot connect") {
		t.Errorf("no certificate: %+v", c)
	}
}

func pair(t *testing.T, from time.Time) (cert, key string) {
	t.Helper()
	public, private, err := ed25519.GenerateKey(rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotBefore: from, NotAfter: from.AddDate(0, 0, 30)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, public, private)
	if err != nil {
		t.Fatal(err)
	}
	secret, err := x509.MarshalPKCS8PrivateKey(private)
	if err != nil {
		t.Fatal(err)
	}
	cert, key = filepath.Join(t.TempDir(), "cert.pem"), filepath.Join(t.TempDir(), "key.pem")
	for path, block := range map[string]*pem.Block{cert: {Type: "CERTIFICATE", Bytes: der}, key: {Type: "PRIVATE KEY", Bytes: secret}} {
		if err := os.WriteFile(path, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return cert, key
}

// A build with a Go that is known to be weak is noted, and the oldest that is not is the toolchain of go.mod.
func TestDoctorNotesAnOldCompiler(t *testing.T) {
	mod, err := os.ReadFile("../../go.mod")
	if err != nil || !strings.Contains(string(mod), "\ntoolchain "+wantedGo+"\n") {
		t.Errorf("the toolchain of go.mod is not %s: %v", wantedGo, err)
	}
	for built, want := range map[string]bool{wantedGo: false, "go1.26.8": true, "go1.26.8 X:nodwarf5": true, "go1.27.3": false, "go1.26rc1": true, "devel go1.28-abcdef": true} {
		note, older := compiler(built)
		if older != want || older != strings.Contains(note, "build again with GOTOOLCHAIN="+wantedGo) {
			t.Errorf("built with %s: %q, %v; want %v", built, note, older, want)
		}
	}
}
