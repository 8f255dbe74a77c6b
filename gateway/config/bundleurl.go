package config

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"time"
)

const (
	maxBundle     = 64 << 20 // bytes
	bundleTimeout = 30 * time.Second
	maxRedirects  = 5
)

// bundleSource says where the bundle in the state came from.
type bundleSource struct {
	URL    string `json:"url"`
	ETag   string `json:"etag,omitempty"`
	Digest string `json:"digest"` // SHA-256 of the file
}

// getBundle returns the bundle of a URL, or nil where it is still the one of etag. roots may sign the
// server's certificate; nil: those of the system.
func getBundle(ctx context.Context, from, etag string, roots *x509.CertPool) (raw []byte, newTag string, err error) {
	ctx, cancel := context.WithTimeout(ctx, bundleTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, from, nil)
	if err != nil {
		return nil, "", fmt.Errorf("ask for the bundle: %w", err)
	}
	req.Header.Set("User-Agent", "sallyport")
	if etag != "" {
		req.Header.Set("If-None-Match", etag)
	}
	client := &http.Client{CheckRedirect: sameHost, Transport: &http.Transport{
		Proxy:                  http.ProxyFromEnvironment,
		TLSClientConfig:        &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		DisableKeepAlives:      true, // polls are far apart, so a kept connection would only be one that has died
		DisableCompression:     true, // a bundle is compressed
		MaxResponseHeaderBytes: 64 << 10,
	}}
	resp, err := client.Do(req)
	if err != nil {
		if e, ok := errors.AsType[*url.Error](err); ok {
			err = e.Err // the URL is said by whoever asked
		}
		return nil, "", err
	}
	defer func() { _ = resp.Body.Close() }() // what counts has been read
	switch {
	case resp.StatusCode == http.StatusNotModified && etag != "":
		return nil, etag, nil
	case resp.StatusCode != http.StatusOK:
		return nil, "", fmt.Errorf("the server answered %s", resp.Status)
	}
	if raw, err = io.ReadAll(io.LimitReader(resp.Body, maxBundle+1)); err != nil {
		return nil, "", fmt.Errorf("read the bundle: %w", err)
	}
	if len(raw) > maxBundle {
		return nil, "", fmt.Errorf("the bundle has more than %d bytes", maxBundle)
	}
	return raw, resp.Header.Get("ETag"), nil
}

// sameHost refuses redirects to anybody else: the operator named who is trusted with the policies.
func sameHost(req *http.Request, via []*http.Request) error {
	if first := via[0].URL; req.URL.Scheme != first.Scheme || req.URL.Host != first.Host {
		return fmt.Errorf("it redirects to %s://%s; only the host that policies names is asked", req.URL.Scheme, req.URL.Host)
	}
	if len(via) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// FetchBundle asks a URL for a bundle once, and writes it to a file.
// ca is a file of certificates, as policyCA; "": those of the system.
func FetchBundle(ctx context.Context, from, ca, file string) error {
	roots, err := certificatesIn(ca)
	if err == nil {
		var raw []byte
		if raw, _, err = getBundle(ctx, from, "", roots); err == nil {
			err = os.WriteFile(file, raw, 0o600)
		}
	}
	if err != nil {
		return fmt.Errorf("policies from %s: %w", from, err)
	}
	return nil
}

// bundleSource is where the bundle in the state came from, or the zero value where there is none from
// this URL.
func (c *Config) bundleSource() bundleSource {
	dir := filepath.Join(c.State, policiesDir)
	raw, err := os.ReadFile(filepath.Join(dir, sourceFile))
	var source bundleSource
	if err != nil || json.Unmarshal(raw, &source) != nil || source.URL != c.Policies {
		return bundleSource{}
	}
	if data, err := os.ReadFile(filepath.Join(dir, bundleFile)); err != nil || digestOfBundle(data) != source.Digest {
		return bundleSource{} // as if there were none: it is fetched whole
	}
	return source
}

// certificatesIn returns nil, which stands for those of the system, where no file is named.
func certificatesIn(file string) (*x509.CertPool, error) {
	if file == "" {
		return nil, nil // no file is no error
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, unwrapPath(err))
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in it", file)
	}
	return pool, nil
}

func digestOfBundle(raw []byte) string {
	sum := sha256.Sum256(raw)
	return hex.EncodeToString(sum[:])
}

// updateBundle asks the URL for a newer bundle, and keeps it in the state where the gateway would
// install it. On an error the one before stays.
func (s *Service) updateBundle(ctx context.Context, cfg *Config) error {
	s.fetching.Lock()
	defer s.fetching.Unlock()
	known := cfg.bundleSource()
	roots, err := certificatesIn(cfg.PolicyCA)
	if err != nil {
		return fmt.Errorf("policyCA: %w", err)
	}
	raw, etag, err := getBundle(ctx, cfg.Policies, known.ETag, roots)
	if err != nil {
		return fmt.Errorf("policies from %s: %w", cfg.Policies, err)
	}
	now := bundleSource{cfg.Policies, etag, known.Digest}
	if raw != nil {
		now.Digest = digestOfBundle(raw)
	}
	if now.Digest != known.Digest {
		const candidate = "candidate.tar.gz"
		path := filepath.Join(cfg.State, policiesDir, candidate)
		if err := cfg.writeState(candidate, raw); err != nil {
			return fmt.Errorf("keep the bundle: %w", err)
		}
		g, err := cfg.LoadPoliciesFrom(ctx, path)
		if err != nil {
			return errors.Join(err, os.Remove(path))
		}
		g.Close()
		if err := os.Rename(path, cfg.PolicyPlace()); err != nil {
			return fmt.Errorf("keep the bundle: %w", unwrapPath(err))
		}
	}
	if now == known {
		return nil
	}
	if raw, err = json.Marshal(now); err == nil {
		err = cfg.writeState(sourceFile, raw)
	}
	if err != nil {
		return fmt.Errorf("keep the bundle: %w", err)
	}
	return nil
}

// firstBundle fetches the policies of a URL that is new to the service. Where that fails, the last
// good bundle from this URL does, if it still verifies.
func (s *Service) firstBundle(ctx context.Context, cfg *Config) error {
	if !isURL(cfg.Policies) || s.current != nil && s.current.cfg.Policies == cfg.Policies {
		return nil
	}
	err := s.updateBundle(ctx, cfg)
	s.health.setBundle(err)
	if err == nil {
		return nil
	}
	if _, gone := os.Stat(cfg.PolicyPlace()); errors.Is(gone, fs.ErrNotExist) || cfg.bundleSource() == (bundleSource{}) {
		return fmt.Errorf("%w; and there is no bundle of an earlier start", err)
	}
	s.log.Warn("the last good policies are used", slog.Any("error", err))
	return nil
}

// followBundle asks the URL again and again, until ctx ends. What it keeps, the watcher installs.
func (s *Service) followBundle(ctx context.Context) {
	said := ""
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(cmp.Or(s.bundleEvery, s.serving.Load().cfg.PolicyPoll.Std())):
		}
		cfg := s.serving.Load().cfg
		if !isURL(cfg.Policies) {
			s.health.setBundle(nil)
			continue
		}
		err := s.updateBundle(ctx, cfg)
		if ctx.Err() != nil {
			return
		}
		s.health.setBundle(err)
		switch {
		case err == nil:
			said = ""
		case err.Error() != said: // once, and not at each poll
			said = err.Error()
			s.log.Error("no newer policies, those before serve on", slog.String("problem", said))
		}
	}
}
