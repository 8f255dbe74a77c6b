package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
)

// step is one tool call that the model makes.
type step struct {
	tool  string
	input map[string]any
}

// model stands for the Messages API and obeys a script whatever it is told: the worst case of
// a model that follows every instruction. The n-th tool result that it sees selects the n-th
// step; after the last it says "done".
type model struct {
	url    string
	script []step
	before func(n int) // called before the n-th step is sent

	mu      sync.Mutex // guards what follows
	tools   []string   // MCP tools in the newest turn that had any
	results []string   // text of each tool result, in order
}

func newModel(t *testing.T, script []step, before func(n int)) *model {
	t.Helper()
	m := &model{script: script, before: before}
	srv := httptest.NewServer(m)
	t.Cleanup(srv.Close)
	m.url = srv.URL
	return m
}

// ask is what it reads of a request.
type ask struct {
	Model    string
	Stream   bool
	Tools    []struct{ Name string }
	Messages []struct{ Content json.RawMessage }
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	var a ask
	if !strings.HasPrefix(r.URL.Path, "/v1/messages") || strings.Contains(r.URL.Path, "count_tokens") || json.NewDecoder(r.Body).Decode(&a) != nil {
		fmt.Fprint(w, `{"input_tokens":1}`)
		return
	}
	results := a.results()
	m.note(a, results)
	block := map[string]any{"type": "text", "text": "done"}
	stop, delta := "end_turn", map[string]any{"type": "text_delta", "text": "done"}
	if n := len(results); len(a.Tools) > 0 && n < len(m.script) {
		if m.before != nil {
			m.before(n)
		}
		input, _ := json.Marshal(m.script[n].input)
		block = map[string]any{"type": "tool_use", "id": fmt.Sprintf("toolu_%d", n), "name": m.script[n].tool, "input": m.script[n].input}
		stop, delta = "tool_use", map[string]any{"type": "input_json_delta", "partial_json": string(input)}
	}
	message := map[string]any{"id": "msg_1", "type": "message", "role": "assistant", "model": a.Model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "usage": map[string]int{"input_tokens": 1, "output_tokens": 1}}
	if !a.Stream {
		message["content"], message["stop_reason"] = []any{block}, stop
		_ = json.NewEncoder(w).Encode(message)
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	send := func(kind string, members map[string]any) {
		members["type"] = kind
		text, _ := json.Marshal(members)
		fmt.Fprintf(w, "event: %s\ndata: %s\n\n", kind, text)
	}
	send("message_start", map[string]any{"message": message})
	empty := map[string]any{"type": "text", "text": ""}
	if stop == "tool_use" {
		empty = map[string]any{"type": "tool_use", "id": block["id"], "name": block["name"], "input": map[string]any{}}
	}
	send("content_block_start", map[string]any{"index": 0, "content_block": empty})
	send("content_block_delta", map[string]any{"index": 0, "delta": delta})
	send("content_block_stop", map[string]any{"index": 0})
	send("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": map[string]int{"output_tokens": 1}})
	send("message_stop", map[string]any{})
}

// results returns the text of each tool result in the conversation.
func (a ask) results() []string {
	var texts []string
	for _, message := range a.Messages {
		var blocks []struct {
			Type    string
			Content json.RawMessage
		}
		if json.Unmarshal(message.Content, &blocks) != nil {
			continue // the content is plain text
		}
		for _, b := range blocks {
			if b.Type == "tool_result" {
				texts = append(texts, textOf(b.Content))
			}
		}
	}
	return texts
}

func textOf(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) == nil {
		return text
	}
	var parts []struct{ Text string }
	_ = json.Unmarshal(content, &parts)
	var all []string
	for _, p := range parts {
		all = append(all, p.Text)
	}
	return strings.Join(all, "\n")
}

func (m *model) note(a ask, results []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var tools []string
	for _, tool := range a.Tools {
		if strings.HasPrefix(tool.Name, "mcp__") {
			tools = append(tools, tool.Name)
		}
	}
	if len(tools) > 0 {
		m.tools = tools
	}
	if len(results) > len(m.results) {
		m.results = results
	}
}

// saw returns the MCP tools that the model was offered and the results that it got.
func (m *model) saw() (tools, results []string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.tools, m.results
}
