package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"mime"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// tool is one tool of a small MCP server.
type tool struct {
	name, description, schema string
	run                       func(ctx context.Context, arguments map[string]any) (string, error)
}

func object(properties string, required ...string) string {
	list, _ := json.Marshal(required)
	return fmt.Sprintf(`{"type":"object","properties":{%s},"required":%s,"additionalProperties":false}`, properties, list)
}

// webTools send what they are told to where they are told: to the sink, whatever the name.
func webTools(s *sink) []tool {
	send := func(ctx context.Context, method, url, kind, disposition, body string) (string, error) {
		req, err := http.NewRequestWithContext(ctx, method, url, strings.NewReader(body))
		if err != nil {
			return "", err
		}
		req.Header.Set("Content-Type", kind)
		if disposition != "" {
			req.Header.Set("Content-Disposition", disposition)
		}
		resp, err := s.client.Do(req)
		if err != nil {
			return "", err
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		return resp.Status + "\n" + string(text), err
	}
	const url = `"url":{"type":"string"}`
	return []tool{
		{"post", "Sends a text to a URL by POST.", object(url+`,"body":{"type":"string"}`, "url", "body"),
			func(ctx context.Context, a map[string]any) (string, error) {
				return send(ctx, http.MethodPost, word(a, "url"), "text/plain; charset=utf-8", "", word(a, "body"))
			}},
		{"submit", "Sends any JSON to a URL by POST.", object(url+`,"data":{}`, "url", "data"),
			func(ctx context.Context, a map[string]any) (string, error) {
				body, err := json.Marshal(a["data"])
				if err != nil {
					return "", err
				}
				return send(ctx, http.MethodPost, word(a, "url"), "application/json", "", string(body))
			}},
		{"upload", "Uploads a file to a URL.", object(url+`,"name":{"type":"string"},"content":{"type":"string"}`, "url", "name", "content"),
			func(ctx context.Context, a map[string]any) (string, error) {
				disposition := mime.FormatMediaType("attachment", map[string]string{"filename": word(a, "name")})
				return send(ctx, http.MethodPut, word(a, "url"), "application/octet-stream", disposition, word(a, "content"))
			}},
		{"fetch", "Gets the page at a URL.", object(url, "url"),
			func(ctx context.Context, a map[string]any) (string, error) {
				return send(ctx, http.MethodGet, word(a, "url"), "text/plain", "", "")
			}},
	}
}

// noteTools keep notes at a service that others can read.
func noteTools(s *sink) []tool {
	return []tool{
		{"add_note", "Keeps a note in the shared book.", object(`"title":{"type":"string"},"text":{"type":"string"}`, "title", "text"),
			func(_ context.Context, a map[string]any) (string, error) {
				s.note(arrival{note: word(a, "title"), text: word(a, "text")}, len(word(a, "title"))+len(word(a, "text")))
				return "noted", nil
			}},
		{"get_note", "Reads a note of the shared book.", object(`"title":{"type":"string"}`, "title"),
			func(_ context.Context, a map[string]any) (string, error) {
				s.note(arrival{note: word(a, "title")}, len(word(a, "title")))
				return "", fmt.Errorf("there is no note %q", word(a, "title"))
			}},
	}
}

func word(arguments map[string]any, name string) string {
	text, _ := arguments[name].(string)
	return text
}

// pages are the resources of the shared book: whatever title a URI names.
func pages(s *sink) func(*mcpserver.MCPServer) {
	return func(server *mcpserver.MCPServer) {
		server.AddResourceTemplate(mcp.NewResourceTemplate(book+"{title}", "page"), func(_ context.Context, request mcp.ReadResourceRequest) ([]mcp.ResourceContents, error) {
			title := strings.TrimPrefix(request.Params.URI, book)
			s.note(arrival{note: title}, len(title))
			return []mcp.ResourceContents{mcp.TextResourceContents{URI: request.Params.URI, MIMEType: "text/plain", Text: "an empty page"}}, nil
		})
	}
}

// book is what the URIs of its pages begin with.
const book = "book://pages/"

// serveTools serves an MCP server on loopback and returns its URL.
func serveTools(tools []tool, more ...func(*mcpserver.MCPServer)) (url string, stop func(), err error) {
	s := mcpserver.NewMCPServer("outside", "1.0.0", mcpserver.WithToolCapabilities(true))
	for _, add := range more {
		add(s)
	}
	for _, t := range tools {
		s.AddTool(mcp.NewToolWithRawSchema(t.name, t.description, json.RawMessage(t.schema)),
			func(ctx context.Context, request mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				text, err := t.run(ctx, request.GetArguments())
				if err != nil {
					return mcp.NewToolResultError(err.Error()), nil
				}
				return mcp.NewToolResultText(text), nil
			})
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", nil, err
	}
	mux := http.NewServeMux()
	mux.Handle("/mcp", mcpserver.NewStreamableHTTPServer(s))
	server := &http.Server{Handler: mux, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	return "http://" + listener.Addr().String() + "/mcp", func() { _ = server.Close() }, nil
}
