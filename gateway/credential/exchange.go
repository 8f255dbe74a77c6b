package credential

import (
	"context"
	"errors"
	"fmt"
	"net/url"
)

// Assert returns a short-lived statement, signed by the gateway, that it acts for who. audience
// is the token endpoint's. It is made for each exchange; what the client sent is never used.
type Assert func(ctx context.Context, who Who, audience string) (string, error)

// Types of tokens in an exchange (RFC 8693 section 3).
const (
	typeJWT         = "urn:ietf:params:oauth:token-type:jwt"
	typeAccessToken = "urn:ietf:params:oauth:token-type:access_token"
	grantExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
)

// Exchange returns tokens for each principal, which the endpoint gives for the gateway's own
// statement of who it is (RFC 8693). For the zero Who it asks for a token of the gateway's own,
// as [ClientCredentials] does. At most 1024 are kept.
func Exchange(cfg OAuthConfig, assert Assert) (Source, error) {
	if assert == nil {
		return nil, errors.New("token exchange: nobody signs for the principals")
	}
	return newOAuth(cfg, assert)
}

func (o *oauth) exchange(ctx context.Context, who Who, form url.Values) error {
	if who.Subject == "" {
		return errors.New("token exchange: the principal has no subject")
	}
	token, err := o.assert(ctx, who, o.cfg.SignedFor)
	if err != nil {
		return fmt.Errorf("token exchange: sign for the principal: %w", err)
	}
	form.Set("grant_type", grantExchange)
	form.Set("subject_token", token)
	form.Set("subject_token_type", typeJWT)
	form.Set("requested_token_type", typeAccessToken)
	return nil
}
