package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"sallyport/gateway/federation"
	"sallyport/gateway/upstream"
)

func (c *Config) checkServers(p *problems) {
	alike := map[string]string{}
	for _, name := range slices.Sorted(maps.Keys(c.Servers)) {
		at := "mcpServers." + name
		if p.bad[at] {
			continue
		}
		if err := federation.CheckServer(name); err != nil {
			p.key(at, "%s%s", err, suggestion(name))
		}
		if other := alike[skeleton(name)]; other != "" {
			p.key(at, "could be taken for the server %s (line %d); give one of the two another name", other, p.at["mcpServers."+other].line)
		} else {
			alike[skeleton(name)] = name
		}
		c.Servers[name].check(at, p)
	}
}

// skeleton maps names of servers that could be taken for each other to one text.
func skeleton(name string) string {
	s := federation.Skeleton(name)
	return strings.NewReplacer("_", "", "rn", "m", "vv", "w").Replace(s)
}

// suggestion offers the legal name that is nearest, where there is one.
func suggestion(name string) string {
	if legal := LegalName(name); legal != "" {
		return "; write " + legal
	}
	return ""
}

// LegalName returns the name of a server that is nearest to name and legal, or "" where nothing
// of it is left.
func LegalName(name string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(name) {
		legal := r >= 'a' && r <= 'z' || r >= '0' && r <= '9'
		switch {
		case legal:
			b.WriteRune(r)
		case b.Len() > 0 && !strings.HasSuffix(b.String(), "-"):
			b.WriteByte('-')
		}
	}
	out := b.String()
	return strings.Trim(out[:min(len(out), federation.MaxServer)], "-")
}

func (s *Server) check(at string, p *problems) {
	if s.Type == "" {
		s.Type = typeHTTP
		if s.Command != "" || p.bad[at+".command"] {
			s.Type = typeStdio
		}
	}
	switch s.Type {
	case typeStdio:
		s.checkStdio(at, p)
	case typeHTTP, "streamable-http":
		s.checkHTTP(at, p)
	case "sse":
		p.key(at+".type", "the HTTP+SSE transport of 2024 is not supported; use the server's streamable HTTP endpoint (type: http)")
	default:
		p.key(at+".type", "unknown transport; known are stdio and http")
	}
}

// Keys that are of one kind of server alone.
var (
	keysOfStdio = []string{"command", "args", "env", "envFrom", "cwd", "instance", "sandbox", "startTimeout", "idle", "maxProcesses"}
	keysOfHTTP  = []string{"url", "headers", "tls", "credential"}
)

// refuse names keys that are of the other kind of server.
func (s *Server) refuse(at string, p *problems, keys []string, why string) {
	for _, key := range keys {
		if _, given := p.at[at+"."+key]; given {
			p.key(at+"."+key, "%s", why)
		}
	}
}

func (s *Server) checkHTTP(at string, p *problems) {
	s.refuse(at, p, keysOfStdio, "is for servers that are commands (type: stdio), and this one has a url")
	if s.URL == "" {
		p.key(at+".url", "is missing: the URL of the server's MCP endpoint; or command, the program that is the server")
		return
	}
	if _, err := upstream.NewHTTP(upstream.HTTPConfig{URL: s.URL}); err != nil {
		p.key(at+".url", "%s", strings.TrimPrefix(err.Error(), "upstream url: "))
	}
	s.checkHeaders(at, p)
	s.checkCredential(at, p)
	if s.TLS != (ServerTLS{}) && !strings.HasPrefix(strings.ToLower(s.URL), "https:") {
		p.key(at+".tls", "is for https, and the url is not")
	}
	if (s.TLS.Cert == "") != (s.TLS.Key == "") {
		p.key(at+".tls", "wants both cert and key")
	}
}

func (s *Server) checkHeaders(at string, p *problems) {
	spelt := map[string]string{}
	for _, header := range slices.Sorted(maps.Keys(s.Headers)) {
		if other := spelt[strings.ToLower(header)]; other != "" {
			p.key(at+".headers."+header, "is the same header as %s", other)
		}
		spelt[strings.ToLower(header)] = header
		if err := usable(header, s.Headers[header]); err != nil {
			p.key(at+".headers."+header, "%s", err)
		}
	}
}

// usable asks the room that sends the header whether it would.
func usable(header, value string) error {
	_, err := upstream.NewHTTP(upstream.HTTPConfig{URL: "http://127.0.0.1/", Headers: map[string][]string{header: {value}}})
	if err == nil {
		return nil
	}
	_, what, found := strings.Cut(err.Error(), `": `)
	if !found {
		what = err.Error()
	}
	return fmt.Errorf("%s", what)
}

// Alike reports whether one server could be taken for the other by their names.
func Alike(a, b string) bool { return skeleton(a) == skeleton(b) }
