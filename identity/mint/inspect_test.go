package mint

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"sallyport/identity/identitytest"
)

func TestInspectAnswersWhetherAndWhyNot(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	i := identitytest.At(t, func() time.Time { return now })
	inspect := func(token string) Inspection { return Inspect(token, i.Verifier, i, now) }
	kid := i.Kid

	good := i.With(i.Claims("alice", "reader"), map[string]any{"jti": "j"})
	for _, token := range []string{good, "Bearer " + good, "  " + good + "\n"} {
		in := inspect(token)
		want := `accepted, for another 5m0s
signature: genuine
issued: 2027-01-15T08:00:00Z
expires: 2027-01-15T08:05:00Z
header:
  alg: "EdDSA"
  typ: "at+jwt"
  kid: "` + kid + `"
claims:
  aud: "http://127.0.0.1:8080/mcp"
  client_id: "test"
  exp: 1800000300
  iat: 1800000000
  iss: "http://127.0.0.1:8080"
  jti: "j"
  roles: ["reader"]
  sub: "alice"
`
		if got := in.String(); !in.Accepted || got != want {
			t.Errorf("good token:\n%s\nwant:\n%s", got, want)
		}
	}

	const thumb = "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"
	byCertificate := i.With(i.Claims("a"), map[string]any{"cnf": map[string]any{"x5t#S256": thumb}})
	for _, tt := range []struct{ token, proof, want string }{
		{good, "none", "accepted, for another 5m0s\n"},
		{i.Bound(), "dpop", "accepted from the holder of its key alone (as with `sallyport connect`), for another 5m0s\n"},
		{byCertificate, "mtls", "accepted from the holder of its client certificate alone, for another 5m0s\n"},
		{"DPoP " + i.Bound(), "dpop", "accepted from the holder of its key alone (as with `sallyport connect`), for another 5m0s\n"},
	} {
		if in := inspect(tt.token); !in.Accepted || in.Proof != tt.proof || !strings.HasPrefix(in.String(), tt.want) {
			t.Errorf("proof %q:\n%s\nwant %q:\n%s", in.Proof, in.String(), tt.proof, tt.want)
		}
	}

	for _, tt := range []struct{ name, token, signature, want string }{
		{"expired", i.Expired(), SignatureGenuine, "refused: token has expired\nwhat to do: it ended 1s ago; mint a new one with `sallyport token mint`; clients renew theirs with `sallyport token headers`\n"},
		{"wrong audience", i.WrongAudience(), SignatureGenuine, "refused: wrong audience\nwhat to do: it is for \"https://other.example/mcp\" and this gateway takes tokens for \"http://127.0.0.1:8080/mcp\" alone; mint it at this gateway, or set publicURL to the address that clients use\n"},
		{"wrong issuer", i.WrongIssuer(), SignatureGenuine, "refused: wrong issuer\nwhat to do: it is by \"https://other.example\" and this gateway takes tokens by \"http://127.0.0.1:8080\" alone; mint it at this gateway, or set publicURL to the address that clients use\n"},
		{"wrong type", i.WrongType(), SignatureGenuine, "refused: wrong token type\nwhat to do: it is not an access token (typ at+jwt), perhaps an ID token of a login; " + mintNew + "\n"},
		{"long-lived", i.LongLived(), SignatureGenuine, "refused: token lives too long: exp − iat must be from 1s to 15m\nwhat to do: it lives 16m0s and no setting allows more than 15m0s; " + mintNew + "\n"},
		{"early", i.With(i.Claims("a"), map[string]any{"iat": now.Unix() + 60, "exp": now.Unix() + 120}), SignatureGenuine, "refused: token is not valid yet\nwhat to do: it begins at 2027-01-15T08:01:00Z and the time here is 2027-01-15T08:00:00Z; set the clocks of both machines by NTP\n"},
		{"alg none", i.AlgNone(), SignatureFalse, "refused: signature algorithm not allowed for the key\nwhat to do: it was not made by this gateway, or was changed on the way; do not use it\nnothing below is proven: the signature is not ours\n"},
		{"confused", i.Confused(), SignatureFalse, "refused: signature algorithm not allowed for the key\n"},
		{"forged", i.Forged(), SignatureFalse, "refused: signature does not verify\nwhat to do: it was not made by this gateway, or was changed on the way; do not use it\nnothing below is proven: the signature is not ours\n"},
		{"foreign", i.Foreign(), SignatureUnknown, "refused: unknown signing key\nwhat to do: another installation signed it, or a key that has left since; see that --config names the gateway's own configuration, then " + mintNew + "\nnothing below is proven: the signature is not ours\n"},
		{"duplicate claim", i.DuplicateClaim(), "", "refused: token with two meanings: claims: the same member name twice in one object, at byte 186\nwhat to do: it was made to be read in two ways; do not use it and find out where it came from\n"},
		{"no role", i.With(i.Claims("a"), map[string]any{"roles": []string{}}), SignatureGenuine, "refused: bad claim: roles is empty\nwhat to do: " + mintNew + "\n"},
		{"half a token", good[:100], "", "refused: malformed token: not three parts between two dots\nwhat to do: copy the token whole: three parts between two dots, in one line, nothing around it\n"},
		{"nothing", "", "", "refused: malformed token: not three parts between two dots\n"},
	} {
		in := inspect(tt.token)
		if got := in.String(); in.Accepted || in.Signature != tt.signature || !strings.HasPrefix(got, tt.want) {
			t.Errorf("%s: signature %q:\n%s\nwant %q:\n%s", tt.name, in.Signature, got, tt.signature, tt.want)
		}
	}
}

func TestInspectionIsFitForATerminal(t *testing.T) {
	i := identitytest.New(t)
	in := Inspect(i.With(i.Claims("a\u009b2J\u202e"), map[string]any{"\u202ex": []string{"\u0085"}, "aud": "\u009b"}), i.Verifier, i, i.Now())
	for _, r := range in.String() {
		if r != '\n' && (r < ' ' || r > '~') && r != '−' {
			t.Errorf("%q in:\n%s", r, in)
		}
	}
}

func TestInspectionIsJSON(t *testing.T) {
	dir := keyDir(t)
	c := newClock()
	keys := open(t, dir, c.now)
	v := verifier(t, keys, c.now)
	tok := mustMint(t, issuer(keys, c.now), reader(time.Minute))
	var doc struct {
		Accepted  bool
		Signature string
		Claims    struct{ Sub string }
		Expires   time.Time
	}
	b, err := json.Marshal(Inspect(tok, v, keys, c.now()))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b, &doc); err != nil || !doc.Accepted || doc.Signature != SignatureGenuine || doc.Claims.Sub != "dev" || !doc.Expires.Equal(c.now().Add(time.Minute)) {
		t.Errorf("%s: %v", b, err)
	}
	// A key that has left: the same token is of an unknown key.
	if err := os.Remove(keyFiles(t, dir)[0]); err != nil {
		t.Fatal(err)
	}
	reload(t, keys)
	if in := Inspect(tok, v, keys, c.now()); in.Accepted || in.Signature != SignatureUnknown {
		t.Errorf("after its key left: %+v", in)
	}
}
