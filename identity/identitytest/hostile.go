package identitytest

import (
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/x509"
	"encoding/pem"
	"strconv"
	"strings"

	"sallyport/identity"
)

// Expired returns a token that ended a second ago.
func (i *Issuer) Expired() string {
	now := i.Now().Unix()
	return i.change(map[string]any{"iat": now - 61, "exp": now - 1})
}

// WrongAudience returns a token for somebody else.
func (i *Issuer) WrongAudience() string {
	return i.change(map[string]any{"aud": "https://other.example/mcp"})
}

// WrongIssuer returns a token that our key signed in another's name.
func (i *Issuer) WrongIssuer() string {
	return i.change(map[string]any{"iss": "https://other.example"})
}

// WrongType returns a signed document that is no access token.
func (i *Issuer) WrongType() string { return i.Sign(i.header("EdDSA", "JWT"), i.good()) }

// LongLived returns a token of sixteen minutes.
func (i *Issuer) LongLived() string {
	return i.change(map[string]any{"exp": i.Now().Unix() + 16*60})
}

// AlgNone returns a token that says it needs no signature and has something in its place.
func (i *Issuer) AlgNone() string { return i.Sign(i.header("none", "at+jwt"), i.good()) }

// Unsigned returns a token that says it needs no signature and has none.
func (i *Issuer) Unsigned() string {
	return enc(i.header("none", "at+jwt")) + "." + enc(i.good()) + "."
}

// Confused returns a token whose "signature" is a MAC under the published key: it verifies
// where the token may choose the algorithm (the RS256/HS256 confusion).
func (i *Issuer) Confused() string { return i.mac(i.public()) }

// ConfusedPEM is Confused with the key as a PEM file holds it.
func (i *Issuer) ConfusedPEM() string {
	der, err := x509.MarshalPKIXPublicKey(i.public())
	if err != nil {
		i.t.Fatal(err)
	}
	return i.mac(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// DuplicateClaim returns a token with two subjects.
func (i *Issuer) DuplicateClaim() string {
	return i.Sign(i.header("EdDSA", "at+jwt"), i.extra(`"sub":"admin"`))
}

// FoldedClaim returns a token with a second subject that only parsers which ignore case see.
func (i *Issuer) FoldedClaim() string {
	return i.Sign(i.header("EdDSA", "at+jwt"), i.extra(`"SUB":"admin"`))
}

// Bound returns a token bound to a key that the request does not prove.
func (i *Issuer) Bound() string {
	return i.change(map[string]any{"cnf": map[string]any{"jkt": "0ZcOCORZNYy-DWpqq30jZyJGHTN0d2HglBV3uiguA4I"}})
}

// Forged returns a token with one bit of its signature changed.
func (i *Issuer) Forged() string {
	token := []byte(i.Mint("alice"))
	at := len(token) - 20
	if token[at]++; token[at] == 'Z'+1 || token[at] == 'z'+1 || token[at] == '9'+1 || token[at] == '-'+1 || token[at] == '_'+1 {
		token[at] = 'A'
	}
	return string(token)
}

// Foreign returns a token signed by a key that the verifier does not know.
func (i *Issuer) Foreign() string {
	other := For(i.t, i.url, i.Now)
	return other.Mint("alice")
}

// Hostile is a token that must be refused.
type Hostile struct {
	Name    string
	Token   string
	Err     error  // what the verifier says, by errors.Is
	Message string // what the operator reads
}

// Hostile returns one token of each kind that must be refused, for tables in other packages.
func (i *Issuer) Hostile() []Hostile {
	return []Hostile{
		{"expired", i.Expired(), identity.ErrExpired, "token has expired"},
		{"wrong audience", i.WrongAudience(), identity.ErrAudience, "wrong audience"},
		{"wrong issuer", i.WrongIssuer(), identity.ErrIssuer, "wrong issuer"},
		{"wrong type", i.WrongType(), identity.ErrType, "wrong token type"},
		{"lives 16 minutes", i.LongLived(), identity.ErrLifetime, "token lives too long: exp − iat must be from 1s to 15m"},
		{"alg none", i.AlgNone(), identity.ErrAlgorithm, "signature algorithm not allowed for the key"},
		{"alg none, unsigned", i.Unsigned(), identity.ErrMalformed, "malformed token: signature is empty"},
		{"RS/HS confusion", i.Confused(), identity.ErrAlgorithm, "signature algorithm not allowed for the key"},
		{"RS/HS confusion, PEM", i.ConfusedPEM(), identity.ErrAlgorithm, "signature algorithm not allowed for the key"},
		{"duplicate claim", i.DuplicateClaim(), identity.ErrDuplicate, "token with two meanings: claims: the same member name twice in one object, at byte " + i.lastSub()},
		{"folded claim", i.FoldedClaim(), identity.ErrDuplicate, "token with two meanings: claims: two member names differ only in case"},
		{"bound to a key", i.Bound(), identity.ErrProof, "token is bound to a key and the request proves none"},
		{"forged signature", i.Forged(), identity.ErrSignature, "signature does not verify"},
		{"unknown key", i.Foreign(), identity.ErrUnknownKey, "unknown signing key"},
	}
}

// lastSub is where the second subject of DuplicateClaim stands.
func (i *Issuer) lastSub() string {
	return strconv.Itoa(strings.LastIndex(i.extra(`"sub":"admin"`), `"sub"`))
}

func (i *Issuer) change(changes map[string]any) string { return i.With(i.Claims("alice"), changes) }

func (i *Issuer) good() string { return i.Body(i.Claims("alice"), nil) }

func (i *Issuer) extra(member string) string { return "{" + member + "," + i.good()[1:] }

func (i *Issuer) public() ed25519.PublicKey {
	return ed25519.PublicKey(i.private[ed25519.SeedSize:])
}

func (i *Issuer) mac(secret []byte) string {
	input := enc(i.header("HS256", "at+jwt")) + "." + enc(i.good())
	mac := hmac.New(sha256.New, secret)
	mac.Write([]byte(input))
	return input + "." + enc(string(mac.Sum(nil)))
}
