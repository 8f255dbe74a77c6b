package config

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"

	"sallyport/identity/mint"
	"sallyport/policy"
)

// Below the state directory.
const (
	policiesDir = "policies"       // what came of a URL in `policies`
	bundleFile  = "bundle.tar.gz"  // the last good bundle
	sourceFile  = "source.json"    // where it came from
	newestFile  = "installed.json" // the newest signed policy that was installed, wherever it came from
)

// isURL reports whether the policies come from elsewhere. It is no path of this machine.
func isURL(where string) bool { return strings.Contains(where, "://") }

// PolicyPlace is where the policies lie on this machine: those of a URL are kept in the state.
func (c *Config) PolicyPlace() string {
	if isURL(c.Policies) {
		return filepath.Join(c.State, policiesDir, bundleFile)
	}
	return c.Policies
}

// LoadPolicies loads the policies from this machine, as the gateway installs them.
func (c *Config) LoadPolicies(ctx context.Context) (*policy.Generation, error) {
	return c.LoadPoliciesFrom(ctx, c.PolicyPlace())
}

// LoadPoliciesFrom is LoadPolicies of what lies at place, which need not be where the configuration
// has its policies.
func (c *Config) LoadPoliciesFrom(ctx context.Context, place string) (*policy.Generation, error) {
	keys, err := c.PolicyKeys()
	if err != nil {
		return nil, fmt.Errorf("policyKey: %w", err)
	}
	o := policy.Options{Keys: keys}
	if keys != nil {
		if o.Newest, err = c.newestPolicy(); err != nil {
			return nil, err
		}
	}
	g, err := policy.Load(ctx, place, o)
	if err != nil {
		return nil, fmt.Errorf("policies in %s: %w", c.Policies, err)
	}
	if b := g.Bundle(); b != nil && b.Unproved {
		return nil, fmt.Errorf("policies in %s: the bundle is signed, and there is no policyKey to verify the signature with; set it (a gateway that runs takes it at its next start), or build the bundle without --sign", c.Policies)
	}
	return g, nil
}

// PolicyKeys are the keys that policies must be signed with, or nil where nobody asks for that.
func (c *Config) PolicyKeys() (policy.Keys, error) {
	if c.PolicyKey == "" {
		return nil, nil // no key is no error
	}
	text, err := os.ReadFile(c.PolicyKey)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.PolicyKey, unwrapPath(err))
	}
	keys, err := policy.ReadKeys(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", c.PolicyKey, err)
	}
	return keys, nil
}

func (c *Config) newestPath() string { return filepath.Join(c.State, policiesDir, newestFile) }

// newestPolicy is the newest signed policy that was ever installed here.
func (c *Config) newestPolicy() (policy.Installed, error) {
	raw, err := os.ReadFile(c.newestPath())
	if errors.Is(err, fs.ErrNotExist) {
		return policy.Installed{}, nil
	}
	var newest policy.Installed
	if err == nil {
		err = json.Unmarshal(raw, &newest)
	}
	if err != nil {
		return policy.Installed{}, fmt.Errorf("%s says how new the policies must be and cannot be read (%w); remove it only if you know that the policies are not older than those before", c.newestPath(), unwrapPath(err))
	}
	return newest, nil
}

// rememberPolicy notes that a signed policy is about to be installed, so that none before it is.
func (c *Config) rememberPolicy(g *policy.Generation) error {
	b := g.Bundle()
	if b == nil || !b.Signed {
		return nil
	}
	now := policy.Installed{Number: b.Number, Revision: g.Revision()}
	if newest, err := c.newestPolicy(); err != nil || newest == now {
		return err
	}
	raw, err := json.Marshal(now)
	if err == nil {
		err = c.writeState(newestFile, raw)
	}
	if err != nil {
		return fmt.Errorf("remember the number of the policies: %w", err)
	}
	return nil
}

// writeState writes a file of policiesDir so that it is on disk when it returns.
func (c *Config) writeState(name string, raw []byte) error {
	if err := os.MkdirAll(filepath.Join(c.State, policiesDir), 0o700); err != nil {
		return err
	}
	return mint.WritePrivate(filepath.Join(c.State, policiesDir, name), raw)
}

// checkPolicies looks at what the keys about policies say.
func (c *Config) checkPolicies(p *problems) {
	if c.Policies == "" {
		p.key("policies", "no policies, so nothing could be allowed; set SALLYPORT_POLICIES, or make a start with `sallyport init`")
	}
	if !isURL(c.Policies) {
		return
	}
	u, err := url.Parse(c.Policies)
	switch {
	case err != nil || u.Host == "":
		p.key("policies", "wants a directory, a bundle, or the URL of one, such as https://policies.internal/bundle.tar.gz")
	case u.Scheme != "https":
		p.key("policies", "%s: whoever is on the way could answer; use https", u.Scheme)
	case u.User != nil || u.Fragment != "":
		p.key("policies", "a URL without user, password and fragment: it is in logs")
	}
}

// checkPolicyFiles looks whether the policies and their key are there.
func (c *Config) checkPolicyFiles(p *problems) {
	if _, err := c.PolicyKeys(); err != nil {
		p.key("policyKey", "%s", err)
	}
	if _, err := certificatesIn(c.PolicyCA); err != nil {
		p.key("policyCA", "%s", err)
	}
	if isURL(c.Policies) {
		return
	}
	if _, err := os.Stat(c.Policies); err != nil {
		p.key("policies", "%s: %s%s", c.Policies, unwrapPath(err), c.starter(err))
	}
}

// installed says in the log what policies serve.
func installed(c *Config, g *policy.Generation) []any {
	attrs := []any{slog.String("revision", g.Revision()), slog.String("directory", c.Policies)}
	if b := g.Bundle(); b != nil {
		attrs = append(attrs, slog.Int64("number", b.Number), slog.String("signed_by", b.Key))
	}
	return attrs
}
