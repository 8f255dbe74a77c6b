//go:build linux

package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"io"
	"os/exec"
)

type message struct {
	JSONRPC string          `json:"jsonrpc"`
	ID      json.RawMessage `json:"id,omitempty"`
	Method  string          `json:"method,omitempty"`
	Params  struct {
		ProtocolVersion string `json:"protocolVersion,omitempty"`
		Arguments       struct {
			Attempt string  `json:"attempt"`
			Targets targets `json:"targets"`
		} `json:"arguments"`
	} `json:"params"`
}

// serve answers MCP of the era that begins with initialize, one line a message.
func serve(in io.Reader, out io.Writer) {
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	encode := json.NewEncoder(out)
	for lines.Scan() {
		var m message
		if json.Unmarshal(lines.Bytes(), &m) != nil || m.ID == nil {
			continue
		}
		answer := map[string]any{"jsonrpc": "2.0", "id": m.ID}
		switch m.Method {
		case "initialize":
			answer["result"] = map[string]any{
				"protocolVersion": m.Params.ProtocolVersion,
				"capabilities":    map[string]any{"tools": map[string]any{}},
				"serverInfo":      map[string]any{"name": "hostile", "version": "1"},
			}
		case "ping":
			answer["result"] = map[string]any{}
		case "tools/list":
			answer["result"] = map[string]any{"tools": []any{map[string]any{
				"name": "escape",
				"inputSchema": map[string]any{
					"type": "object",
					"properties": map[string]any{
						"attempt": map[string]any{"type": "string"},
						"targets": map[string]any{"type": "object", "additionalProperties": map[string]any{"type": "string"}},
					},
					"required": []string{"attempt"},
				},
			}}}
		case "tools/call":
			answer["result"] = map[string]any{"content": []any{map[string]any{"type": "text", "text": apart(m.Params.Arguments.Attempt, m.Params.Arguments.Targets)}}}
		default:
			answer["error"] = map[string]any{"code": -32601, "message": "method not found"}
		}
		if encode.Encode(answer) != nil {
			return
		}
	}
}

// apart makes an attempt in a process of its own and returns its report as JSON. A process
// that did not live to report did not come through.
func apart(name string, t targets) string {
	args := []string{"try", name}
	for key, value := range t {
		args = append(args, key+"="+value)
	}
	out, err := self(args...).Output()
	if err == nil && json.Valid(out) {
		return string(out)
	}
	detail := "no report"
	if err != nil {
		detail = err.Error()
		if dead, ok := errors.AsType[*exec.ExitError](err); ok && len(dead.Stderr) > 0 {
			detail += ": " + string(dead.Stderr[:min(len(dead.Stderr), 300)])
		}
	}
	text, _ := json.Marshal(report{Attempt: name, Detail: detail})
	return string(text)
}
