package policy

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/pem"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/open-policy-agent/opa/v1/bundle"
)

// keyPair is who signs.
type keyPair struct {
	private, public []byte
	keys            Keys
}

func newPair(t *testing.T) keyPair {
	t.Helper()
	private, public, _, err := NewKeys()
	if err != nil {
		t.Fatal(err)
	}
	keys, err := ReadKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	return keyPair{private, public, keys}
}

// folder writes files into a new directory.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// bundled are the files of every kind that a policy has.
func bundled() map[string]string {
	return map[string]string{
		"authz.rego":       head + "allow if input.subject.id in data.people.friends\n",
		"people/data.yaml": "friends: [ann]\n",
		"limits.json":      `{"most": 9007199254740993}`,
		"authz_test.yaml":  "cases:\n- {name: a, role: r, tool: s.t, allow: false}\n",
		"README.md":        "not of the policy",
	}
}

func built(t *testing.T, dir string, number int64, key []byte) []byte {
	t.Helper()
	b, err := Build(t.Context(), dir, BuildOptions{Number: number, Key: key})
	if err != nil {
		t.Fatal(err)
	}
	return b.Raw
}

func loadRaw(t *testing.T, raw []byte, o Options) (*Generation, error) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	return Load(t.Context(), file, o)
}

// A bundle is the directory it was built of: the same revision, and the same decisions; also
// unpacked to a directory.
func TestBundleIsItsDirectory(t *testing.T) {
	dir, pair := folder(t, bundled()), newPair(t)
	plain, err := Load(t.Context(), dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	raw := built(t, dir, 7, pair.private)
	if again := built(t, dir, 7, pair.private); !bytes.Equal(raw, again) {
		t.Error("the same directory gives two bundles")
	}
	files, err := unpack(raw)
	if err != nil {
		t.Fatal(err)
	}
	loose := map[string]string{"README.md": "beside it"}
	for name, data := range files {
		loose[name] = string(data)
	}
	file := filepath.Join(t.TempDir(), "bundle.tar.gz")
	if err := os.WriteFile(file, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, where := range map[string]string{"archive": file, "directory": folder(t, loose)} {
		g, err := Load(t.Context(), where, Options{Keys: pair.keys, Newest: Installed{6, "sha256:other"}})
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if b := g.Bundle(); g.Revision() != plain.Revision() || b == nil || b.Number != 7 || !b.Signed || b.Key != pair.keys.IDs()[0] {
			t.Errorf("%s: revision %s, %+v; want %s, number 7, signed", name, g.Revision(), b, plain.Revision())
		}
		for id, want := range map[string]bool{"ann": true, "bob": false} {
			if d, err := g.Decide(context.Background(), &Input{Subject: &Subject{ID: id}, Action: "x"}); err != nil || d.Allow != want {
				t.Errorf("%s: %s is %v, %v; want %v", name, id, d.Allow, err, want)
			}
		}
	}
	if g, err := Load(t.Context(), file, Options{}); err != nil || g.Bundle().Signed || !g.Bundle().Unproved {
		t.Errorf("without a key: %v; want a bundle whose signature is unproved", err)
	}
	if r, err := Test(t.Context(), file, TestOptions{Keys: pair.keys}); err != nil || len(r.Results) != 1 || !r.Passed() {
		t.Errorf("tests of the bundle: %+v, %v; want one that passed", r, err)
	}
}

// With a key nothing is taken but what a key of the list has signed, whole and unchanged, and
// nothing older than what was taken before.
func TestBundleIsRefused(t *testing.T) {
	dir, pair, other := folder(t, bundled()), newPair(t), newPair(t)
	both := append(append(Keys{}, other.keys...), pair.keys...)
	good := built(t, dir, 7, pair.private)
	change := func(edit func(files map[string][]byte)) []byte {
		files, err := unpack(good)
		if err != nil {
			t.Fatal(err)
		}
		edit(files)
		raw, err := pack(files)
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	g, err := loadRaw(t, good, Options{Keys: both})
	if err != nil {
		t.Fatalf("signed by one of two keys: %v", err)
	}
	for _, tt := range []struct {
		name   string
		raw    []byte
		newest Installed
		want   string
	}{
		{"unsigned", built(t, dir, 7, nil), Installed{}, "it is not signed (no .signatures.json), and policyKey wants a signature"},
		{"signature taken off", change(func(f map[string][]byte) { delete(f, signaturesName) }), Installed{}, "it is not signed"},
		{"another key", built(t, dir, 7, other.private), Installed{}, "no signature by a key that is taken (sha256:"},
		{"another's signature", change(func(f map[string][]byte) {
			files, _ := unpack(built(t, dir, 7, other.private))
			f[signaturesName] = files[signaturesName]
		}), Installed{}, "no signature by a key that is taken"},
		{"no signature in the list", change(func(f map[string][]byte) { f[signaturesName] = []byte(`{"signatures":[]}`) }), Installed{}, "missing JWT"},
		{"another verifier", change(func(f map[string][]byte) {
			f[signaturesName] = bytes.Replace(f[signaturesName], []byte(`{`), []byte(`{"plugin":"none",`), 1)
		}), Installed{}, "no verifier exists under id none"},
		{"two lists of signatures", change(func(f map[string][]byte) {
			f[signaturesName] = bytes.Replace(f[signaturesName], []byte(`{`), []byte(`{"signatures":[],`), 1)
		}), Installed{}, ".signatures.json: the same member name twice"},
		{"the public key taken for a shared secret", change(func(f map[string][]byte) { f[signaturesName] = secretSigned(t, pair) }), Installed{}, "no signature by a key that is taken"},
		{"tampered Rego", change(func(f map[string][]byte) { f["authz.rego"] = []byte(head + "allow if true\n") }), Installed{}, "the signature does not hold: authz.rego: digest mismatch"},
		{"tampered data", change(func(f map[string][]byte) { f["people/data.yaml"] = []byte("friends: [bob]\n") }), Installed{}, "people/data.yaml: digest mismatch"},
		{"tampered test", change(func(f map[string][]byte) { f["authz_test.yaml"] = append(f["authz_test.yaml"], ' ') }), Installed{}, "authz_test.yaml: digest mismatch"},
		{"data that means the same to OPA", change(func(f map[string][]byte) { f["people/data.yaml"] = []byte("friends: [ 'ann' ] # and others\n") }), Installed{},
			"people/data.yaml is not what the manifest says: it was changed after it was built"},
		{"tampered manifest", change(func(f map[string][]byte) {
			f[manifestName] = bytes.Replace(f[manifestName], []byte(`"number": 7`), []byte(`"number": 8`), 1)
		}), Installed{}, ".manifest: digest mismatch"},
		{"manifest that says two things", change(func(f map[string][]byte) {
			f[manifestName] = bytes.Replace(f[manifestName], []byte(`"number": 7`), []byte(`"number": 8, "number": 7`), 1)
		}), Installed{}, ".manifest: the same member name twice"},
		{"missing file", change(func(f map[string][]byte) { delete(f, "limits.json") }), Installed{}, "limits.json was signed and is not there"},
		{"missing manifest", change(func(f map[string][]byte) { delete(f, manifestName) }), Installed{}, ".manifest was signed and is not there"},
		{"extra file", change(func(f map[string][]byte) { f["extra.rego"] = []byte(head + "allow if true\n") }), Installed{}, "extra.rego was not signed"},
		{"delta", change(func(f map[string][]byte) { f["patch.json"] = []byte(`{"data":[]}`) }), Installed{}, "patch.json makes it a delta bundle, which cannot be signed and is not taken"},
		{"older", good, Installed{8, "sha256:x"}, "its number is 7, and number 8 was installed before; a newer policy is not replaced by an older one"},
		{"same number, other policy", good, Installed{7, "sha256:x"}, "its number 7 is that of the bundle that was installed before, which held something else"},
		{"no archive", []byte("hello"), Installed{}, "it is no .tar.gz archive"},
		{"cut short", good[:len(good)/2], Installed{}, "unexpected EOF"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			g, err := loadRaw(t, tt.raw, Options{Keys: pair.keys, Newest: tt.newest})
			if err == nil || g != nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("message %v\nlacks %q", err, tt.want)
			}
		})
	}
	if _, err := loadRaw(t, good, Options{Keys: pair.keys, Newest: Installed{7, g.Revision()}}); err != nil {
		t.Errorf("the same bundle again: %v", err)
	}
	if _, err := loadRaw(t, good, Options{Keys: Keys{}}); err == nil {
		t.Error("an empty list of keys takes a bundle")
	}
	if _, err := Load(t.Context(), dir, Options{Keys: pair.keys}); err == nil || !strings.Contains(err.Error(), "it is not signed (no .signatures.json)") {
		t.Errorf("a directory without a signature: %v", err)
	}
}

// secretSigned is a signature by HMAC with the public key, which everybody has, for a secret.
func secretSigned(t *testing.T, pair keyPair) []byte {
	t.Helper()
	token, err := bundle.GenerateSignedToken(nil, bundle.NewSigningConfig(string(pair.public), "HS256", ""), pair.keys[0].id)
	if err != nil {
		t.Fatal(err)
	}
	return []byte(`{"signatures":["` + token + `"]}`)
}

// A bundle that OPA's own tools have signed has no number of ours, so its age cannot be told.
func TestForeignBundleHasNoNumber(t *testing.T) {
	pair := newPair(t)
	files := map[string][]byte{"authz.rego": []byte(head + "allow if true\n"), manifestName: []byte(`{"revision":"1"}`)}
	if _, err := sign(files, pair.private); err != nil {
		t.Fatal(err)
	}
	raw, err := pack(files)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := bundle.NewReader(bytes.NewReader(raw)).WithBundleVerificationConfig(pair.keys[0].config()).Read(); err != nil {
		t.Errorf("OPA does not take what we sign: %v", err)
	}
	if _, err := loadRaw(t, raw, Options{Keys: pair.keys}); err == nil || !strings.Contains(err.Error(), "the manifest has no number") {
		t.Errorf("a bundle without a number: %v", err)
	}
}

// An archive has one meaning, or none.
func TestArchiveIsReadStrictly(t *testing.T) {
	type member struct {
		name, data string
		kind       byte
	}
	archive := func(members ...member) []byte {
		var out bytes.Buffer
		z := gzip.NewWriter(&out)
		w := tar.NewWriter(z)
		for _, m := range members {
			h := &tar.Header{Name: m.name, Typeflag: m.kind, Size: int64(len(m.data)), Mode: 0o600, ModTime: time.Unix(0, 0)}
			if m.kind == tar.TypeSymlink {
				h.Linkname, h.Size, m.data = m.data, 0, ""
			}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := w.Write([]byte(m.data)); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	rego := member{"./a.rego", head + "allow if true\n", tar.TypeReg}
	if files, err := unpack(archive(member{"./", "", tar.TypeDir}, rego, member{"/data.json", "{}", tar.TypeReg})); err != nil || len(files) != 2 || files["a.rego"] == nil || files["data.json"] == nil {
		t.Errorf("as tar and OPA write it: %v, %v", maps.Keys(files), err)
	}
	for _, tt := range []struct {
		name string
		raw  []byte
		want string
	}{
		{"twice", archive(rego, member{"a.rego", "", tar.TypeReg}), "a.rego stands in it twice"},
		{"upwards", archive(member{"../a.rego", "", tar.TypeReg}), `"../a.rego" is no clean path below the bundle`},
		{"in circles", archive(member{"x/../a.rego", "", tar.TypeReg}), "is no clean path"},
		{"link", archive(member{"a.rego", "/etc/passwd", tar.TypeSymlink}), `"a.rego" is no plain file; links and devices are not taken`},
		{"hidden", archive(member{"sub/.manifest", "{}", tar.TypeReg}), "sub/.manifest is neither Rego nor data"},
		{"other files", archive(member{"policy.wasm", "", tar.TypeReg}), "policy.wasm is neither Rego nor data"},
		{"backslash", archive(member{`x\a.rego`, "", tar.TypeReg}), "is no clean path"},
		{"large", archive(member{"a.json", strings.Repeat("0", maxPolicyBytes+1), tar.TypeReg}), "more than 67108864 bytes"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if _, err := unpack(tt.raw); err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("message %v\nlacks %q", err, tt.want)
			}
		})
	}
}

// Both kinds of key sign and verify, and no other is taken.
func TestKeys(t *testing.T) {
	encode := func(typ string, der []byte, err error) []byte {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return pem.EncodeToMemory(&pem.Block{Type: typ, Bytes: der})
	}
	dir := folder(t, bundled())
	ec, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err := x509.MarshalPKCS8PrivateKey(ec)
	private := encode("PRIVATE KEY", der, err)
	der, err = x509.MarshalPKIXPublicKey(ec.Public())
	public := encode("PUBLIC KEY", der, err)
	keys, err := ReadKeys(public)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := loadRaw(t, built(t, dir, 1, private), Options{Keys: keys}); err != nil {
		t.Errorf("ES256: %v", err)
	}
	large, err := ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKIXPublicKey(large.Public())
	p384 := encode("PUBLIC KEY", der, err)
	r, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	der, err = x509.MarshalPKIXPublicKey(r.Public())
	rsaPublic := encode("PUBLIC KEY", der, err)
	for _, tt := range []struct {
		name, text, want string
	}{
		{"empty", "", "no block PUBLIC KEY in it; `sallyport policy keygen FILE` makes a pair of keys"},
		{"a secret", "s3cret", "no block PUBLIC KEY in it"},
		{"private key", string(private), "a block PRIVATE KEY; want PUBLIC KEY: this is the key that signs, which stays with who signs"},
		{"P-384", string(p384), "a key that is neither Ed25519 nor ECDSA on P-256"},
		{"RSA", string(public) + string(rsaPublic), "a key that is neither Ed25519 nor ECDSA on P-256"},
		{"garbage", "-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n", "holds no key"},
	} {
		if _, err := ReadKeys([]byte(tt.text)); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: message %v\nlacks %q", tt.name, err, tt.want)
		}
	}
	for name, key := range map[string][]byte{"public key": public, "nothing": []byte("x")} {
		if _, err := Build(t.Context(), dir, BuildOptions{Number: 1, Key: key}); err == nil || !strings.HasPrefix(err.Error(), "signing key: ") {
			t.Errorf("signing with a %s: %v", name, err)
		}
	}
	if _, err := Build(t.Context(), dir, BuildOptions{}); err == nil || err.Error() != "the number of a bundle is 1 or more" {
		t.Errorf("without a number: %v", err)
	}
	if _, err := Build(t.Context(), folder(t, map[string]string{"a.rego": head + "allow if true\n", "patch.json": "{}"}), BuildOptions{Number: 1}); err == nil || !strings.Contains(err.Error(), "delta bundle") {
		t.Errorf("a file patch.json: %v", err)
	}
	broken := bundled()
	broken["authz_test.yaml"] = strings.Replace(broken["authz_test.yaml"], "false", "true", 1)
	if _, err := Build(t.Context(), folder(t, broken), BuildOptions{Number: 1}); err == nil || !strings.Contains(err.Error(), "the policy is not installed") {
		t.Errorf("a directory that fails its tests: %v", err)
	}
}

// Whatever an archive holds, reading it ends, and what was read is one policy: packed again it reads
// the same.
func FuzzUnpack(f *testing.F) {
	seed, err := pack(map[string][]byte{"a.rego": []byte(head + "allow if true\n"), manifestName: []byte("{}"), "x/data.json": []byte("{}")})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(seed)
	f.Add(seed[:len(seed)/2])
	f.Fuzz(func(t *testing.T, raw []byte) {
		files, err := unpack(raw)
		if err != nil {
			return
		}
		again, err := pack(files)
		if err != nil {
			t.Fatal(err)
		}
		got, err := unpack(again)
		if err != nil || !maps.EqualFunc(files, got, bytes.Equal) {
			t.Errorf("packed and read again: %d files, %v; want the same %d", len(got), err, len(files))
		}
	})
}
