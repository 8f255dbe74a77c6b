package federate

import (
	"bytes"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestKeyFilesAreReadAgainWhenTheyChange(t *testing.T) {
	a, b := newIssuer(t, "a"), newIssuer(t, "b")
	now, log := start, bytes.Buffer{}
	k := &fileKeys{path: filepath.Join(t.TempDir(), "keys.json"), now: func() time.Time { return now }, log: slog.New(slog.NewTextHandler(&log, nil))}
	want := func(step, kid string, is error, message string) {
		t.Helper()
		switch _, err := k.key(t.Context(), kid); {
		case is == nil && err != nil:
			t.Errorf("%s: %v; want the key", step, err)
		case is != nil && (!errors.Is(err, is) || err.Error() != message):
			t.Errorf("%s:\n got %v\nwant %s", step, err, message)
		}
	}
	missing := "keys of the issuer are not available: stat " + k.path + ": no such file or directory"
	want("no file yet", a.jwk.Kid, ErrKeys, missing)
	write(t, k.path, a.set())
	want("a file", a.jwk.Kid, nil, "")
	want("another's key", b.jwk.Kid, ErrUnknownKey, "unknown signing key: none of the 1 keys of its issuer has the token's kid")
	write(t, k.path, b.set())
	want("a key that came", b.jwk.Kid, nil, "")
	want("a key that went", a.jwk.Kid, ErrUnknownKey, "unknown signing key: none of the 1 keys of its issuer has the token's kid")
	write(t, k.path, b.set()[:20])
	want("half a file", b.jwk.Kid, nil, "")
	want("half a file, again", b.jwk.Kid, nil, "")
	const broken = "read key set: the JSON value ends too early, at byte 20"
	if n := strings.Count(log.String(), "a file of keys cannot be understood; the keys it held before serve for a day"); n != 1 || !strings.Contains(log.String(), broken) {
		t.Errorf("log:\n%s\nwant one line", &log)
	}
	if err := k.probe(t.Context()); err == nil || err.Error() != k.path+": "+broken {
		t.Errorf("probe of half a file: %v", err)
	}
	now = now.Add(maxStale)
	want("half a file, a day later", b.jwk.Kid, ErrKeys, "keys of the issuer are not available: "+k.path+": "+broken)
	write(t, k.path, strings.Repeat(" ", 1<<20+1))
	want("a huge file", b.jwk.Kid, ErrKeys, "keys of the issuer are not available: "+k.path+" is longer than 1048576 bytes")
	write(t, k.path, b.set())
	want("the file again", b.jwk.Kid, nil, "")
	if err := os.Remove(k.path); err != nil {
		t.Fatal(err)
	}
	want("no file any more", b.jwk.Kid, ErrKeys, missing)
	if err := os.Symlink(os.DevNull, k.path); err != nil {
		t.Fatal(err)
	}
	want("a device", b.jwk.Kid, ErrKeys, "keys of the issuer are not available: "+k.path+" is no regular file")
}

// A key that its issuer publishes but that may not verify is not the same as none.
func TestKeysThatWereLeftOutAreNamed(t *testing.T) {
	i := newIssuer(t, "i")
	path := filepath.Join(t.TempDir(), "keys.json")
	write(t, path, `{"keys":[{"kty":"RSA","kid":"`+i.jwk.Kid+`","n":"AQAB","e":"AQAB"}]}`)
	want := `federation rule github: unknown signing key: its set has it, but key "` + i.jwk.Kid + `" has 17 bits; RSA keys have 2048 to 8192`
	if _, err := federation(t, githubRule(path)).Verify(t.Context(), i.token(t, githubClaims, nil), SubjectToken); !errors.Is(err, ErrUnknownKey) || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

// Bundles of SPIFFE mark their keys for tokens, and hold certificates without a kid.
func TestKeysOfABundleAreTakenForTokensOnly(t *testing.T) {
	i := newIssuer(t, "i")
	bundle := strings.Replace(i.set(), `"use":"sig"`, `"use":"jwt-svid"`, 1)
	bundle = strings.Replace(bundle, `[`, `[{"kty":"EC","crv":"P-384","use":"x509-svid"},{"kty":"EC","crv":"P-384","use":"x509-svid"},`, 1)
	path := filepath.Join(t.TempDir(), "bundle.json")
	write(t, path, bundle)
	if _, err := federation(t, svidRule(path)).Verify(t.Context(), i.token(t, svidClaims, nil), SubjectToken); err != nil {
		t.Errorf("a bundle's key for a workload: %v", err)
	}
	if _, err := federation(t, githubRule(path)).Verify(t.Context(), i.token(t, githubClaims, nil), SubjectToken); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a bundle's key for an OpenID Connect issuer: %v; want ErrUnknownKey", err)
	}
	write(t, path, strings.Replace(bundle, "jwt-svid", "x509-svid", 1))
	if _, err := federation(t, svidRule(path)).Verify(t.Context(), i.token(t, svidClaims, nil), SubjectToken); !errors.Is(err, ErrUnknownKey) {
		t.Errorf("a certificate's key for a workload: %v; want ErrUnknownKey", err)
	}
}
