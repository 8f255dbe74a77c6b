package credential

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"time"
)

// ClientAuth is how the gateway proves to a token endpoint which client it is. The zero value is
// SecretBasic.
type ClientAuth uint8

// The ways of OAuth 2.0 (RFC 6749 section 2.3.1) and OpenID Connect Core section 9.
const (
	SecretBasic   ClientAuth = iota // client_secret_basic
	SecretPost                      // client_secret_post
	PrivateKeyJWT                   // private_key_jwt (RFC 7523 section 2.2)
)

// OAuthConfig says where tokens come from.
type OAuthConfig struct {
	// TokenURL of the endpoint: https, or http on this machine. Redirects are not followed and no
	// proxy is used.
	TokenURL string
	ClientID string
	Auth     ClientAuth
	Secret   Source // the client's secret, for SecretBasic and SecretPost
	// KeyFile holds a private key in PEM (Ed25519, P-256 or RSA of at least 2048 bits), for
	// PrivateKeyJWT. It is read at every request for a token. KeyID names it at the endpoint.
	KeyFile, KeyID string

	Scope    string
	Resource string // of the MCP server (RFC 8707), an absolute URI without fragment
	Audience string // where the endpoint wants one instead (RFC 8693)
	// SignedFor is the audience of what the gateway signs for the endpoint. Default: TokenURL;
	// some endpoints want the URL of their issuer.
	SignedFor string

	TLS     *tls.Config   // cloned; default: the system's roots, TLS 1.2 or newer
	Timeout time.Duration // of one request; default 10 s
	Log     *slog.Logger  // default: discard
}

type oauth struct {
	named
	cfg    OAuthConfig
	client *http.Client
	kept   *kept
	assert Assert // nil for client credentials
}

// ClientCredentials returns tokens that the gateway gets for itself (RFC 6749 section 4.4). A
// token is kept until it expires, and refreshed before that when it is used; while the endpoint
// does not answer, one that is still valid serves on. It fails when cfg cannot be used.
func ClientCredentials(cfg OAuthConfig) (Source, error) { return newOAuth(cfg, nil) }

func newOAuth(cfg OAuthConfig, assert Assert) (*oauth, error) {
	if err := cfg.check(); err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 10 * time.Second
	}
	if cfg.SignedFor == "" {
		cfg.SignedFor = cfg.TokenURL
	}
	secure := cfg.TLS.Clone()
	if secure == nil {
		secure = &tls.Config{}
	}
	secure.MinVersion = max(secure.MinVersion, tls.VersionTLS12)
	o := &oauth{named: named("credential from " + cfg.TokenURL), cfg: cfg, assert: assert}
	o.client = &http.Client{
		Timeout: cfg.Timeout,
		Transport: &http.Transport{
			TLSClientConfig: secure, DialContext: (&net.Dialer{Timeout: cfg.Timeout}).DialContext,
			MaxConnsPerHost: 16, IdleConnTimeout: 30 * time.Second, MaxResponseHeaderBytes: 32 << 10, DisableCompression: true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	o.kept = newKept(o.fetch, cfg.Timeout+time.Second, cfg.Log)
	return o, nil
}

func (o *oauth) Get(ctx context.Context, who Who) (Secret, error) {
	return o.kept.get(ctx, o.whose(who))
}

func (o *oauth) Refused(who Who, refused Secret) { o.kept.refused(o.whose(who), refused) }

// Forget implements [Leaser].
func (o *oauth) Forget(who Who) { o.kept.forget(o.whose(who)) }

// whose is who has a token of his own.
func (o *oauth) whose(who Who) Who {
	if o.assert == nil {
		return Who{}
	}
	return who
}

func (o *oauth) fetch(ctx context.Context, who Who) (Secret, error) {
	form, err := o.grant(ctx, who)
	if err != nil {
		return Secret{}, err
	}
	return o.request(ctx, form)
}

// grant is the form for who, but for the client's proof.
func (o *oauth) grant(ctx context.Context, who Who) (url.Values, error) {
	form := url.Values{}
	for name, value := range map[string]string{"scope": o.cfg.Scope, "resource": o.cfg.Resource, "audience": o.cfg.Audience} {
		if value != "" {
			form.Set(name, value)
		}
	}
	if o.assert == nil || who == (Who{}) {
		form.Set("grant_type", "client_credentials")
		return form, nil
	}
	return form, o.exchange(ctx, who, form)
}

func (c *OAuthConfig) check() error {
	u, err := url.Parse(c.TokenURL)
	switch {
	case err != nil || u.Host == "" || u.Opaque != "": // the error of url.Parse quotes the URL
		return errors.New("token endpoint: its URL cannot be read; write it as https://host/path")
	case u.User != nil:
		return errors.New("token endpoint: its URL holds a user or password; use clientID and clientSecret")
	case u.Fragment != "":
		return errors.New("token endpoint: its URL has a fragment, which no server would see")
	case u.Scheme != "https" && (u.Scheme != "http" || !loopback(u.Hostname())):
		return fmt.Errorf("token endpoint: %s is not https; a secret would cross the network in the clear", c.TokenURL)
	case c.ClientID == "":
		return errors.New("token endpoint: the client's id is missing")
	}
	if c.Resource != "" {
		if r, err := url.Parse(c.Resource); err != nil || !r.IsAbs() || r.Fragment != "" {
			return errors.New("token endpoint: resource must be an absolute URI without fragment (RFC 8707)")
		}
	}
	return c.checkAuth()
}

func (c *OAuthConfig) checkAuth() error {
	switch c.Auth {
	case SecretBasic, SecretPost:
		if c.Secret == nil || c.KeyFile != "" {
			return errors.New("token endpoint: the client's secret is missing, or there is a key beside it")
		}
	case PrivateKeyJWT:
		if c.KeyFile == "" || c.Secret != nil {
			return errors.New("token endpoint: the client's key is missing, or there is a secret beside it")
		}
		if _, err := readKey(c.KeyFile); err != nil {
			return err
		}
	default:
		return fmt.Errorf("token endpoint: unknown client authentication %d", c.Auth)
	}
	return nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}
