package config

import (
	"encoding/json"
	"net/url"

	"go.yaml.in/yaml/v3"
)

const masked = "(masked)"

// Show returns the effective configuration as YAML, secrets masked: values of headers, and of
// queries in the URLs of servers.
func (c *Config) Show() ([]byte, error) { return yaml.Marshal(c.shown()) }

// ShowJSON is Show as JSON.
func (c *Config) ShowJSON() ([]byte, error) {
	text, err := c.Show()
	if err != nil {
		return nil, err
	}
	var doc any
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	return json.MarshalIndent(doc, "", "  ")
}

func (c *Config) shown() *Config {
	out := *c
	out.Servers = make(map[string]*Server, len(c.Servers))
	for name, s := range c.Servers {
		shown := *s
		shown.URL = maskQuery(s.URL)
		shown.Headers = make(map[string]string, len(s.Headers))
		for header := range s.Headers {
			shown.Headers[header] = masked
		}
		out.Servers[name] = &shown
	}
	return &out
}

// maskQuery hides the values of a query: some servers take their key there.
func maskQuery(raw string) string {
	u, err := url.Parse(raw)
	if err != nil {
		return masked
	}
	if u.RawQuery != "" {
		u.RawQuery = ""
		return u.String() + "?" + masked
	}
	return raw
}
