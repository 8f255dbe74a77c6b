package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
)

// The protocol revisions that the agents speak.
const (
	modern = "2026-07-28" // stateless, headers beside the body
	older  = "2025-11-25" // initialize first, then a session
)

// agent is an MCP client made of plain HTTP requests. One goroutine uses it.
type agent struct {
	role     string // for the page; the gateway looks at the token
	protocol string
	token    string            // empty: none is sent
	url      map[string]string // of each server
	sessions map[string]string // older protocol: by server
	next     int
}

// reply is an answer as it came.
type reply struct {
	status    int
	header    http.Header
	body      []byte
	text      string // of the tool's result, or the error's message
	rpc       int    // code of a JSON-RPC error
	toolError bool
}

// call uses a tool. arguments is a JSON object.
func (a *agent) call(ctx context.Context, server, tool, arguments string) (reply, error) {
	if a.protocol == older && a.sessions[server] == "" {
		if err := a.open(ctx, server); err != nil {
			return reply{}, err
		}
	}
	name, err := json.Marshal(tool)
	if err != nil {
		return reply{}, fmt.Errorf("write tool name: %w", err)
	}
	return a.send(ctx, server, "tools/call", tool, `"name":`+string(name)+`,"arguments":`+arguments)
}

// tools returns the names that the server lists.
func (a *agent) tools(ctx context.Context, server string) ([]string, error) {
	if a.protocol == older && a.sessions[server] == "" {
		if err := a.open(ctx, server); err != nil {
			return nil, err
		}
	}
	r, err := a.send(ctx, server, "tools/list", "", "")
	if err != nil {
		return nil, err
	}
	var msg struct {
		Result *struct{ Tools []struct{ Name string } }
	}
	if err := json.Unmarshal(r.body, &msg); err != nil || msg.Result == nil {
		return nil, fmt.Errorf("tools/list of %s: status %d, no result", server, r.status)
	}
	var names []string
	for _, t := range msg.Result.Tools {
		names = append(names, t.Name)
	}
	return names, nil
}

// open begins a session of the older protocol.
func (a *agent) open(ctx context.Context, server string) error {
	r, err := a.send(ctx, server, "initialize", "", `"protocolVersion":"`+older+`","capabilities":{},"clientInfo":{"name":"demo-agent","version":"1"}`)
	if err != nil {
		return err
	}
	session := r.header.Get("Mcp-Session-Id")
	if r.status != http.StatusOK || session == "" {
		return fmt.Errorf("initialize %s: status %d and no session", server, r.status)
	}
	if a.sessions == nil {
		a.sessions = map[string]string{}
	}
	a.sessions[server] = session
	r, err = a.send(ctx, server, "notifications/initialized", "", "")
	if err == nil && r.status != http.StatusAccepted {
		err = fmt.Errorf("initialized %s: status %d", server, r.status)
	}
	return err
}

// send posts one message and reads the answer to it.
func (a *agent) send(ctx context.Context, server, method, name, params string) (reply, error) {
	a.next++
	id := `,"id":` + strconv.Itoa(a.next)
	if strings.HasPrefix(method, "notifications/") {
		id = ""
	}
	if a.protocol == modern {
		meta := `"_meta":{"io.modelcontextprotocol/protocolVersion":"` + modern + `","io.modelcontextprotocol/clientInfo":{"name":"demo-agent","version":"1"},"io.modelcontextprotocol/clientCapabilities":{}}`
		params = strings.TrimPrefix(params+","+meta, ",")
	}
	body := `{"jsonrpc":"2.0"` + id + `,"method":"` + method + `","params":{` + params + `}}`
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.url[server], strings.NewReader(body))
	if err != nil {
		return reply{}, fmt.Errorf("make request: %w", err)
	}
	a.setHeaders(req.Header, server, method, name)
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return reply{}, fmt.Errorf("%s at %s: %w", method, server, err)
	}
	defer func() { _ = resp.Body.Close() }()
	raw, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	if err != nil {
		return reply{}, fmt.Errorf("%s at %s: read the answer: %w", method, server, err)
	}
	return read(resp, raw)
}

func (a *agent) setHeaders(h http.Header, server, method, name string) {
	h.Set("Content-Type", "application/json")
	h.Set("Accept", "application/json, text/event-stream")
	if a.token != "" {
		h.Set("Authorization", "Bearer "+a.token)
	}
	if a.protocol == modern {
		h.Set("Mcp-Protocol-Version", modern)
		h.Set("Mcp-Method", method)
		if name != "" {
			h.Set("Mcp-Name", name)
		}
		return
	}
	if session := a.sessions[server]; session != "" {
		h.Set("Mcp-Session-Id", session)
		h.Set("Mcp-Protocol-Version", older)
	}
}

// read takes the response out of a body, which may be a stream of one event.
func read(resp *http.Response, raw []byte) (reply, error) {
	r := reply{status: resp.StatusCode, header: resp.Header, body: raw}
	if strings.HasPrefix(resp.Header.Get("Content-Type"), "text/event-stream") {
		_, data, ok := bytes.Cut(append([]byte("\n"), raw...), []byte("\ndata: "))
		if !ok {
			return r, errors.New("a stream without data")
		}
		r.body, _, _ = bytes.Cut(data, []byte("\n"))
	}
	var msg struct {
		Result struct {
			Content []struct{ Text string }
			IsError bool
		}
		Error *struct {
			Code    int
			Message string
		}
	}
	if json.Unmarshal(r.body, &msg) != nil {
		r.text = strings.TrimSpace(string(r.body)) // refusals below JSON-RPC are plain text
		return r, nil
	}
	r.toolError = msg.Result.IsError
	if len(msg.Result.Content) > 0 {
		r.text = msg.Result.Content[0].Text
	}
	if msg.Error != nil {
		r.rpc, r.text = msg.Error.Code, msg.Error.Message
	}
	return r, nil
}
