package demo

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"sallyport/cmd/sallyport/internal/entry"
)

// lastLine of the page, when there is nothing more to tell.
const lastLine = "Press Ctrl-C to end."

// clients prints how to point a client at the running demo.
func (s *story) clients(o Options) {
	s.heading("Now it is your turn")
	s.prose(0, "", "The gateway serves at "+s.rig.public+"/mcp/{files,mail,notes,web}. Its state is in "+s.rig.dir+" and goes when it ends. Change a file in "+s.rig.dir+"/policies, and the next call follows it. Calls are told below as they are decided.")
	s.blank()
	s.line(0, s.c.bold, "Claude Code, as the assistant (long lines: copy them whole)")
	s.blank()
	for _, name := range s.rig.names {
		s.copyable(entry.Claude("sallyport-"+name, entry.Connect(o.Program, s.rig.configFile(), s.rig.through[name], "assistant")))
	}
	s.blank()
	s.line(0, s.c.bold, "MCP Inspector (needs Node 22.19 or newer)")
	s.blank()
	for _, name := range s.rig.names {
		s.copyable(entry.Inspector(s.rig.through[name], entry.Token(o.Program, s.rig.configFile(), "assistant")))
	}
	s.blank()
	s.line(0, "", lastLine)
}

// copyable prints a line whole: broken, it could not be pasted.
func (s *story) copyable(text string) {
	_, _ = fmt.Fprintln(s.w, text)
}

// writeConfig writes the configuration by which other commands find this installation, so that
// `connect` finds the demo's own socket.
func (r *rig) writeConfig() error {
	var b strings.Builder
	fmt.Fprintf(&b, "listen: %s\npublicURL: %s\nstate: ./state\npolicies: ./policies\nmcpServers:\n", strings.TrimPrefix(r.public, "http://"), r.public)
	for _, name := range r.names {
		fmt.Fprintf(&b, "  %s:\n    type: http\n    url: %s\n", name, r.direct[name])
	}
	if err := os.WriteFile(r.configFile(), []byte(b.String()), 0o600); err != nil {
		return fmt.Errorf("write the demo's configuration: %w", err)
	}
	return nil
}

func (r *rig) configFile() string { return filepath.Join(r.dir, "sallyport.yaml") }
