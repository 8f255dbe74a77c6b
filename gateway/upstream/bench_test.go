package upstream

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
)

// Both sides speak to a server that allocates nothing, so that allocations are the client's.
func BenchmarkCall(b *testing.B) {
	for _, size := range []int{300, 10 << 10, 1 << 20} {
		body := strings.Repeat("x", size)
		url := cheapServer(b, body)
		b.Run(fmt.Sprintf("size=%d/by=upstream", size), func(b *testing.B) { benchUpstream(b, url, body) })
		b.Run(fmt.Sprintf("size=%d/by=transport", size), func(b *testing.B) { benchTransport(b, url, body) })
	}
}

// cheapServer finds the end of each request and writes a reply that is ready.
func cheapServer(b *testing.B, body string) string {
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = ln.Close() })
	reply := []byte(ok(body))
	go func() {
		for {
			c, err := ln.Accept()
			if err != nil {
				return
			}
			go func() {
				defer func() { _ = c.Close() }()
				br := bufio.NewReaderSize(c, 64<<10)
				for {
					line, err := br.ReadSlice('\n')
					if err != nil {
						return
					}
					if len(line) > 2 {
						continue
					}
					if _, err := br.Discard(len(body)); err != nil {
						return
					}
					if _, err := c.Write(reply); err != nil {
						return
					}
				}
			}()
		}
	}()
	return "http://" + ln.Addr().String()
}

func benchUpstream(b *testing.B, url, body string) {
	h := newHTTP(b, HTTPConfig{URL: url})
	out := call(body)
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		reply, err := h.roundTrip(b.Context(), out)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, reply.Body, buf)
		if err != nil || n != int64(len(body)) {
			b.Fatal(n, err)
		}
		_ = reply.Body.Close()
	}
}

func benchTransport(b *testing.B, url, body string) {
	tr := &http.Transport{MaxIdleConnsPerHost: 512, DisableCompression: true}
	b.Cleanup(tr.CloseIdleConnections)
	sent := []byte(body)
	buf := make([]byte, 64<<10)
	b.ReportAllocs()
	for b.Loop() {
		req, err := http.NewRequestWithContext(b.Context(), "POST", url, bytes.NewReader(sent))
		if err != nil {
			b.Fatal(err)
		}
		req.Header["Content-Type"] = []string{"application/json"}
		resp, err := tr.RoundTrip(req)
		if err != nil {
			b.Fatal(err)
		}
		n, err := io.CopyBuffer(struct{ io.Writer }{io.Discard}, resp.Body, buf)
		if err != nil || n != int64(len(body)) {
			b.Fatal(n, err)
		}
		_ = resp.Body.Close()
	}
}
