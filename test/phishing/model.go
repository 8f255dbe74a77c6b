package main

import (
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"regexp"
	"strings"
	"sync"
	"time"
)

// script is a model: it makes the next call of what the results before it say.
type script interface {
	next(results []string) (planned, bool)
}

// naming gives a call the name and the input by which Claude Code knows it.
type naming func(call) (tool string, input map[string]any)

// readResource is the tool of a call that reads a resource, which every server has.
const readResource = "resources/read"

// straightNames are those of servers that Claude Code reaches itself.
func straightNames(c call) (string, map[string]any) {
	if c.tool == readResource {
		return "ReadMcpResourceTool", map[string]any{"server": c.server, "uri": c.arguments["uri"]}
	}
	return "mcp__" + c.server + "__" + c.tool, c.arguments
}

// gatewayNames are those of the same servers behind the gateway.
func gatewayNames(c call) (string, map[string]any) {
	if c.tool == readResource {
		return "ReadMcpResourceTool", map[string]any{"server": "gw", "uri": fmt.Sprintf("sallyport://%s/%s", c.server, c.arguments["uri"])}
	}
	return "mcp__gw__" + c.server + "__" + c.tool, c.arguments
}

// ownNames are those of Claude Code's own tools.
func ownNames(c call) (string, map[string]any) { return c.tool, c.arguments }

// model stands at the Messages API for one session of Claude Code and plays a script. It also is the
// window that the person sits before: a client that shows results loads the images in them.
type model struct {
	url    string
	names  naming
	script script
	sink   *sink
	stop   func()

	mu      sync.Mutex // guards what follows
	results []answer   // in order
	shown   int
}

// answer is the result of a call, and whether it is an error.
type answer struct {
	planned
	text  string
	error bool
}

func newModel(s *sink, play script, names naming) (*model, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	m := &model{url: "http://" + listener.Addr().String(), names: names, script: play, sink: s}
	server := &http.Server{Handler: m, ReadHeaderTimeout: 10 * time.Second}
	m.stop = func() { _ = server.Close() }
	go func() { _ = server.Serve(listener) }()
	return m, nil
}

// turn is what it reads of a request.
type turn struct {
	Model    string
	Stream   bool
	Tools    []struct{ Name string }
	Messages []struct{ Content json.RawMessage }
}

func (m *model) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	var t turn
	if !strings.HasPrefix(r.URL.Path, "/v1/messages") || strings.Contains(r.URL.Path, "count_tokens") || json.NewDecoder(r.Body).Decode(&t) != nil {
		fmt.Fprint(w, `{"input_tokens":1}`)
		return
	}
	block := map[string]any{"type": "text", "text": "done"}
	if len(t.Tools) > 0 {
		if id, p, more := m.advance(t); more {
			name, input := m.names(p.call)
			block = map[string]any{"type": "tool_use", "id": id, "name": name, "input": input}
		}
	}
	say(w, t, block)
}

// advance takes the results in, shows the new ones, and returns the next call.
func (m *model) advance(t turn) (id string, p planned, more bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	answers := t.answers()
	var texts []string
	for i := range answers {
		texts = append(texts, answers[i].text)
		if i < len(m.results) {
			answers[i].planned = m.results[i].planned
		}
	}
	for ; m.shown < len(answers); m.shown++ {
		m.show(answers[m.shown].text)
	}
	p, more = m.script.next(texts)
	m.results = answers
	if more {
		m.sink.enter(p.phase)
		m.results = append(m.results, answer{planned: p})
	}
	return fmt.Sprintf("toolu_%d", len(answers)), p, more
}

var images = []*regexp.Regexp{
	regexp.MustCompile(`!\[[^\]]*\]\(\s*([^)\s]+)`),
	regexp.MustCompile(`(?m)^\[[^\]]+\]:\s*(\S+)`),
	regexp.MustCompile(`<img[^>]*\ssrc="([^"]+)"`),
}

// schemes are as browsers read them, which mind neither one slash nor three.
var schemes = regexp.MustCompile(`^(https?):/*`)

// show loads the images of a text.
func (m *model) show(text string) {
	for _, image := range images {
		for _, found := range image.FindAllStringSubmatch(text, -1) {
			if !schemes.MatchString(found[1]) {
				continue
			}
			if resp, err := m.sink.client.Get(schemes.ReplaceAllString(found[1], "$1://")); err == nil {
				_ = resp.Body.Close()
			}
		}
	}
}

// answers returns the results in the conversation.
func (t turn) answers() []answer {
	var all []answer
	for _, message := range t.Messages {
		var blocks []struct {
			Type    string
			Content json.RawMessage
			IsError bool `json:"is_error"`
		}
		if json.Unmarshal(message.Content, &blocks) != nil {
			continue // the content is plain text
		}
		for _, b := range blocks {
			if b.Type == "tool_result" {
				all = append(all, answer{text: textOf(b.Content), error: b.IsError})
			}
		}
	}
	return all
}

// textOf is the text of a result. Claude Code shows structured content where there is some;
// server-filesystem's is the text as its member content.
func textOf(content json.RawMessage) string {
	var text string
	if json.Unmarshal(content, &text) != nil {
		var parts []struct{ Text string }
		_ = json.Unmarshal(content, &parts)
		var all []string
		for _, p := range parts {
			all = append(all, p.Text)
		}
		text = strings.Join(all, "\n")
	}
	var structured struct{ Content *string }
	if json.Unmarshal([]byte(text), &structured) == nil && structured.Content != nil {
		return *structured.Content
	}
	return text
}

// say answers a request with one block, streamed where that is asked for.
func say(w http.ResponseWriter, t turn, block map[string]any) {
	stop, delta, empty := "end_turn", map[string]any{"type": "text_delta", "text": block["text"]}, map[string]any{"type": "text", "text": ""}
	if block["type"] == "tool_use" {
		input, _ := json.Marshal(block["input"])
		stop, delta = "tool_use", map[string]any{"type": "input_json_delta", "partial_json": string(input)}
		empty = map[string]any{"type": "tool_use", "id": block["id"], "name": block["name"], "input": map[string]any{}}
	}
	message := map[string]any{"id": "msg_1", "type": "message", "role": "assistant", "model": t.Model, "content": []any{},
		"stop_reason": nil, "stop_sequence": nil, "usage": map[string]int{"input_tokens": 1, "output_tokens": 1}}
	if !t.Stream {
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
	send("content_block_start", map[string]any{"index": 0, "content_block": empty})
	send("content_block_delta", map[string]any{"index": 0, "delta": delta})
	send("content_block_stop", map[string]any{"index": 0})
	send("message_delta", map[string]any{"delta": map[string]any{"stop_reason": stop, "stop_sequence": nil}, "usage": map[string]int{"output_tokens": 1}})
	send("message_stop", map[string]any{})
}

// saw returns the calls with their results.
func (m *model) saw() []answer {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.results
}
