package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
)

// upstreamMain is the MCP server that everything is measured before: it answers a tool call
// with as many bytes as the call had, from prepared text, and decodes nothing on that path.
func upstreamMain(args []string) error {
	flags := flag.NewFlagSet("upstream", flag.ExitOnError)
	tools := flags.Int("tools", 1, "number of tools listed")
	listen := flags.String("listen", "127.0.0.1:0", "address")
	_ = flags.Parse(args)
	return serveAt(*listen, newUpstream(*tools))
}

// serve listens on a port of the system's choosing, prints it, and serves until killed.
func serve(h http.Handler) error { return serveAt("127.0.0.1:0", h) }

func serveAt(address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	fmt.Fprintln(os.Stdout, l.Addr())
	go memstats()
	return (&http.Server{Handler: h}).Serve(l) // a benchmark's own client has no need of deadlines
}

type upstream struct {
	tools []byte // a whole tools/list result
	text  []byte
}

// toolName is the n-th tool's name.
func toolName(n int) string { return fmt.Sprintf("read_%04d", n) }

func newUpstream(tools int) *upstream {
	var list bytes.Buffer
	list.WriteString(`{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","tools":[`)
	for i := range tools {
		if i > 0 {
			list.WriteByte(',')
		}
		// About 490 bytes each, as in catalogues seen in the wild.
		fmt.Fprintf(&list, `{"name":%q,"title":"Read part %d","description":"Reads a document and the rows given with it. %s","inputSchema":{"type":"object","properties":{"path":{"type":"string"},"note":{"type":"string"},"rows":{"type":"array","items":{"type":"object","properties":{"id":{"type":"integer"},"name":{"type":"string"},"value":{"type":"number"},"tags":{"type":"array","items":{"type":"string"}},"done":{"type":"boolean"}},"required":["id"]}}},"required":["path"]},"annotations":{"readOnlyHint":true}}`,
			toolName(i), i, "Returns text.")
	}
	list.WriteString(`]}`)
	return &upstream{tools: list.Bytes(), text: []byte(strings.Repeat("plain words of a document. ", 40<<10))}
}

func (u *upstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodPost {
		w.WriteHeader(http.StatusMethodNotAllowed)
		return
	}
	body := make([]byte, max(r.ContentLength, 0))
	if _, err := io.ReadFull(r.Body, body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if id, ok := bytes.CutPrefix(body, []byte(idPrefix)); ok && r.Header.Get("Mcp-Method") == "tools/call" {
		end := bytes.IndexByte(id, ',') // a gateway may have given the call an id of its own
		u.answerCall(w, id[:max(end, 0)], len(body))
		return
	}
	u.answerRest(w, r, body)
}

const (
	callStart = `,"result":{"resultType":"complete","content":[{"type":"text","text":"`
	callEnd   = `"}]}}`
)

func (u *upstream) answerCall(w http.ResponseWriter, id []byte, size int) {
	fill := max(size-len(idPrefix)-len(id)-len(callStart)-len(callEnd), 0)
	reply := make([]byte, 0, size)
	reply = append(append(append(reply, idPrefix...), id...), callStart...)
	reply = append(append(reply, u.text[:fill]...), callEnd...)
	w.Header()["Content-Type"] = []string{"application/json"}
	w.Header()["Content-Length"] = []string{strconv.Itoa(len(reply))}
	_, _ = w.Write(reply)
}

// answerRest speaks what a gateway asks before the first call.
func (u *upstream) answerRest(w http.ResponseWriter, r *http.Request, body []byte) {
	var m struct {
		ID     json.RawMessage
		Method string
	}
	if err := json.Unmarshal(body, &m); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	if m.Method == "subscriptions/listen" {
		w.Header().Set("Content-Type", "text/event-stream")
		fmt.Fprintf(w, "data: {\"jsonrpc\":\"2.0\",\"method\":\"notifications/subscriptions/acknowledged\",\"params\":{\"_meta\":{\"io.modelcontextprotocol/subscriptionId\":%s},\"notifications\":{}}}\n\n", m.ID)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return
	}
	if m.ID == nil {
		w.WriteHeader(http.StatusAccepted)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	const server = `"serverInfo":{"name":"bench","version":"1"}`
	switch m.Method {
	case "server/discover":
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"resultType":"complete","ttlMs":3600000,"cacheScope":"private","supportedVersions":["2026-07-28"],"capabilities":{"tools":{}},%s}}`, m.ID, server)
	case "initialize":
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},%s}}`, m.ID, server)
	case "tools/list":
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"result":%s}`, m.ID, u.tools)
	default:
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprintf(w, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"Method not found"}}`, m.ID)
	}
}
