package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sallyport/examples/policies"
)

// setting is one way to have the gateway.
type setting struct {
	name     string
	labels   bool
	scanner  bool
	policies map[string]string // file → text; nil: the example no-exfiltration
}

// open is a policy without a rule on flow: the agent may do anything with these servers.
const open = `package mcp.authz

allow if "agent" in input.subject.roles
`

// role is the agent's.
const role = "agent"

// gate is a running gateway.
type gate struct {
	url, config string
	stop        func()
}

// startGate starts the gateway with a configuration below dir and returns when it is ready.
func startGate(ctx context.Context, p programs, dir string, s setting, servers map[string]any) (*gate, error) {
	listen, err := freeAddress()
	if err != nil {
		return nil, err
	}
	admin, err := freeAddress()
	if err != nil {
		return nil, err
	}
	g := &gate{url: "http://" + listen + "/mcp", config: filepath.Join(dir, "sallyport.json")}
	if err := s.write(filepath.Join(dir, "policies")); err != nil {
		return nil, err
	}
	config := map[string]any{"listen": listen, "admin": map[string]string{"listen": admin}, "state": "./state", "policies": "./policies",
		"guards": map[string]any{"secrets": s.scanner}, "mcpServers": servers}
	if err := writeJSON(g.config, config); err != nil {
		return nil, err
	}
	said, err := os.Create(filepath.Join(dir, "log"))
	if err != nil {
		return nil, err
	}
	defer said.Close()
	cmd := exec.Command(p.sallyport, "serve", "--config", g.config)
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	g.stop = func() { _ = cmd.Process.Signal(os.Interrupt); <-ended }
	if err := ready(ctx, "http://"+admin+"/readyz", ended); err != nil {
		g.stop()
		text, _ := os.ReadFile(said.Name())
		return nil, fmt.Errorf("start the gateway: %w\n%s", err, text)
	}
	return g, nil
}

// write lays the policies out.
func (s setting) write(dir string) error {
	if s.policies == nil {
		return policies.Write(policies.NoExfiltration, dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	for name, text := range s.policies {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// ready asks until the gateway is, or has ended.
func ready(ctx context.Context, url string, ended <-chan struct{}) error {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		select {
		case <-ended:
			return errors.New("it ended")
		case <-ctx.Done():
			return ctx.Err()
		case <-tick.C:
		}
		resp, err := http.Get(url)
		if err != nil {
			continue
		}
		_ = resp.Body.Close()
		if resp.StatusCode == http.StatusOK {
			return nil
		}
	}
}

// freeAddress finds a loopback port that nothing listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// refusals are the calls that the gateway's record says it refused, by code.
func (g *gate) refusals() (map[string]int, error) {
	segments, err := filepath.Glob(filepath.Join(filepath.Dir(g.config), "state", "audit", "*.jsonl"))
	if err != nil {
		return nil, err
	}
	codes := map[string]int{}
	for _, segment := range segments {
		text, err := os.ReadFile(segment)
		if err != nil {
			return nil, err
		}
		for line := range strings.Lines(string(text)) {
			var d struct{ Phase, Code string }
			if json.Unmarshal([]byte(line), &d) == nil && d.Phase == "refusal" {
				codes[d.Code]++
			}
		}
	}
	return codes, nil
}

// served are the servers as the gateway's configuration has them.
func served(p programs, s setting, h home, web, notes string) map[string]any {
	command := p.filesystem(h.dir)
	servers := map[string]map[string]any{
		"files": {"command": command[0], "args": command[1:], "sandbox": map[string]any{"read": []string{p.modules, h.dir}, "write": []string{h.documents()}}},
		"web":   {"type": "http", "url": web},
		"notes": {"type": "http", "url": notes},
	}
	if s.labels {
		source := map[string]any{"labels": []string{"source:private", "source:untrusted"}}
		servers["files"]["tools"] = map[string]any{"read_*": source, "list_*": source, "directory_tree": source, "search_files": source, "get_file_info": source,
			"write_file": map[string]any{"labels": []string{"sink:internal"}}}
		servers["web"]["labels"] = []string{"sink:external"}
		servers["notes"]["labels"] = []string{"sink:external"}
	}
	out := map[string]any{}
	for name, server := range servers {
		out[name] = server
	}
	return out
}
