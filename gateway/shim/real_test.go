package shim

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"strings"
	"testing"

	mcpclient "github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	mcpserver "github.com/mark3labs/mcp-go/server"
)

// A client and a server that somebody else has written, with the shim between them.
func TestRealClientAndServerMeetInBothEras(t *testing.T) {
	for name, options := range map[string][]mcpclient.ClientOption{"newer": nil, "older": {mcpclient.WithProtocolVersion(mcp.ProtocolVersion20251125)}} {
		t.Run(name, func(t *testing.T) {
			s := mcpserver.NewMCPServer("real", "1", mcpserver.WithToolCapabilities(true))
			s.AddTool(mcp.NewTool("echo", mcp.WithString("text")), func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
				_ = mcpserver.ServerFromContext(ctx).SendNotificationToClient(ctx, "notifications/message", map[string]any{"level": "info", "data": "working"})
				return mcp.NewToolResultText(r.GetString("text", "")), nil
			})
			upstream := mcpserver.NewStreamableHTTPServer(s, mcpserver.WithStateful(true))
			g := newFakeGateway(t, func(w http.ResponseWriter, r *http.Request, body []byte) {
				r.Body = io.NopCloser(bytes.NewReader(body))
				upstream.ServeHTTP(w, r)
			})
			shim, err := New(Config{URL: g.URL + "/mcp", Source: g, Key: g.key})
			if err != nil {
				t.Fatal(err)
			}
			inR, inW := io.Pipe()
			outR, outW := io.Pipe()
			done := make(chan error, 1)
			go func() { done <- shim.Serve(t.Context(), inR, outW); _ = outW.Close() }()
			c := mcpclient.NewClient(transport.NewIO(outR, inW, io.NopCloser(strings.NewReader(""))), options...)
			if err := c.Start(t.Context()); err != nil {
				t.Fatal(err)
			}
			init := mcp.InitializeRequest{}
			init.Params.ProtocolVersion = mcp.LATEST_PROTOCOL_VERSION
			init.Params.ClientInfo = mcp.Implementation{Name: "t", Version: "1"}
			if _, err := c.Initialize(t.Context(), init); err != nil {
				t.Fatal(err)
			}
			tools, err := c.ListTools(t.Context(), mcp.ListToolsRequest{})
			if err != nil || len(tools.Tools) != 1 {
				t.Fatalf("tools = %+v, %v; want one", tools, err)
			}
			g.forget() // in the middle of the session
			call := mcp.CallToolRequest{}
			call.Params.Name, call.Params.Arguments = "echo", map[string]any{"text": "größe"}
			res, err := c.CallTool(t.Context(), call)
			if err != nil || len(res.Content) != 1 || res.Content[0].(mcp.TextContent).Text != "größe" {
				t.Errorf("call = %+v, %v; want the text", res, err)
			}
			if err := c.Close(); err != nil && !errors.Is(err, io.ErrClosedPipe) {
				t.Error(err)
			}
			if err := <-done; err != nil {
				t.Errorf("Serve = %v; want nil", err)
			}
			modern := 0
			for _, r := range g.requests() {
				if r.header.Get("Mcp-Protocol-Version") == "2026-07-28" {
					modern++
				}
			}
			if (modern > 0) != (name == "newer") {
				t.Errorf("%d requests of the newer era; this client speaks the %s one", modern, name)
			}
		})
	}
}
