package identity

import (
	"strconv"
	"time"
)

// Values of Principal.Proof. It says of a token that is bound to both that it is ProofDPoP: what
// is proven for each request is more than what is proven for a connection.
const (
	ProofNone = "none"
	ProofDPoP = "dpop"
	ProofMTLS = "mtls"
)

// Principal is who a verified token speaks for. The verifier hands the same one to every
// request with that token, so it and all that it refers to are read-only. The zero Principal
// is nobody.
type Principal struct {
	Subject, Issuer, ClientID string
	Roles                     []string       // at least one, none empty
	Actors                    []string       // who acts for the subject, newest first; at most four
	Grant, Task               string         // empty where the token names none
	TokenID                   string         // jti: what revocation goes by, never the token's bytes
	IssuedAt, Expires         time.Time      // at most MaxLifetime apart
	JKT                       string         // thumbprint of the key that a DPoP proof must be by (RFC 9449 §6.1); empty: none needed
	X5T                       string         // SHA-256 of the certificate that the connection must have (RFC 8705 §3.1); empty: none needed
	Proof                     string         // what the token demands, and Verify has seen: ProofNone, ProofDPoP or ProofMTLS
	Measured                  string         // digest of the agent's own files, as it claimed when the token was made
	Claims                    map[string]any // every claim; numbers are json.Number

	key string // Key, made once by the verifier
}

// Valid reports whether p is somebody.
func (p *Principal) Valid() bool {
	return p != nil && p.Subject != "" && p.Issuer != ""
}

// Key identifies the principal for everything that outlives one token: sessions, streams and
// handles. It is made of issuer, subject, client and grant, each with its length before it, so
// that no two different principals share a key: a renewed token has the same, another's never.
// The key of nobody is empty, and nothing may be bound to it.
func (p *Principal) Key() string {
	if !p.Valid() {
		return ""
	}
	if p.key == "" {
		return p.makeKey()
	}
	return p.key
}

func (p *Principal) makeKey() string {
	b := make([]byte, 0, 128)
	for _, s := range []string{p.Issuer, p.Subject, p.ClientID, p.Grant} {
		b = strconv.AppendInt(b, int64(len(s)), 10)
		b = append(b, ':')
		b = append(b, s...)
	}
	return string(b)
}
