package config

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// check looks at what the values mean together.
func (c *Config) check(p *problems) {
	c.checkBounds(p)
	c.checkListen(p)
	c.checkPublicURL(p)
	if (c.TLS.Cert == "") != (c.TLS.Key == "") {
		p.key("tls", "wants both cert and key")
	}
	if c.TLS.ClientCA != "" && c.TLS.Cert == "" {
		p.key("tls.clientCA", "clients show certificates only to a gateway that has one; give tls.cert and tls.key")
	}
	if c.Admin.Listen != adminOff {
		if _, _, err := splitAddress(c.Admin.Listen); err != nil {
			p.key("admin.listen", "%s; `off` for none", err)
		} else if port := portOf(c.Admin.Listen); port != "0" && canonical(c.Admin.Listen) == canonical(c.Listen) {
			p.key("admin.listen", "is the address of listen; health is never served where clients connect")
		}
	}
	if c.State == "" {
		p.key("state", "there is no place for the state; set SALLYPORT_STATE")
	}
	c.checkPolicies(p)
	if len(c.Servers) == 0 && !p.bad["mcpServers"] {
		p.key("mcpServers", "no MCP server to stand before; name one here, or set SALLYPORT_UPSTREAM to its URL")
	}
	c.checkServers(p)
	c.checkGuards(p)
	c.checkIdentity(p)
	c.checkAudit(p)
	c.checkShadow(p)
}

const adminOff = "off"

func (c *Config) checkBounds(p *problems) {
	root := reflect.ValueOf(c).Elem()
	for _, f := range Fields() {
		below, ofServer := strings.CutPrefix(f.Path, "mcpServers.*.")
		switch {
		case f.Min == "":
		case strings.HasPrefix(f.Path, "identity.federation.*."):
			for i, rule := range c.Identity.Federation {
				f.checkBounds(strings.Replace(f.Path, "*", strconv.Itoa(i), 1), reflect.ValueOf(rule).Elem().FieldByIndex(f.index), p)
			}
		case !ofServer:
			f.checkBounds(f.Path, root.FieldByIndex(f.index), p)
		default:
			for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
				f.checkBoundsOf(c.Servers[name], "mcpServers."+name+".", below, p)
			}
		}
	}
}

// checkBoundsOf checks a field of a server, or of each credential in its envFrom.
func (f Field) checkBoundsOf(s *Server, at, below string, p *problems) {
	key, ofVariable := strings.CutPrefix(below, "envFrom.*.")
	if !ofVariable {
		f.checkBounds(at+below, reflect.ValueOf(s).Elem().FieldByIndex(f.index), p)
		return
	}
	for _, variable := range slices.Sorted(maps.Keys(s.EnvFrom)) {
		f.checkBounds(at+"envFrom."+variable+"."+key, reflect.ValueOf(s.EnvFrom[variable]).Elem().FieldByIndex(f.index), p)
	}
}

func (f Field) checkBounds(key string, v reflect.Value, p *problems) {
	low, high := reflect.New(v.Type()).Elem(), reflect.New(v.Type()).Elem()
	if setText(low, f.Min) != nil || setText(high, f.Max) != nil {
		panic("config: the bounds of " + f.Path) // a test reads them all
	}
	if v.Int() < low.Int() || v.Int() > high.Int() {
		p.key(key, "%v is out of bounds; from %s to %s", v.Interface(), f.Min, f.Max)
	}
}

func (c *Config) checkListen(p *problems) {
	host, _, err := splitAddress(c.Listen)
	if err != nil {
		p.key("listen", "%s", err)
		return
	}
	if !isLoopback(host) && c.TLS.Cert == "" && !c.BehindTLS {
		p.key("listen", "%s is not loopback and there is no TLS, so tokens would cross the network in the clear; "+
			"give tls.cert and tls.key, or set behindTLS: true where something in front ends TLS, or listen on 127.0.0.1", c.Listen)
	}
}

func (c *Config) checkPublicURL(p *problems) {
	if c.PublicURL == "" {
		host, port, err := splitAddress(c.Listen)
		switch {
		case err != nil || port == "0":
		case isEverywhere(host):
			p.key("publicURL", "listen is every address of the machine, so say which URL clients use")
		default:
			c.PublicURL = c.scheme() + "://" + net.JoinHostPort(host, port)
		}
		return
	}
	u, err := url.Parse(c.PublicURL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "" || u.Opaque != "":
		p.key("publicURL", "wants scheme and authority, such as https://mcp.example.com")
		return
	case u.User != nil || u.RawQuery != "" || u.ForceQuery || u.Fragment != "" || strings.Trim(u.Path, "/") != "":
		p.key("publicURL", "wants nothing but scheme and authority: no user, path, query or fragment")
		return
	case u.Scheme == "http" && !isLoopback(u.Hostname()) && !c.BehindTLS:
		p.key("publicURL", "http to %s would send tokens over the network in the clear; use https", u.Hostname())
	}
	c.PublicURL = u.Scheme + "://" + strings.ToLower(u.Host)
}

func (c *Config) scheme() string {
	if c.TLS.Cert != "" {
		return "https"
	}
	return "http"
}

func splitAddress(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil {
		return "", "", fmt.Errorf("wants host:port, such as 127.0.0.1:8080, not %q", address)
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("port %q is not a number from 0 to 65535", port)
	} else if n == 0 {
		port = "0"
	}
	return host, port, nil
}

func portOf(address string) string {
	_, port, _ := splitAddress(address) // checked before
	return port
}

// canonical makes the loopback spellings one.
func canonical(address string) string {
	host, port, err := splitAddress(address)
	if err != nil {
		return address
	}
	if isLoopback(host) {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	ip, err := netip.ParseAddr(strings.Trim(host, "[]"))
	return err == nil && ip.Unmap().IsLoopback()
}

func isEverywhere(host string) bool {
	if host == "" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.IsUnspecified()
}
