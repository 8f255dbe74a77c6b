package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"time"

	"sallyport/gateway/admin"
)

// Streams that are open at the same time: as many as the aim names where they are the gateway's own,
// and near to what it gives one server where they are that server's.
const (
	idleStreams    = manyGrants * streamsOfGrant
	relayedStreams = 16 * streamsOfGrant
)

// streams measures the memory of listening streams on which nothing happens: of the gateway's own, of
// those that it relays from a server, and beside them those of a plain server of net/http.
func (b *bench) streams(ctx context.Context) error {
	defer b.end()
	up, err := b.own(ctx, "upstream-streams", "upstream")
	if err != nil {
		return err
	}
	policies, err := b.policies("streams-policies", map[string]string{"authz.rego": policy})
	if err != nil {
		return err
	}
	fmt.Printf("\nidle streams, KiB each: resident as it is when all are open; then after a collection, resident and in use\n")
	fmt.Printf("  %-28s %8s %10s %10s %8s %8s\n", "", "streams", "resident", "collected", "heap", "stacks")
	numbers := map[string]any{}
	for _, kind := range []struct {
		name, path string
		count      int
	}{{"own", "/mcp", idleStreams}, {"relayed", benchPath, relayedStreams}} {
		gate, err := b.gatewayBefore(ctx, "sallyport-streams", fmt.Sprintf("  bench: {type: http, url: \"http://%s/mcp\"}\n  other: {type: http, url: \"http://%[1]s/mcp\"}\n", up.addr), policies)
		if err != nil {
			return err
		}
		token, err := gate.token(ctx, "reader")
		if err != nil {
			return err
		}
		// A little load first, so that what the first calls bring to life is not counted.
		call := callSpec{Path: benchPath, Host: gate.addr, Token: token, Size: 300, Tool: toolName(0)}
		if _, err := runLoad(ctx, loadSpec{Addr: gate.addr, Callers: b.callers, Duration: time.Second, Call: call}); err != nil {
			return err
		}
		spec := streamsSpec{Addr: gate.addr, Path: kind.path, Each: streamsOfGrant}
		client := admin.Dial(gate.socket)
		for range kind.count / streamsOfGrant {
			_, token, err := newGrant(ctx, client, "reader", "")
			if err != nil {
				return err
			}
			spec.Tokens = append(spec.Tokens, token)
		}
		if numbers[kind.name], err = idle(ctx, "the gateway's, "+kind.name, gate.process, spec); err != nil {
			return err
		}
		gate.stop()
	}
	plain, err := b.own(ctx, "sse", "sse")
	if err != nil {
		return err
	}
	if numbers["net_http"], err = idle(ctx, "net/http's, doing nothing", plain, streamsSpec{Addr: plain.addr, Path: "/", Each: idleStreams, Tokens: []string{"none"}}); err != nil {
		return err
	}
	b.report.numbers["idle_streams"] = numbers
	return nil
}

// idle opens the streams and prints what each of them takes.
func idle(ctx context.Context, name string, p *process, spec streamsSpec) (map[string]float64, error) {
	ask(p.memstats, true)
	before, err := p.usage()
	if err != nil {
		return nil, err
	}
	used, _ := ask(p.memstats, true)
	stop, err := holdStreams(ctx, spec)
	if err != nil {
		return nil, err
	}
	defer stop()
	open, err := p.usage()
	if err != nil {
		return nil, err
	}
	now, ok := ask(p.memstats, true)
	if !ok {
		return nil, fmt.Errorf("%s: it does not say what it has in use", name)
	}
	collected, err := p.usage()
	if err != nil {
		return nil, err
	}
	n := float64(spec.Each * len(spec.Tokens))
	each := map[string]float64{"streams": n, "rss_kib": float64(open.rss-before.rss) / n, "rss_collected_kib": float64(collected.rss-before.rss) / n,
		"heap_kib": float64(now.heap-used.heap) / n / 1024, "stack_kib": float64(now.stack-used.stack) / n / 1024}
	fmt.Printf("  %-28s %8.0f %10.1f %10.1f %8.1f %8.1f\n", name, n, each["rss_kib"], each["rss_collected_kib"], each["heap_kib"], each["stack_kib"])
	return each, nil
}

// holdStreams opens the streams in a process of their own and returns when all are open.
func holdStreams(ctx context.Context, spec streamsSpec) (stop func(), err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := exec.CommandContext(ctx, self, "streams")
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	if err := json.NewEncoder(in).Encode(spec); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("open streams: %w", err)
	}
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}, nil
}

type streamsSpec struct {
	Addr, Path string
	Tokens     []string
	Each       int // streams for each token
}

// streamsMain opens listening streams, says so, and holds them until its input ends.
func streamsMain([]string) error {
	in := json.NewDecoder(os.Stdin)
	var spec streamsSpec
	if err := in.Decode(&spec); err != nil {
		return err
	}
	for _, token := range spec.Tokens {
		for i := range spec.Each {
			conn, err := net.Dial("tcp", spec.Addr)
			if err != nil {
				return fmt.Errorf("stream %d: %w", i, err)
			}
			defer conn.Close()
			if err := listen(conn, spec, token, i); err != nil {
				return fmt.Errorf("stream %d: %w", i, err)
			}
		}
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}

// listen opens one stream and reads the head of its answer.
func listen(conn net.Conn, spec streamsSpec, token string, n int) error {
	body := fmt.Sprintf(`%s%d,"method":"subscriptions/listen","params":{%s,"notifications":{"toolsListChanged":true}}}`, idPrefix, firstID+n, meta)
	if _, err := fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n\r\n%s", spec.Path, spec.Addr, token, len(body), body); err != nil {
		return err
	}
	r := bufio.NewReader(conn)
	h, err := readHead(r)
	if err != nil {
		return err
	}
	if h.status != 200 {
		text, _ := io.ReadAll(io.LimitReader(r, int64(max(h.length, 0))))
		return fmt.Errorf("status %d: %.200s", h.status, text)
	}
	return nil
}

// sseMain is a server of net/http's that answers with a stream on which nothing happens.
func sseMain([]string) error {
	return serve(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		w.Header().Set("Content-Type", "text/event-stream")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	}))
}
