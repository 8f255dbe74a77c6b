package mint

import (
	"encoding/base64"
	"errors"
	"net/http"
	"strings"

	"sallyport/identity"
	"sallyport/identity/pop"
	"sallyport/internal/strictjson"
)

// key is what a request has proven to hold: the private half of a DPoP proof's key (jkt), and
// that of the connection's certificate (x5t). The zero key is none.
type key struct{ jkt, x5t string }

// prove returns the keys that a request proves. A proof that is there must be good, and where
// the request shows a token of ours, it must be by the key that this is bound to: else a copy
// of the token would do. A new key takes room of who asks.
func (e *endpoints) prove(r *http.Request, by Asker, shown *identity.Principal) (key, error) {
	if shown == nil {
		shown = &identity.Principal{}
	}
	var k key
	if r.TLS != nil && len(r.TLS.VerifiedChains) > 0 && len(r.TLS.PeerCertificates) > 0 {
		k.x5t = pop.X5T(r.TLS.PeerCertificates[0])
	}
	if shown.X5T != "" && shown.X5T != k.x5t {
		return key{}, refuse(codeProof, "the token is bound to a client certificate, which this connection does not have; connect with it")
	}
	proofs := r.Header["Dpop"]
	if len(proofs) == 0 {
		if shown.JKT != "" {
			return key{}, refuse(codeProof, "the token is bound to a key; send a DPoP proof by that key")
		}
		return k, nil
	}
	if len(proofs) > 1 {
		return key{}, refuse(codeProof, "there is more than one DPoP header; send one proof")
	}
	if e.cfg.Proofs == nil {
		return key{}, refuse(codeProof, "this gateway checks no DPoP proofs; use a client certificate")
	}
	jkt, err := e.cfg.Proofs.Check(proofs[0], pop.Want{Method: r.Method, URL: e.cfg.PublicURL + r.URL.Path, JKT: shown.JKT,
		Owner: pop.Owner{Issuer: by.Issuer, Subject: by.Subject}})
	switch {
	case err == nil:
		k.jkt = jkt
		return k, nil
	case errors.Is(err, pop.ErrNonce):
		return key{}, needsNonce(err)
	case errors.Is(err, pop.ErrFull):
		return key{}, unavailable(err, "too many keys are in use at the moment; try again in two minutes")
	}
	return key{}, &Refusal{Code: codeProof, Message: "the DPoP proof is not accepted; the gateway's log says why", Status: http.StatusBadRequest, err: err}
}

func needsNonce(err error) *Refusal {
	return &Refusal{Code: codeNonce, Message: "sign a new proof with the nonce of the DPoP-Nonce header", Status: http.StatusBadRequest, err: err}
}

// nonce refuses a proof that says itself that its nonce is not the current one. It saves what
// the request shows from being used up; everything else about the proof is for prove.
func (e *endpoints) nonce(r *http.Request) *Refusal {
	proofs := r.Header["Dpop"]
	if len(proofs) != 1 || e.cfg.Proofs == nil {
		return nil
	}
	parts := strings.Split(proofs[0], ".")
	if len(parts) != 3 {
		return nil
	}
	claims, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil || strictjson.Check(claims, strictjson.Limits{}) != nil {
		return nil
	}
	if _, err := strictjson.Object(claims); err != nil {
		return nil
	}
	if span, ok := strictjson.Find(claims, "nonce"); ok {
		if said, err := strictjson.String(span.Of(claims)); err != nil || said == e.cfg.Proofs.Nonce() {
			return nil
		}
	}
	return needsNonce(pop.ErrNonce)
}
