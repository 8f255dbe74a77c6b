package chaos

import (
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// say is what a broken server does instead of answering: it has the connection to itself. What it
// returns from ends the connection.
type say func(c net.Conn, id string)

const head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
const stream = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n"

func answerTo(id string) string {
	return fmt.Sprintf(`{"jsonrpc":"2.0","id":%s,"result":%s}`, id, done)
}

func whole(body string) string {
	return fmt.Sprintf("%sContent-Length: %d\r\n\r\n%s", head, len(body), body)
}

func put(c net.Conn, text string) bool {
	_, err := c.Write([]byte(text))
	return err == nil
}

// hold keeps a connection open until the other side ends it.
func hold(c net.Conn) {
	var b [1]byte
	for {
		if _, err := c.Read(b[:]); err != nil {
			return
		}
	}
}

// reset ends a connection as a host does that has forgotten it.
func reset(c net.Conn) { _ = c.(*net.TCPConn).SetLinger(0) }

// forever says text again and again, every so often, until nobody listens.
func forever(c net.Conn, text string, every time.Duration) {
	for put(c, text) {
		time.Sleep(every)
	}
}

const (
	unavailable = 502
	timeout     = 504
	withheld    = -1 // a tool's result that says isError
	fine        = 0
)

// fault is one way of a server to fail, and the code of the refusal that its caller gets.
type fault struct {
	name string
	do   say
	want int
}

// faults are what servers do to the calls whose path names it.
var faults = []fault{
	{"drops the connection", func(net.Conn, string) {}, unavailable},
	{"drops it in the header", func(c net.Conn, _ string) { put(c, head) }, unavailable},
	{"drops it in the body", func(c net.Conn, id string) { put(c, head+"Content-Length: 999\r\n\r\n{") }, unavailable},
	{"resets the connection", func(c net.Conn, _ string) { reset(c) }, unavailable},
	{"resets it in the body", func(c net.Conn, _ string) { put(c, head+"Content-Length: 999\r\n\r\n{"); reset(c) }, unavailable},
	{"resets it in an event", func(c net.Conn, _ string) { put(c, stream+"data: {\"jso"); reset(c) }, unavailable},
	{"ends a stream without an answer", func(c net.Conn, _ string) { put(c, stream+": here\n\n") }, unavailable},
	{"is half open", func(c net.Conn, _ string) { hold(c) }, timeout},
	{"is half open after the header", func(c net.Conn, _ string) { put(c, head+"Content-Length: 999\r\n\r\n"); hold(c) }, timeout},
	{"is half open in a stream", func(c net.Conn, _ string) { put(c, stream+"data: {\"jso"); hold(c) }, timeout},
	{"drips the header", func(c net.Conn, id string) { drip(c, whole(answerTo(id))) }, timeout},
	{"drips the body", func(c net.Conn, id string) {
		put(c, head+"Content-Length: 999\r\n\r\n")
		drip(c, strings.Repeat(" ", 999))
	}, timeout},
	{"drips the body in chunks", func(c net.Conn, id string) {
		put(c, head+"Transfer-Encoding: chunked\r\n\r\n")
		forever(c, "1\r\n \r\n", time.Second)
	}, timeout},
	{"answers twice", func(c net.Conn, id string) { put(c, whole(answerTo(id))+whole(answerTo(id))); hold(c) }, fine},
	{"answers twice in a stream", func(c net.Conn, id string) {
		put(c, stream+"data: "+answerTo(id)+"\n\ndata: "+strings.Replace(answerTo(id), "done", "theirs", 1)+"\n\n")
	}, fine},
	{"answers another's id", func(c net.Conn, id string) { put(c, whole(answerTo(`"another"`))) }, unavailable},
	{"answers another's id in a stream", func(c net.Conn, id string) { put(c, stream+"data: "+answerTo(`"another"`)+"\n\n"); hold(c) }, unavailable},
	{"sends endless headers", func(c net.Conn, _ string) { put(c, head); forever(c, "X-More: "+strings.Repeat("x", 4096)+"\r\n", 0) }, withheld},
	{"sends an endless header line", func(c net.Conn, _ string) { put(c, head+"X-More: "); forever(c, strings.Repeat("x", 4096), 0) }, withheld},
	{"sends an endless body", func(c net.Conn, _ string) { put(c, head+"\r\n"); forever(c, strings.Repeat(" ", 4096), 0) }, withheld},
	{"sends endless chunks", func(c net.Conn, _ string) {
		put(c, head+"Transfer-Encoding: chunked\r\n\r\n")
		forever(c, "1000\r\n"+strings.Repeat(" ", 4096)+"\r\n", 0)
	}, withheld},
	{"announces an endless body", func(c net.Conn, _ string) { put(c, head+"Content-Length: 922337203685477580\r\n\r\n{"); hold(c) }, withheld},
	{"sends an endless event", func(c net.Conn, _ string) { put(c, stream+"data: "); forever(c, strings.Repeat(" ", 4096), 0) }, withheld},
	{"sends an endless event of many lines", func(c net.Conn, _ string) { put(c, stream); forever(c, "data: \n", 0) }, withheld},
	{"sends a bomb", func(c net.Conn, _ string) {
		put(c, head+"Content-Encoding: gzip\r\nContent-Length: 10\r\n\r\n\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\x03")
	}, unavailable},
	{"sends a flood of interim replies", func(c net.Conn, _ string) { forever(c, "HTTP/1.1 100 Continue\r\n\r\n", 0) }, unavailable},
	{"drips interim replies", func(c net.Conn, _ string) { forever(c, "HTTP/1.1 103 Early Hints\r\n\r\n", time.Second) }, unavailable},
	{"switches protocols", func(c net.Conn, _ string) {
		put(c, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n")
		hold(c)
	}, unavailable},
	{"redirects", func(c net.Conn, _ string) {
		put(c, "HTTP/1.1 307 Temporary Redirect\r\nLocation: http://127.0.0.1:1/\r\nContent-Length: 0\r\n\r\n")
	}, unavailable},
	{"sends what is no message", func(c net.Conn, _ string) { put(c, whole("<html>")) }, unavailable},
	{"sends another type", func(c net.Conn, id string) {
		put(c, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 6\r\n\r\n<html>")
	}, unavailable},
	{"sends nothing", func(c net.Conn, _ string) { put(c, head+"Content-Length: 0\r\n\r\n") }, unavailable},
}

func drip(c net.Conn, text string) {
	for i := range len(text) {
		if !put(c, text[i:i+1]) {
			return
		}
		time.Sleep(time.Second)
	}
}

// TestAServerThatMisbehavesHurtsNobodyElse calls a server that breaks in each way, all at the same
// time: each call ends with the refusal that fits, no later than the limits say, is on record with
// its outcome, and the next call is served.
func TestAServerThatMisbehavesHurtsNobodyElse(t *testing.T) {
	s := newServer(t)
	s.instead = func(w http.ResponseWriter, arguments []byte, id string) bool {
		for _, f := range faults {
			if strings.Contains(string(arguments), `"/`+f.name+`"`) {
				return misbehave(w, id, f.do)
			}
		}
		return false
	}
	g := startGate(t, "limits: {callTimeout: 3s, resultBytes: 256KiB, concurrentPerGrant: 64}\n", map[string]string{"files": at(s.url)})
	token := g.token(t)
	var all sync.WaitGroup // t.Parallel would be as many at a time as there are processors
	for _, f := range faults {
		all.Go(func() { t.Run(f.name, func(t *testing.T) { f.strikes(t, g, token) }) })
	}
	all.Wait()
	if n := len(g.outcomes(t, "read_file")); n != 2*len(faults) {
		t.Errorf("%d outcomes on record; want %d", n, 2*len(faults))
	}
}

func (f fault) strikes(t *testing.T, g *gate, token string) {
	r := g.served(t, token, "read_file", "/"+f.name)
	switch {
	case f.want == fine && r.done() && !strings.Contains(r.Raw, "theirs"):
	case f.want == withheld && r.Result.IsError:
	case f.want > 0 && r.code() == f.want:
	default:
		t.Errorf("a server that %s: %d %.300s; want code %d", f.name, r.Status, r.Raw, f.want)
	}
	g.goesOn(t, token, "a server that "+f.name)
}

func misbehave(w http.ResponseWriter, id string, do say) bool {
	c, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return false
	}
	defer c.Close()
	do(c, id)
	return true
}
