package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"time"
)

const idleStreams = 1000

// streams measures the memory of listening streams on which nothing happens.
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
	gate, err := b.gatewayUp(ctx, "sallyport-streams", up.addr, policies)
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
	before, err := gate.usage()
	if err != nil {
		return err
	}
	stop, err := holdStreams(ctx, gate.addr, token)
	if err != nil {
		return err
	}
	defer stop()
	after, err := gate.usage()
	if err != nil {
		return err
	}
	b.report.streams(idleStreams, before.rss, after.rss)
	return nil
}

// holdStreams opens the streams in a process of their own and returns when all are open.
func holdStreams(ctx context.Context, addr, token string) (stop func(), err error) {
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
	if err := json.NewEncoder(in).Encode(streamsSpec{Addr: addr, Token: token, Streams: idleStreams}); err != nil {
		return nil, err
	}
	if _, err := bufio.NewReader(out).ReadString('\n'); err != nil {
		return nil, fmt.Errorf("open %d streams: %w", idleStreams, err)
	}
	return func() {
		_ = in.Close()
		_ = cmd.Wait()
	}, nil
}

type streamsSpec struct {
	Addr, Token string
	Streams     int
}

// streamsMain opens listening streams, says so, and holds them until its input ends.
func streamsMain([]string) error {
	in := json.NewDecoder(os.Stdin)
	var spec streamsSpec
	if err := in.Decode(&spec); err != nil {
		return err
	}
	for i := range spec.Streams {
		conn, err := net.Dial("tcp", spec.Addr)
		if err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		defer conn.Close()
		body := fmt.Sprintf(`%s%d,"method":"subscriptions/listen","params":{%s,"notifications":{"toolsListChanged":true}}}`, idPrefix, firstID+i, meta)
		if _, err := fmt.Fprintf(conn, "POST "+benchPath+" HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
			"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n\r\n%s", spec.Addr, spec.Token, len(body), body); err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		r := bufio.NewReader(conn)
		h, err := readHead(r)
		if err != nil {
			return fmt.Errorf("stream %d: %w", i, err)
		}
		if h.status != 200 {
			text, _ := io.ReadAll(io.LimitReader(r, int64(max(h.length, 0))))
			return fmt.Errorf("stream %d: status %d: %.200s", i, h.status, text)
		}
	}
	fmt.Println("open")
	_, _ = io.Copy(io.Discard, os.Stdin)
	return nil
}
