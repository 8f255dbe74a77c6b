package config

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sallyport/gateway/audit"
	"sallyport/identity/grant"
)

// Root may write everywhere, so what cannot be written is here a file, below a file, and below
// /proc.
func TestAStateDirectoryThatCannotBeUsedIsNamedWithTheCure(t *testing.T) {
	dir := t.TempDir()
	file, wide := filepath.Join(dir, "file"), filepath.Join(dir, "wide")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(wide, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(wide, 0o750); err != nil { // this is the fault
		t.Fatal(err)
	}
	const cure = "; set state (SALLYPORT_STATE) to a directory that this user may write"
	for state, want := range map[string]string{
		file:            "make state directory " + file + ": not a directory" + cure,
		file + "/below": "make state directory " + file + "/below: not a directory" + cure,
		"/proc/below":   "make state directory /proc/below: no such file or directory" + cure,
		wide:            "state directory " + wide + " has mode 0750, so others could use the keys in it; run: chmod 0700 " + wide + ", or set state to a new directory below it",
	} {
		if err := (&Config{State: state}).OpenState(); err == nil || err.Error() != want {
			t.Errorf("%s: %v\nwant %s", state, err, want)
		}
	}
}

func TestAKeyOfRequestStatesIsMadeOnceAndKeptPrivate(t *testing.T) {
	c := &Config{State: filepath.Join(t.TempDir(), "state")}
	if _, err := c.OpenKeys(); err != nil {
		t.Fatal(err)
	}
	key, err := c.requestStateKey()
	if err != nil || len(key) != 32 {
		t.Fatalf("%d bytes, %v; want 32", len(key), err)
	}
	if again, err := c.requestStateKey(); err != nil || string(again) != string(key) {
		t.Errorf("read again: another key, or %v", err)
	}
	path := filepath.Join(c.State, "keys", "request-state.key")
	if err := os.Chmod(path, 0o644); err != nil { // this is the fault
		t.Fatal(err)
	}
	if _, err := c.requestStateKey(); err == nil || !strings.Contains(err.Error(), "has mode 0644, so others could read it; run: chmod 0600 ") {
		t.Errorf("a key that others can read: %v", err)
	}
	if err := os.WriteFile(path, []byte("short"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := c.requestStateKey(); err == nil || !strings.Contains(err.Error(), "has 5 bytes; want 32") {
		t.Errorf("a short key: %v", err)
	}
	if ignored, err := os.ReadFile(filepath.Join(c.State, ".gitignore")); err != nil || string(ignored) != "*\n" {
		t.Errorf(".gitignore: %q, %v", ignored, err)
	}
}

func TestTwoGatewaysDoNotShareAState(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	i.open()
	cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), cfg, nil); err == nil || !strings.Contains(err.Error(), "a server that runs with this state directory, or a command that is not done") {
		t.Errorf("second gateway: %v", err)
	}
	if err := cfg.RecordAct(t.Context(), &audit.Record{Method: "token/mint", JTI: "the-jti"}); err != nil {
		t.Errorf("an act while the gateway runs: %v", err)
	}
	segments, err := filepath.Glob(filepath.Join(i.dir, "state/audit-acts/*.jsonl"))
	if err != nil {
		t.Fatal(err)
	}
	var all []byte
	for _, s := range segments {
		b, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, b...)
	}
	if !strings.Contains(string(all), `"jti":"the-jti"`) {
		t.Errorf("the act is not in the record: %s", all)
	}
}

// pair writes a certificate that says name.
func (i *installation) pair(name string) {
	i.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		i.t.Fatal(err)
	}
	c := &x509.Certificate{SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, c, c, key.Public(), key)
	if err != nil {
		i.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		i.t.Fatal(err)
	}
	i.write("cert.pem", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	i.write("key.pem", string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})))
}

// peerName connects and returns whose certificate is shown.
func peerName(t *testing.T, address string) string {
	t.Helper()
	conn, err := tls.Dial("tcp", address, &tls.Config{InsecureSkipVerify: true}) // only to read the name
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	return conn.ConnectionState().PeerCertificates[0].Subject.CommonName
}

// A gateway that is killed soon after each start does not count again what it has counted before.
func TestWhatAStartHasCountedIsKept(t *testing.T) {
	i := install(t, newFakeServer(t).URL)
	cfg, err := Load(filepath.Join(i.dir, "sallyport.yaml"), nil)
	if err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(filepath.Join(cfg.State, logDir), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for range 3 { // in a life that ended without a checkpoint
		if err := log.Decide(t.Context(), &audit.Record{ID: audit.NewID(), Phase: audit.PhaseDecision, Grant: "g", Calls: 1}); err != nil {
			t.Fatal(err)
		}
	}
	if err := log.Close(); err != nil {
		t.Fatal(err)
	}
	i.open()
	killed, err := os.ReadFile(filepath.Join(cfg.State, grantsFile))
	if err != nil {
		t.Fatal(err)
	}
	copied := filepath.Join(t.TempDir(), grantsFile)
	if err := os.WriteFile(copied, killed, 0o600); err != nil {
		t.Fatal(err)
	}
	store, err := grant.OpenBolt(copied, grant.BoltOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	registry, err := grant.NewRegistry(t.Context(), store, grant.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = registry.Close() }() // before its store
	if n := registry.JournalSeq(); n < 3 {
		t.Errorf("a start after a kill counts from record %d on; want those before it to be kept", n+1)
	}
}
