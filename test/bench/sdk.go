package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"time"

	"github.com/mark3labs/mcp-go/client"
	"github.com/mark3labs/mcp-go/client/transport"
	"github.com/mark3labs/mcp-go/mcp"
	"github.com/mark3labs/mcp-go/server"
)

// mcpgoMain is the proxy that one would write with a library: mcp-go's server, whose tools call
// mcp-go's client. It checks nothing and records nothing.
func mcpgoMain(args []string) error {
	flags := flag.NewFlagSet("mcpgo", flag.ExitOnError)
	to := flags.String("to", "", "the upstream's address")
	_ = flags.Parse(args)
	ctx := context.Background()
	kept := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1024, IdleConnTimeout: time.Minute, DisableCompression: true}}
	c, err := client.NewStreamableHttpClient("http://"+*to+"/mcp", transport.WithHTTPBasicClient(kept))
	if err != nil {
		return err
	}
	if err := c.Start(ctx); err != nil {
		return err
	}
	ask := mcp.InitializeRequest{}
	ask.Params.ClientInfo = mcp.Implementation{Name: "bench", Version: "1"}
	if _, err := c.Initialize(ctx, ask); err != nil {
		return err
	}
	listed, err := c.ListTools(ctx, mcp.ListToolsRequest{})
	if err != nil {
		return err
	}
	s := server.NewMCPServer("bench", "1")
	for _, tool := range listed.Tools {
		s.AddTool(tool, func(ctx context.Context, r mcp.CallToolRequest) (*mcp.CallToolResult, error) {
			return c.CallTool(ctx, mcp.CallToolRequest{Params: mcp.CallToolParams{Name: r.Params.Name, Arguments: r.Params.Arguments}})
		})
	}
	return serve(server.NewStreamableHTTPServer(s, server.WithStateLess(true)))
}

// sdk compares the gateway, everything on, with a proxy of mcp-go's server and client that checks
// nothing.
func (b *bench) sdk(ctx context.Context) error {
	for _, size := range sizes {
		own := *b
		own.running = nil
		if size.bytes >= 1<<20 {
			own.callers = min(b.callers, 4) // 16 such calls at once take the library ten seconds
		}
		if err := own.besideSDK(ctx, size.name, size.bytes); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) besideSDK(ctx context.Context, name string, size int) error {
	defer b.end()
	up, gate, err := b.usual(ctx, "sdk")
	if err != nil {
		return err
	}
	plain, err := b.own(ctx, "mcpgo", "mcpgo", "-to", up.addr)
	if err != nil {
		return err
	}
	call := callSpec{Path: "/mcp", Host: plain.addr, Size: size, Tool: toolName(0)}
	// It writes the answer anew: with the members in its own order, and as long as it finds right.
	body, err := once(plain.addr, call)
	if len(body) < size*9/10 {
		return fmt.Errorf("mcp-go's proxy answers %.300q: %w", body, err)
	}
	targets := []target{
		{name: "mcp-go", proc: plain, spec: func() (loadSpec, error) {
			return loadSpec{Addr: plain.addr, Want: len(body), AnyID: true, Call: call}, nil
		}},
		gate.calls("sallyport", size, false),
	}
	samples, err := b.compare(ctx, targets)
	if err != nil {
		return err
	}
	fmt.Printf("\n%s call and reply, %d callers, beside a proxy of mcp-go's server and client without any control\n", name, b.callers)
	medians := table(targets, samples)
	cpu := medianRatio(samples["sallyport"], samples["mcp-go"], func(s sample) float64 { return s.CPU })
	fmt.Printf("  sallyport / mcp-go   CPU %.3f = 1/%.1f\n", cpu, 1/cpu)
	b.report.group("sdk")[name] = map[string]any{"samples": medians, "cpu_ratio": cpu}
	return nil
}
