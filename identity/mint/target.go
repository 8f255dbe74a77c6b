package mint

import (
	neturl "net/url"
	"strings"

	"sallyport/identity"
)

// target checks what the token is to be for. Each resource of ours gets the one audience.
func (e *endpoints) target(f form) *Refusal {
	for _, name := range []string{"resource", "audience"} {
		if value, given := f[name]; given && !e.ours(value) {
			return refuse(codeTarget, "the %s is not at or below %s/mcp, and tokens of this gateway are for nothing else", name, e.cfg.PublicURL)
		}
	}
	switch t := f["requested_token_type"]; t {
	case "", typeAccess, typeJWT:
		return nil
	}
	return refuse(codeRequest, "requested_token_type must be %s: this gateway makes no other", typeAccess)
}

// ours reports whether raw is a resource of this gateway, whose loopback names are one host.
func (e *endpoints) ours(raw string) bool {
	u, err := neturl.Parse(raw)
	base, baseErr := neturl.Parse(e.cfg.PublicURL)
	if err != nil || baseErr != nil || u.User != nil || u.RawQuery != "" || u.ForceQuery || strings.Contains(raw, "#") || u.Opaque != "" {
		return false
	}
	return u.Scheme == base.Scheme && host(u) == host(base) && identity.IsResource(u.EscapedPath())
}

func host(u *neturl.URL) string {
	name, port := strings.ToLower(u.Hostname()), u.Port()
	if name == "localhost" || name == "::1" {
		name = "127.0.0.1"
	}
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return name + ":" + port
}
