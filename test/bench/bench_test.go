package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

func TestRenderedCallHasTheWantedSize(t *testing.T) {
	for _, size := range []int{300, 10 << 10, 1 << 20} {
		r, err := render(callSpec{Path: "/mcp", Host: "h", Size: size, Tool: toolName(0), Vary: true})
		if err != nil {
			t.Fatalf("render %d: %v", size, err)
		}
		r.number(7)
		_, body, _ := bytes.Cut(r.bytes, []byte("\r\n\r\n"))
		if len(body) != size {
			t.Errorf("body has %d bytes, want %d", len(body), size)
		}
		var m struct {
			ID     int
			Params struct{ Arguments struct{ Path string } }
		}
		if err := json.Unmarshal(body, &m); err != nil {
			t.Fatalf("body of %d bytes: %v", size, err)
		}
		if m.ID != firstID+7 || m.Params.Arguments.Path != "/srv/docs/100000007" {
			t.Errorf("numbered 7: id %d, path %q", m.ID, m.Params.Arguments.Path)
		}
	}
}

func TestReplyHeadsAreRead(t *testing.T) {
	for _, tt := range []struct {
		raw  string
		want head
	}{
		{"HTTP/1.1 200 OK\r\nContent-Length: 12\r\n\r\n", head{status: 200, length: 12}},
		{"HTTP/1.1 401 No\r\ncontent-length:0\r\nConnection: close\r\n\r\n", head{status: 401, close: true}},
		{"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", head{status: 200, length: -1, chunked: true}},
	} {
		got, err := readHead(bufio.NewReader(strings.NewReader(tt.raw)))
		if err != nil || got != tt.want {
			t.Errorf("readHead(%q) = %+v, %v; want %+v", tt.raw, got, err, tt.want)
		}
	}
	if _, err := readHead(bufio.NewReader(strings.NewReader("garbage of a server\r\n"))); err == nil {
		t.Error("garbage was read as a head")
	}
}

// TestLoadCountsOnlyRightReplies shows that the generator tells a good reply from one with a
// wrong status, length or id: otherwise a proxy that answers badly would look fast.
func TestLoadCountsOnlyRightReplies(t *testing.T) {
	for _, tt := range []struct {
		name    string
		handler http.Handler
		good    bool
	}{
		{"the upstream", newUpstream(1), true},
		{"chunks", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			rec := httptest.NewRecorder()
			newUpstream(1).ServeHTTP(rec, r)
			_, _ = w.Write(rec.Body.Next(100))
			_ = http.NewResponseController(w).Flush()
			_, _ = w.Write(rec.Body.Bytes())
		}), true},
		{"another status", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusUnauthorized) }), false},
		{"a short reply", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(idPrefix)) }), false},
		{"another id", http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = w.Write([]byte(idPrefix + strings.Repeat("9", 300-len(idPrefix))))
		}), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			srv := httptest.NewServer(tt.handler)
			defer srv.Close()
			addr := srv.Listener.Addr().String()
			r, err := load(loadSpec{Addr: addr, Callers: 2, Duration: 30 * time.Millisecond, Want: 300,
				Call: callSpec{Path: "/mcp", Host: addr, Size: 300, Tool: toolName(0)}}, nil)
			if err != nil {
				t.Fatal(err)
			}
			if tt.good && (r.Calls == 0 || r.Errors != 0) {
				t.Errorf("%d calls, %d errors (%s); want only calls", r.Calls, r.Errors, r.First)
			}
			if !tt.good && (r.Calls != 0 || r.Errors == 0) {
				t.Errorf("%d calls, %d errors; want only errors", r.Calls, r.Errors)
			}
		})
	}
}

func TestMedians(t *testing.T) {
	for _, tt := range []struct {
		in   []float64
		want float64
	}{{nil, 0}, {[]float64{3}, 3}, {[]float64{9, 1, 2}, 2}, {[]float64{4, 1, 2, 9}, 3}} {
		if got := median(tt.in); got != tt.want {
			t.Errorf("median(%v) = %v, want %v", tt.in, got, tt.want)
		}
	}
	took := []time.Duration{1000, 2000, 3000, 4000}
	if got := quantile(took, 0.99); got != 4 {
		t.Errorf("p99 of %v = %v µs, want 4", took, got)
	}
}
