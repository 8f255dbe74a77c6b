package shim

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"strings"

	"sallyport/identity"
)

// notGatewayError says what answered instead of a gateway.
type notGatewayError struct {
	url  string
	what string
}

func (e *notGatewayError) Error() string {
	return fmt.Sprintf("%s is not a gateway: %s. Check the URL (a gateway's ends in /mcp or /mcp/SERVER), and that `sallyport serve` runs there", e.url, e.what)
}

// resource is the metadata of a protected resource (RFC 9728).
type resource struct {
	Resource string   `json:"resource"`
	Servers  []string `json:"authorization_servers"`
}

// server is the metadata of an authorization server (RFC 8414).
type server struct {
	Issuer     string   `json:"issuer"`
	Token      string   `json:"token_endpoint"`
	Revocation string   `json:"revocation_endpoint"` // "" where there is none
	GrantTypes []string `json:"grant_types_supported"`
	Details    []string `json:"authorization_details_types_supported"`
}

// findResource fetches the metadata of the resource at u, which must speak of u.
func findResource(ctx context.Context, client *http.Client, u *url.URL) (*resource, error) {
	at := *u
	at.Path = identity.ResourceMetadataPath + strings.TrimSuffix(u.Path, "/")
	var r resource
	err := getJSON(ctx, client, at.String(), &r)
	if err != nil && at.Path != identity.ResourceMetadataPath && ctx.Err() == nil {
		at.Path = identity.ResourceMetadataPath // RFC 9728, section 3.1, allows a document for the whole host
		if getJSON(ctx, client, at.String(), &r) == nil {
			err = nil
		}
	}
	if err != nil {
		return nil, &notGatewayError{u.String(), err.Error()}
	}
	if len(r.Servers) == 0 {
		return nil, &notGatewayError{u.String(), "its metadata names nobody who issues tokens for it"}
	}
	if !covers(r.Resource, u) {
		return nil, fmt.Errorf("%s says that its address is %.200q: connect to that, or set publicURL of the gateway to the address that its clients use", u, r.Resource)
	}
	return &r, nil
}

// covers reports whether metadata for the resource speak of u: the same origin, and a path at or
// above u's. A token for another resource must not be sent here, nor one for here made elsewhere.
func covers(declared string, u *url.URL) bool {
	d, err := url.Parse(declared)
	if err != nil || d.RawQuery != "" || d.Fragment != "" || !sameOrigin(d, u) {
		return false
	}
	above, below := strings.TrimSuffix(d.Path, "/"), strings.TrimSuffix(u.Path, "/")
	return above == below || strings.HasPrefix(below, above+"/")
}

// sameOrigin treats the names of this machine as one.
func sameOrigin(a, b *url.URL) bool {
	return strings.EqualFold(a.Scheme, b.Scheme) && hostname(a) == hostname(b) && port(a) == port(b)
}

func hostname(u *url.URL) string {
	switch h := strings.ToLower(u.Hostname()); h {
	case "127.0.0.1", "::1":
		return "localhost"
	default:
		return h
	}
}

func port(u *url.URL) string {
	switch p := u.Port(); {
	case p != "":
		return p
	case strings.EqualFold(u.Scheme, "https"):
		return "443"
	default:
		return "80"
	}
}

// findServer fetches the metadata of the first authorization server of r.
func findServer(ctx context.Context, client *http.Client, r *resource, plain bool) (*server, error) {
	issuer := r.Servers[0]
	u, err := checkURL(issuer, plain)
	if err != nil {
		return nil, fmt.Errorf("the issuer of tokens for %s: %w", r.Resource, err)
	}
	at := *u
	at.Path = identity.ServerMetadataPath + strings.TrimSuffix(u.Path, "/")
	var s server
	if err := getJSON(ctx, client, at.String(), &s); err != nil {
		return nil, fmt.Errorf("find the token endpoint of %s: %w", issuer, err)
	}
	// RFC 8414, section 3.3: else one server could speak in another's name.
	if s.Issuer != issuer {
		return nil, fmt.Errorf("the metadata at %s are those of another issuer", &at)
	}
	if s.Token == "" {
		return nil, fmt.Errorf("%s has no token endpoint: it exchanges nothing", issuer)
	}
	if _, err := checkURL(s.Token, plain); err != nil {
		return nil, fmt.Errorf("the token endpoint of %s: %w", issuer, err)
	}
	if _, err := checkURL(s.Revocation, plain); err != nil {
		s.Revocation = ""
	}
	return &s, nil
}

// probe makes sure that what answers is a gateway, and learns its clock.
func (s *Shim) probe(ctx context.Context) error {
	client := *s.http
	client.Transport = listening{s.http.Transport, func(h http.Header) { s.proofs.learn(s.url, h) }}
	_, err := findResource(ctx, &client, s.url)
	if err != nil && ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return err
}

// listening shows the header of each answer.
type listening struct {
	http.RoundTripper
	heard func(http.Header)
}

func (l listening) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := l.RoundTripper.RoundTrip(r)
	if err == nil {
		l.heard(resp.Header)
	}
	return resp, err
}

// errRefused is a token that the gateway does not take although it is new.
var errRefused = errors.New("the gateway refuses a token that has just been issued: look into its log; where several gateways share an address, they must share the state too")
