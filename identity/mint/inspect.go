package mint

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

// What can be said of a token's signature.
const (
	SignatureGenuine = "genuine"     // one of our keys made it
	SignatureFalse   = "false"       // it names one of our keys, which did not make it
	SignatureUnknown = "unknown key" // there is no key to check it with
)

// Inspection is what can be said of a token. Header and Claims are the token's own words:
// proven only where Signature is SignatureGenuine. Both may hold characters that a terminal
// obeys; String does not.
type Inspection struct {
	Accepted  bool            `json:"accepted"`
	Why       string          `json:"why,omitempty"`    // why it would be refused
	Advice    string          `json:"advice,omitempty"` // what to do about it
	Proof     string          `json:"proof,omitempty"`  // of an accepted token: what its holder must prove; none, dpop or mtls
	Signature string          `json:"signature,omitempty"`
	Header    json.RawMessage `json:"header,omitempty"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Issued    time.Time       `json:"issued,omitzero"`
	Expires   time.Time       `json:"expires,omitzero"`

	now time.Time
}

// Inspect says what a token is, and whether v would accept it at now. keys tell whether one
// that is refused for another reason was signed by us at all. A leading scheme and space
// around are not held against the token: it has been copied from somewhere.
func Inspect(token string, v *identity.Verifier, keys identity.KeySource, now time.Time) Inspection {
	token = strings.TrimSpace(token)
	if scheme, rest, ok := strings.Cut(token, " "); ok && (strings.EqualFold(scheme, "Bearer") || strings.EqualFold(scheme, "DPoP")) {
		token = strings.TrimSpace(rest)
	}
	in := Inspection{now: now}
	who, err := v.VerifyAt(token, now)
	if t, parseErr := jose.Parse(token); parseErr == nil {
		in.Header, in.Claims = t.Header, t.Claims
		in.Signature = signature(t, keys)
		in.Issued, in.Expires = date(t.Claims, "iat"), date(t.Claims, "exp")
	}
	if err == nil {
		in.Accepted, in.Proof = true, who.Proof
		return in
	}
	in.Why = err.Error()
	in.Advice = in.advise(err, v)
	return in
}

func signature(t *jose.Token, keys identity.KeySource) string {
	set := keys.Keys()
	if set == nil {
		return SignatureUnknown
	}
	key, ok := set.ByID[t.Kid]
	if !ok {
		return SignatureUnknown
	}
	if t.Verify(key) != nil {
		return SignatureFalse
	}
	return SignatureGenuine
}

// date reads a time that the token claims, as far as it can be read.
func date(claims []byte, name string) time.Time {
	const year9999 = 253402300799
	span, ok := strictjson.Find(claims, name)
	if !ok {
		return time.Time{}
	}
	sec, err := strconv.ParseInt(string(span.Of(claims)), 10, 64)
	if err != nil || sec <= 0 || sec > year9999 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}

const mintNew = "mint a new one with `sallyport token mint`; clients renew theirs with `sallyport token headers`"

// advise says what the holder of a refused token can do.
func (in *Inspection) advise(err error, v *identity.Verifier) string {
	switch {
	case errors.Is(err, identity.ErrExpired):
		return fmt.Sprintf("it ended %s ago; %s", in.now.Sub(in.Expires).Round(time.Second), mintNew)
	case errors.Is(err, identity.ErrNotYet):
		return fmt.Sprintf("it begins at %s and the time here is %s; set the clocks of both machines by NTP", in.Issued.Format(time.RFC3339), in.now.UTC().Format(time.RFC3339))
	case errors.Is(err, identity.ErrLifetime) && in.Expires.After(in.Issued):
		return fmt.Sprintf("it lives %s and no setting allows more than %s; %s", in.Expires.Sub(in.Issued), identity.MaxLifetime, mintNew)
	case errors.Is(err, identity.ErrAudience):
		return fmt.Sprintf("it is for %s and this gateway takes tokens for %q alone; mint it at this gateway, or set publicURL to the address that clients use", in.claim("aud"), v.Audience())
	case errors.Is(err, identity.ErrIssuer):
		return fmt.Sprintf("it is by %s and this gateway takes tokens by %q alone; mint it at this gateway, or set publicURL to the address that clients use", in.claim("iss"), v.Issuer())
	case errors.Is(err, identity.ErrType):
		return "it is not an access token (typ at+jwt), perhaps an ID token of a login; " + mintNew
	case errors.Is(err, identity.ErrUnknownKey):
		return "another installation signed it, or a key that has left since; see that --config names the gateway's own configuration, then " + mintNew
	case errors.Is(err, identity.ErrSignature), errors.Is(err, identity.ErrAlgorithm):
		return "it was not made by this gateway, or was changed on the way; do not use it"
	case errors.Is(err, identity.ErrDuplicate), errors.Is(err, identity.ErrHeader):
		return "it was made to be read in two ways; do not use it and find out where it came from"
	case errors.Is(err, identity.ErrMalformed):
		return "copy the token whole: three parts between two dots, in one line, nothing around it"
	}
	return mintNew
}

// claim returns a claim fit for a terminal.
func (in *Inspection) claim(name string) string {
	span, ok := strictjson.Find(in.Claims, name)
	if !ok {
		return "nobody"
	}
	return printable(span.Of(in.Claims))
}

// printable returns raw JSON in ASCII: JSON allows characters that a terminal obeys, and
// escapes them no less well.
func printable(raw []byte) string {
	if s, err := strictjson.String(raw); err == nil {
		return strconv.QuoteToASCII(s)
	}
	out := strconv.QuoteToASCII(string(raw))
	return strings.ReplaceAll(out[1:len(out)-1], `\"`, `"`)
}

// String says it for a person: the answer first, then what the token says.
func (in Inspection) String() string {
	var b strings.Builder
	if in.Accepted {
		fmt.Fprintf(&b, "accepted%s, for another %s\n", in.from(), in.Expires.Sub(in.now).Truncate(time.Second))
	} else {
		fmt.Fprintf(&b, "refused: %s\n", in.Why)
		fmt.Fprintf(&b, "what to do: %s\n", in.Advice)
	}
	if in.Claims == nil {
		return b.String()
	}
	if in.Signature != SignatureGenuine {
		b.WriteString("nothing below is proven: the signature is not ours\n")
	}
	fmt.Fprintf(&b, "signature: %s\n", in.Signature)
	for _, line := range [][2]string{{"issued", stamp(in.Issued)}, {"expires", stamp(in.Expires)}} {
		if line[1] != "" {
			fmt.Fprintf(&b, "%s: %s\n", line[0], line[1])
		}
	}
	for _, part := range []struct {
		name string
		doc  []byte
	}{{"header", in.Header}, {"claims", in.Claims}} {
		fmt.Fprintf(&b, "%s:\n", part.name)
		_ = strictjson.EachMember(part.doc, func(m strictjson.Member) { // an object: jose.Parse has seen to it
			fmt.Fprintf(&b, "  %s: %s\n", strings.Trim(strconv.QuoteToASCII(m.Name), `"`), printable(m.Value().Of(part.doc)))
		})
	}
	return b.String()
}

// from says from whom alone an accepted token is taken.
func (in Inspection) from() string {
	switch in.Proof {
	case identity.ProofDPoP:
		return " from the holder of its key alone (as with `sallyport connect`)"
	case identity.ProofMTLS:
		return " from the holder of its client certificate alone"
	}
	return ""
}

func stamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Format(time.RFC3339)
}
