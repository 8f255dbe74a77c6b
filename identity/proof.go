package identity

import (
	"crypto/subtle"
	"crypto/tls"
	"errors"
	"fmt"
	"strings"

	"sallyport/identity/pop"
)

// prove holds the request against what the token is bound to: nothing, a DPoP key, a client
// certificate, or both. Its answer is never cached.
func (v *Verifier) prove(who *Principal, r *Request, token string, dpop bool) error {
	if dpop != (who.JKT != "") {
		if dpop {
			return ErrUnbound
		}
		return ErrProof // a bound token under Bearer is a copied token (RFC 9449 §7.2)
	}
	if who.X5T != "" {
		if err := proveCertificate(who.X5T, r.TLS); err != nil {
			return err
		}
	}
	if who.JKT == "" {
		return nil
	}
	// Last, since it uses the proof up.
	return v.proveKey(who, r, token)
}

func (v *Verifier) proveKey(who *Principal, r *Request, token string) error {
	proofs := r.Header["Dpop"]
	switch {
	case v.cfg.Proofs == nil || v.cfg.PublicURL == "":
		return fmt.Errorf("%w that could be checked here", ErrProof)
	case len(proofs) == 0:
		return ErrProof
	case len(proofs) > 1: // which of them another reader would take is its own affair
		return fmt.Errorf("%w: more than one DPoP header", ErrProof)
	}
	proven, err := v.cfg.Proofs.Prove(proofs[0], pop.Want{
		Method: r.Method, URL: strings.TrimSuffix(v.cfg.PublicURL, "/") + r.Path, Token: token, JKT: who.JKT,
		Owner: pop.Owner{Issuer: who.Issuer, Subject: who.Subject}})
	r.Nonce = proven.Nonce
	if errors.Is(err, pop.ErrNonce) {
		r.Nonce = v.cfg.Proofs.Nonce()
	}
	return err
}

// proveCertificate wants the certificate itself (RFC 8705 §3), and that it was verified: without
// the chain the connection may have been made under a configuration that asks for none.
func proveCertificate(x5t string, state *tls.ConnectionState) error {
	if state == nil || len(state.PeerCertificates) == 0 || len(state.VerifiedChains) == 0 {
		return ErrProof
	}
	if subtle.ConstantTimeCompare([]byte(pop.X5T(state.PeerCertificates[0])), []byte(x5t)) != 1 {
		return ErrCertificate
	}
	return nil
}
