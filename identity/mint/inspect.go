package mint

import (
	"encoding/json"
	"errors"
	"strings"
	"time"

	"sallyport/identity"
	"sallyport/identity/jose"
)

// Inspection is what can be said of a token. Header and Claims are the token's own words:
// proven only where Signature is "genuine".
type Inspection struct {
	Accepted  bool            `json:"accepted"`
	Why       string          `json:"why,omitempty"`    // why it would be refused
	Advice    string          `json:"advice,omitempty"` // what to do about it
	Signature string          `json:"signature"`        // "genuine", "false", or "unknown key" when there is none to check it with
	Header    json.RawMessage `json:"header,omitempty"`
	Claims    json.RawMessage `json:"claims,omitempty"`
	Expires   time.Time       `json:"expires,omitzero"`

	now time.Time
	who *identity.Principal
}

// Inspect says what a token is and whether v would accept it at now. keys tell whether it was
// signed by one of ours where v refuses it for another reason. A leading "Bearer" and space
// around are not held against it: it has been copied from somewhere.
func Inspect(token string, v *identity.Verifier, keys identity.KeySource, now time.Time) Inspection {
	token = strings.TrimSpace(token)
	if scheme, rest, ok := strings.Cut(token, " "); ok && strings.EqualFold(scheme, "Bearer") {
		token = strings.TrimSpace(rest)
	}
	in := Inspection{Signature: "unknown key", now: now}
	who, err := v.VerifyAt(token, now)
	if t, parseErr := jose.Parse(token); parseErr == nil {
		in.Header, in.Claims = t.Header, t.Claims
		in.Signature = signature(t, keys)
		in.Expires = expiry(t.Claims)
	}
	if err != nil {
		in.Why = err.Error()
		in.Advice = advice(err)
		return in
	}
	in.Accepted, in.who = true, who
	return in
}

func signature(t *jose.Token, keys identity.KeySource) string {
	key, ok := keys.Keys().ByID[t.Kid]
	if !ok {
		return "unknown key"
	}
	if t.Verify(key) != nil {
		return "false"
	}
	return "genuine"
}

func expiry(claims []byte) time.Time {
	var c struct {
		Exp int64 `json:"exp"`
	}
	if json.Unmarshal(claims, &c) != nil || c.Exp <= 0 {
		return time.Time{}
	}
	return time.Unix(c.Exp, 0).UTC()
}

// advice says what the holder of a refused token can do about it.
func advice(err error) string {
	for _, a := range []struct {
		is   error
		text string
	}{
		{identity.ErrExpired, "mint a new one: sallyport token mint; clients renew by `sallyport token headers`"},
	} {
		if errors.Is(err, a.is) {
			return a.text
		}
	}
	return ""
}
