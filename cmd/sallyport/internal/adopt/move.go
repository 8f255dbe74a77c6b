package adopt

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"go.yaml.in/yaml/v3"

	"sallyport/gateway/config"
	"sallyport/internal/strictjson"
)

// move takes servers over, one by one.
type move struct {
	plan    *Plan
	environ map[string]string
	yaml    *yaml.Node // mcpServers of the gateway's configuration
	kept    []strictjson.Member
}

func (m *move) all(servers []strictjson.Member) error {
	for _, s := range servers {
		server, err := nodeOf(s.Value().Of(m.plan.original))
		if err != nil || server.Kind != yaml.MappingNode {
			return fmt.Errorf("%s: mcpServers.%s is not an object", m.plan.File, s.Name)
		}
		if behind(server) {
			return fmt.Errorf("%s points at a gateway already (mcpServers.%s); `sallyport adopt --undo %s` takes an adoption back", m.plan.File, s.Name, m.plan.File)
		}
		if why := stays(server); why != "" {
			m.plan.note("%s stays in %s, outside the gateway: %s", s.Name, filepath.Base(m.plan.File), why)
			m.kept = append(m.kept, s)
			continue
		}
		if s.Name == "" && member(server, "command") == nil && member(server, "url") == nil {
			return fmt.Errorf("%s: a server has neither a name nor a command nor a url", m.plan.File)
		}
		name, err := m.name(s.Name)
		if err != nil {
			return err
		}
		from := &secrets{m.plan, name}
		from.env(server)
		from.header(server)
		from.arguments(server)
		set(m.yaml, name, server)
	}
	if len(m.yaml.Content) == 0 {
		return fmt.Errorf("%s: %w:\n%s", m.plan.File, errNothing, strings.Join(m.plan.Notes, "\n"))
	}
	return nil
}

// behind reports whether a server is a gateway, by the command that carries a client there or by
// the helper that gets it a token.
func behind(server *yaml.Node) bool {
	if helper := member(server, "headersHelper"); helper != nil && strings.Contains(helper.Value, " token headers ") {
		return true
	}
	program, args := member(server, "command"), member(server, "args")
	return program != nil && strings.HasPrefix(filepath.Base(program.Value), "sallyport") && args != nil && len(args.Content) > 0 && args.Content[0].Value == "connect"
}

// stays says why a server cannot be taken, or "".
func stays(server *yaml.Node) string {
	if t := member(server, "type"); t != nil && t.Value != "stdio" && t.Value != "http" && t.Value != "streamable-http" {
		if t.Value == "sse" {
			return "its transport, HTTP+SSE of 2024, is not supported; where it has a streamable HTTP endpoint, use that"
		}
		return fmt.Sprintf("its transport %q is not known", t.Value)
	}
	if member(server, "headersHelper") != nil {
		return "its headersHelper runs at the client; give the gateway a credential of its own, such as one of type exec"
	}
	if member(server, "oauth") != nil {
		return "its OAuth login runs at the client; give the gateway a credential of its own"
	}
	return ""
}

// name returns the name under which the gateway has a server.
func (m *move) name(own string) (string, error) {
	name := config.LegalName(own)
	if name == "" {
		return "", fmt.Errorf("%s: nothing of the server's name %q can be used; a name has a-z, 0-9 and -", m.plan.File, own)
	}
	base := name
	for n := 2; m.taken(name); n++ {
		tail := fmt.Sprintf("-%d", n)
		name = base[:min(len(base), 32-len(tail))] + tail
	}
	if name != own {
		m.plan.note("%s becomes %s, since a server's name has a-z, 0-9 and - and no two look alike: its tools are %s__…", own, name, name)
	}
	return name, nil
}

func (m *move) taken(name string) bool {
	for i := 0; i < len(m.yaml.Content); i += 2 {
		if config.Alike(name, m.yaml.Content[i].Value) {
			return true
		}
	}
	return false
}

const head = `# Written by sallyport adopt. What each server may do: sallyport config show
# Every key: docs/configuration.md
listen: 127.0.0.1:8080
state: ./state          # keys, secrets and audit log; keep it out of the repository
policies: ./policies    # Rego, its data and its tests; watched

`

// configuration writes the gateway's file, with the sandbox that each command's arguments
// suggest, and reads it as the gateway will.
func (m *move) configuration() ([]byte, *config.Config, error) {
	doc := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("mcpServers"), m.yaml}}
	first, err := m.write(doc)
	if err != nil {
		return nil, nil, err
	}
	cfg, err := config.Preview(m.plan.Out, first, m.environ)
	if err != nil {
		return nil, nil, m.invalid(err)
	}
	for i := 0; i+1 < len(m.yaml.Content); i += 2 {
		name, server := m.yaml.Content[i].Value, m.yaml.Content[i+1]
		if member(server, "command") == nil || member(server, "sandbox") != nil {
			continue
		}
		read, profile := cfg.Servers[name].Suggestion()
		box := &yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{text("read"), texts(read), text("write"), texts(nil), text("egress"), texts(nil)}}
		if profile != "none" {
			set(box, "profile", text(profile))
		}
		set(server, "sandbox", box)
	}
	m.plan.Notes = append(m.plan.Notes, cfg.Notes()...)
	last, err := m.write(doc)
	if err != nil {
		return nil, nil, err
	}
	cfg, err = config.Preview(m.plan.Out, last, m.environ)
	return last, cfg, m.invalid(err)
}

func (m *move) write(doc *yaml.Node) ([]byte, error) {
	b := bytes.NewBufferString(head)
	enc := yaml.NewEncoder(b)
	enc.SetIndent(2)
	if err := errors.Join(enc.Encode(doc), enc.Close()); err != nil {
		return nil, fmt.Errorf("write the gateway's configuration: %w", err)
	}
	return b.Bytes(), nil
}

// invalid explains an error in lines of a file that is not there.
func (m *move) invalid(err error) error {
	if err == nil {
		return nil
	}
	var problems config.Problems
	if !errors.As(err, &problems) {
		return err
	}
	lines := []string{fmt.Sprintf("%s cannot be adopted as it is, and nothing was written:", m.plan.File)}
	for _, p := range problems {
		p.File, p.Line = "", 0
		lines = append(lines, p.String())
	}
	return errors.New(strings.Join(lines, "\n"))
}
