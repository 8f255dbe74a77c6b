package federate

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"sallyport/identity/jose"
	"sallyport/internal/strictjson"
)

// discoveryPath is where an OpenID Connect issuer describes itself (OpenID Connect Discovery §4).
const discoveryPath = "/.well-known/openid-configuration"

// web fetches the public documents of one issuer. It follows no redirect: who may answer for an
// issuer is written in the configuration, not in an answer.
type web struct{ client *http.Client }

// newWeb trusts the certificates of roots, or the system's where it is nil.
func newWeb(roots *x509.CertPool) *web {
	return &web{client: &http.Client{
		Transport: &http.Transport{
			Proxy:           http.ProxyFromEnvironment,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
			// Fetches are minutes apart, so a kept connection would only be one that has died.
			DisableKeepAlives:      true,
			DisableCompression:     true, // else a small answer could become a huge one
			MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

// keySet fetches a JWK Set, and for how long its server calls it fresh.
func (w *web) keySet(ctx context.Context, address string, uses []string) (jose.KeySet, time.Duration, error) {
	data, header, err := w.get(ctx, address)
	if err != nil {
		return jose.KeySet{}, 0, err
	}
	set, err := jose.ParseKeySet(data, uses...)
	if err != nil {
		return jose.KeySet{}, 0, fmt.Errorf("%s gives no usable key set: %w%s", address, err, cameAs(header))
	}
	return set, freshness(header), nil
}

// discover fetches the keys from where the issuer's own document says that they are.
func (w *web) discover(ctx context.Context, issuer string, uses []string) (jose.KeySet, time.Duration, error) {
	address := strings.TrimSuffix(issuer, "/") + discoveryPath
	data, header, err := w.get(ctx, address)
	if err != nil {
		return jose.KeySet{}, 0, err
	}
	keys, err := readDiscovery(data, issuer)
	if err != nil {
		return jose.KeySet{}, 0, fmt.Errorf("%s: %w%s", address, err, cameAs(header))
	}
	return w.keySet(ctx, keys, uses)
}

var discoveryScope = strictjson.Only(strictjson.NewKeySet("issuer", "jwks_uri"), nil)

// readDiscovery returns the address of the keys. The document must be that of the issuer, by the
// letter: otherwise one issuer could speak for another (OpenID Connect Discovery §4.3).
func readDiscovery(data []byte, issuer string) (string, error) {
	if err := strictjson.CheckScope(data, strictjson.Limits{}, discoveryScope); err != nil {
		return "", fmt.Errorf("is no discovery document: %w", err)
	}
	var said, keys string
	for name, dst := range map[string]*string{"issuer": &said, "jwks_uri": &keys} {
		span, ok := strictjson.Find(data, name)
		if !ok {
			return "", fmt.Errorf("is no discovery document: it has no %s", name)
		}
		var err error
		if *dst, err = strictjson.String(span.Of(data)); err != nil {
			return "", fmt.Errorf("is no discovery document: %s is not a string", name)
		}
	}
	if said != issuer {
		return "", fmt.Errorf("says that its issuer is %.200q; the rule's issuer must be the same to the letter", said)
	}
	if err := checkURL("jwks_uri", keys); err != nil {
		return "", errors.New("jwks_uri " + err.What)
	}
	here, _ := url.Parse(issuer) // New has checked it
	if there, _ := url.Parse(keys); isLoopback(there) && !isLoopback(here) {
		return "", errors.New("jwks_uri points at this machine, which is not the issuer's")
	}
	return keys, nil
}

// get returns the body of a successful answer, of at most [jose.MaxSetSize] bytes.
func (w *web) get(ctx context.Context, address string) ([]byte, http.Header, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, nil, err
	}
	req.Header.Set("Accept", "application/json, application/jwk-set+json")
	res, err := w.client.Do(req)
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, inner(ctx, err))
	}
	defer res.Body.Close()
	switch {
	case res.StatusCode >= 300 && res.StatusCode < 400:
		return nil, nil, fmt.Errorf("read %s: answers %d, a redirect, which is not followed; give the address where the keys really are as jwksURL", address, res.StatusCode)
	case res.StatusCode != http.StatusOK:
		return nil, nil, fmt.Errorf("read %s: answers %d %s", address, res.StatusCode, http.StatusText(res.StatusCode))
	}
	data, err := io.ReadAll(io.LimitReader(res.Body, jose.MaxSetSize+1))
	if err != nil {
		return nil, nil, fmt.Errorf("read %s: %w", address, inner(ctx, err))
	}
	if len(data) > jose.MaxSetSize {
		return nil, nil, fmt.Errorf("read %s: longer than %d bytes", address, jose.MaxSetSize)
	}
	return data, res.Header, nil
}

// inner takes the address and the method out of an error, and says why a fetch was stopped.
func inner(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if e, ok := errors.AsType[*url.Error](err); ok {
		return e.Err
	}
	return err
}

// cameAs names the type of an answer that is not what was asked for: often it is the HTML of
// somebody in between.
func cameAs(header http.Header) string {
	kind, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	if err != nil || kind == "application/json" || kind == "application/jwk-set+json" {
		return ""
	}
	return "; it came as " + kind
}

// freshness reads max-age of Cache-Control. Without one, and with no-store or no-cache, it is 0,
// which the caller raises to its least.
func freshness(header http.Header) time.Duration {
	fresh := time.Duration(0)
	for directive := range strings.SplitSeq(strings.Join(header.Values("Cache-Control"), ","), ",") {
		name, value, _ := strings.Cut(strings.ToLower(strings.TrimSpace(directive)), "=")
		switch name {
		case "no-store", "no-cache":
			return 0
		case "max-age":
			if n, err := strconv.ParseUint(value, 10, 31); err == nil {
				fresh = time.Duration(n) * time.Second
			}
		}
	}
	return fresh
}
