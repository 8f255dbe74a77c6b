package gateway_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"sync"
	"syscall"
	"testing"

	"sallyport/gateway"
	"sallyport/gateway/upstream"
)

// boxed is a house whose server is a program in a sandbox; each call is of a new process, which has
// to be started.
func boxed(t *testing.T) *house {
	h := newHouse(t)
	h.program()
	return h
}

func (h *house) program() {
	s, err := upstream.NewStdio(upstream.StdioConfig{Name: "files", Start: h.start})
	h.must(err)
	h.t.Cleanup(s.Close)
	h.up = s
	h.serve(nil)
}

func (h *house) start(_ context.Context, _ map[string]string, stdin, stdout, _ *os.File) (upstream.Child, error) {
	if err := h.faults["sandbox"].do(); err != nil {
		return nil, err
	}
	in, err := again(stdin)
	if err != nil {
		return nil, err
	}
	out, err := again(stdout)
	if err != nil {
		return nil, err
	}
	p := &program{h: h, in: in, out: out, done: make(chan struct{})}
	go p.run()
	return p, nil
}

func again(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	return os.NewFile(uintptr(fd), f.Name()), err
}

// program is the child: it counts the bytes of calls.
type program struct {
	h       *house
	in, out *os.File
	done    chan struct{}
	once    sync.Once
}

func (p *program) Wait() error { <-p.done; return errors.New("ended") }
func (p *program) Pid() int    { return os.Getpid() }
func (p *program) Kill()       { p.once.Do(func() { close(p.done); _ = p.in.Close(); _ = p.out.Close() }) }

func (p *program) run() {
	defer p.Kill()
	for lines := bufio.NewScanner(p.in); lines.Scan(); {
		var msg struct {
			ID     json.RawMessage
			Method string
		}
		_ = json.Unmarshal(lines.Bytes(), &msg)
		result := `{}`
		switch msg.Method {
		case "initialize":
			result = `{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"x","version":"1"}}`
		case "tools/list":
			result = `{"tools":` + *p.h.tools.Load() + `}`
		case "tools/call":
			p.h.bytes.Add(int64(len(lines.Bytes())))
			p.h.calls.Add(1)
			result = `{"content":[]}`
		case "server/discover":
			fmt.Fprintf(p.out, `{"jsonrpc":"2.0","id":%s,"error":{"code":-32601,"message":"no"}}`+"\n", msg.ID)
			continue
		}
		if msg.ID != nil {
			fmt.Fprintf(p.out, `{"jsonrpc":"2.0","id":%s,"result":%s}`+"\n", msg.ID, result)
		}
	}
}

func sandboxRow() row {
	const unavailable = "200 502 unavailable"
	of := func(way string) cell {
		return cell{want: unavailable, apply: func(h *house) func() {
			lift := broken("sandbox", way)(h)
			h.program() // nothing runs any more, and nothing starts
			return func() { lift(); h.program() }
		}}
	}
	const whole = "a box is whole or the program is not started; every lack is the error of the start"
	return row{name: "sandbox", make: boxed, cells: map[string]cell{
		"error": of("error"), "time-out": of("time-out"), "restart": of("restart"),
		"panic": none("a panic in a start ends the process, which then serves nobody"),
		"empty": none(whole), "partial": none(whole), "wrong type": none(whole),
		"stale": none("a box is made anew for each process"),
		"slow":  none("the same as a time-out: a start that outlives its call is ended"),
	}}
}

var _ gateway.Upstream = (*upstream.Stdio)(nil)
