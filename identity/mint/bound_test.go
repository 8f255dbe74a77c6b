package mint

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/identity/jose"
)

const thumbprint = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"

func TestTokenSaysWhoHoldsIt(t *testing.T) {
	c := newClock()
	keys := open(t, keyDir(t), c.now)
	i, v := issuer(keys, c.now), verifier(t, keys, c.now)
	for _, tt := range []struct {
		change func(*Request)
		claims string // beside those of every token
		proof  string
		actors []string
	}{
		{func(*Request) {}, `{}`, "none", nil},
		{func(r *Request) { r.JKT = thumbprint }, `{"cnf":{"jkt":"` + thumbprint + `"}}`, "dpop", nil},
		{func(r *Request) { r.X5T = thumbprint }, `{"cnf":{"x5t#S256":"` + thumbprint + `"}}`, "mtls", nil},
		{func(r *Request) { r.JKT, r.X5T = thumbprint, thumbprint }, `{"cnf":{"jkt":"` + thumbprint + `","x5t#S256":"` + thumbprint + `"}}`, "dpop", nil},
		{func(r *Request) { r.Measured = "sha256:x" }, `{"measured":"sha256:x"}`, "none", nil},
		{func(r *Request) { r.Actors = []string{"new", "old"} }, `{"act":{"sub":"new","act":{"sub":"old"}}}`, "none", []string{"new", "old"}},
	} {
		r := reader(time.Minute)
		tt.change(&r)
		token := mustMint(t, i, r)
		parsed, err := jose.Parse(token)
		if err != nil {
			t.Fatal(err)
		}
		var got, want map[string]any
		if err := json.Unmarshal(parsed.Claims, &got); err != nil {
			t.Fatal(err)
		}
		if err := json.Unmarshal([]byte(tt.claims), &want); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"iss", "aud", "sub", "client_id", "roles", "iat", "exp", "jti"} {
			delete(got, name)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("claims (-want +got):\n%s", diff)
		}
		who, err := v.VerifyUnproven(token)
		if err != nil || who.Proof != tt.proof || who.JKT != r.JKT || who.X5T != r.X5T || who.Measured != r.Measured || !cmp.Equal(who.Actors, tt.actors) {
			t.Errorf("%+v: principal %+v, %v", r, who, err)
		}
	}
}

func TestMintBindsToNothingHalf(t *testing.T) {
	c := newClock()
	i := issuer(open(t, keyDir(t), c.now), c.now)
	for _, tt := range []struct {
		change func(*Request)
		want   string
	}{
		{func(r *Request) { r.JKT = "x" }, "the key's thumbprint is not a SHA-256 digest in base64url (RFC 7638)"},
		{func(r *Request) { r.JKT = thumbprint + "=" }, "the key's thumbprint is not a SHA-256 digest in base64url (RFC 7638)"},
		{func(r *Request) { r.X5T = strings.ToUpper(thumbprint) + "A" }, "the certificate's thumbprint is not a SHA-256 digest in base64url (RFC 8705)"},
		{func(r *Request) { r.Measured = "a\nb" }, "the measured digest holds a control character"},
		{func(r *Request) { r.Actors = []string{"a", ""} }, "an actor is empty"},
		{func(r *Request) { r.Actors = []string{"a", "b", "c", "d", "e"} }, "a token names at most 4 actors, not 5"},
	} {
		r := reader(time.Minute)
		tt.change(&r)
		if token, _, err := i.Mint(r); token != "" || err == nil || err.Error() != tt.want {
			t.Errorf("Mint(%+v) = %v; want %s", r, err, tt.want)
		}
	}
}
