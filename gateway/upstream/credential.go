package upstream

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/textproto"
	"strings"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/credential"
)

// presented is the credential that goes with each request. It is asked for when the request is
// sent and is kept nowhere here.
type presented struct {
	source credential.Source // nil: none
	header string
	prefix string
	scrub  *credential.Scrubber
}

// addCredential takes over the configured source. Its header belongs to it alone.
func (h *HTTP) addCredential(cfg HTTPConfig) error {
	h.presented = presented{source: cfg.Credential, prefix: cfg.CredentialPrefix, scrub: new(credential.Scrubber)}
	for name, values := range cfg.Headers {
		if credential.Sensitive(name) {
			for _, value := range values {
				h.presented.learn(value)
			}
		}
	}
	if cfg.Credential == nil {
		return nil
	}
	name := textproto.CanonicalMIMEHeaderKey(cfg.CredentialHeader)
	switch {
	case !validName(name) || reserved(name):
		return fmt.Errorf("upstream header %q: it may not carry a credential", name)
	case h.isStatic(name):
		return fmt.Errorf("upstream header %q: it is set twice, by the headers and by the credential", name)
	case !validValue(cfg.CredentialPrefix):
		return fmt.Errorf("upstream header %q: what stands before the credential holds a control character", name)
	}
	h.presented.header = name
	h.static = append(h.static, name) // no request sets it
	return nil
}

// learn makes the scrubber look for a header's value: without its scheme, and of a basic one the
// password as well.
func (p *presented) learn(value string) {
	scheme, rest, ok := strings.Cut(value, " ")
	if !ok {
		rest = value
	}
	p.scrub.Learn(rest)
	if !strings.EqualFold(scheme, "Basic") {
		return
	}
	if pair, err := base64.StdEncoding.DecodeString(rest); err == nil {
		_, password, _ := strings.Cut(string(pair), ":")
		p.scrub.Learn(password)
	}
}

// Scrub takes the gateway's own credentials for this server out of what it answered.
func (h *HTTP) Scrub(doc []byte) ([]byte, int) { return h.presented.scrub.Scrub(doc) }

// get returns the secret for a request of p, which may be the gateway itself.
func (p *presented) get(ctx context.Context, party gateway.Party) (credential.Secret, error) {
	if p.source == nil {
		return credential.Secret{}, nil
	}
	secret, err := p.source.Get(ctx, credential.Who{Subject: party.Subject, Issuer: party.Issuer})
	if err != nil {
		return secret, fmt.Errorf("%w: %w", gateway.ErrNoCredential, err)
	}
	if secret.Value == "" || !validValue(secret.Value) {
		return credential.Secret{}, fmt.Errorf("%w: the credential is empty or holds a control character", gateway.ErrNoCredential)
	}
	if !secret.Expires.IsZero() && !time.Now().Before(secret.Expires) {
		return credential.Secret{}, fmt.Errorf("%w: the credential expired at %s", gateway.ErrNoCredential, secret.Expires.Format(time.RFC3339))
	}
	p.learn(p.prefix + secret.Value)
	return secret, nil
}

// EndGrant forgets the credential that was leased for the party: its grant is over.
func (h *HTTP) EndGrant(p gateway.Party) {
	if lease, ok := h.presented.source.(credential.Leaser); ok {
		lease.Forget(credential.Who{Subject: p.Subject, Issuer: p.Issuer})
	}
}

// append writes the credential's header, where there is one.
func (p *presented) append(buf []byte, secret credential.Secret) []byte {
	if secret.Value == "" {
		return buf
	}
	buf = append(buf, p.header...)
	buf = append(buf, ": "...)
	buf = append(buf, p.prefix...)
	buf = append(buf, secret.Value...)
	return append(buf, "\r\n"...)
}

// answered tells the source of a secret that the server did not take, so that the next request
// has another. This one is not repeated: the server may have done what it asked.
func (p *presented) answered(status int, party gateway.Party, secret credential.Secret) {
	if source, ok := p.source.(credential.Refresher); ok && status == http.StatusUnauthorized {
		source.Refused(credential.Who{Subject: party.Subject, Issuer: party.Issuer}, secret)
	}
}
