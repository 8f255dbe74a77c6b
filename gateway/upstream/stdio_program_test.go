package upstream

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
)

// program is the MCP server that this binary is when a test has started it: of the older protocol,
// where its way of being is not another. Each tool is one way to answer.
type program struct {
	how       string
	era       string // of its first message, where it speaks one only with each client
	handshook int
	answers   chan string

	mu sync.Mutex // guards stdout
}

// said is what the program reads of a message.
type said struct {
	ID     json.RawMessage
	Method string
	Params struct {
		Name      string
		URI       string
		Arguments struct{ Nonce string }
		Meta      struct {
			ProgressToken json.RawMessage `json:"progressToken"`
		} `json:"_meta"`
		RequestID json.RawMessage
	}
	Result json.RawMessage
	Error  json.RawMessage
}

func stdioServer(how string) {
	switch how {
	case "cheap":
		cheapStdioServer()
		return
	case "banner":
		fmt.Println("Server is starting…")
	case "exit":
		fmt.Fprintln(os.Stderr, "no licence file")
		os.Exit(3)
	case "silent":
		_, _ = io.Copy(io.Discard, os.Stdin)
		return
	}
	p := &program{how: how, answers: make(chan string, 16)}
	in := bufio.NewReaderSize(os.Stdin, 1<<20)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return
		}
		var msg said
		if err := json.Unmarshal([]byte(line), &msg); err != nil {
			p.say(`{"jsonrpc":"2.0","id":null,"error":{"code":-32700,"message":"bad line"}}`)
			continue
		}
		p.take(msg)
	}
}

func (p *program) say(format string, args ...any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	fmt.Printf(format+"\n", args...)
}

func (p *program) refuse(msg said, code int, words string) {
	p.say(`{"jsonrpc":"2.0","id":%s,"error":{"code":%d,"message":%q}}`, msg.ID, code, words)
}

func (p *program) text(msg said, s string) {
	p.say(`{"result":{"content":[{"type":"text","text":%q}]},"jsonrpc":"2.0","id":%s}`, s, msg.ID)
}

func (p *program) take(msg said) {
	switch {
	case msg.Method == "" && msg.ID != nil:
		p.answers <- string(msg.ID) + string(msg.Result) + string(msg.Error)
	case msg.Method == "server/discover":
		p.discover(msg)
	case msg.Method == "initialize":
		p.initialize(msg)
	case msg.Method == "notifications/cancelled":
		fmt.Fprintf(os.Stderr, "cancelled %s\n", msg.Params.RequestID)
	case msg.Method == "subscriptions/listen":
		p.say(`{"jsonrpc":"2.0","method":"notifications/subscriptions/acknowledged","params":{"_meta":{"io.modelcontextprotocol/subscriptionId":%s},"notifications":{}}}`, msg.ID)
	case msg.Method == "resources/unsubscribe":
		fmt.Fprintln(os.Stderr, "unsubscribed", msg.Params.URI)
		p.say(`{"jsonrpc":"2.0","id":%s,"result":{}}`, msg.ID)
	case msg.Method == "tools/call":
		p.call(msg)
	case msg.Method == "prompts/list":
		p.refuse(msg, -32601, "Method not found")
	case msg.Method == "resources/list":
		p.refuse(msg, -32022, "Unsupported protocol version")
	case msg.ID != nil:
		p.say(`{"jsonrpc":"2.0","id":%s,"result":{}}`, msg.ID)
	}
}

func (p *program) discover(msg said) {
	switch p.how {
	case "dies on discover":
		os.Exit(1)
	case "slow":
		return // it answers much later
	case "modern", "modern only", "one era":
		if p.how == "one era" && p.era == "legacy" {
			p.refuse(msg, -32600, "initialized already")
			return
		}
		p.era = "modern"
		p.say(`{"jsonrpc":"2.0","id":%s,"result":{"supportedVersions":["2026-07-28"],"capabilities":{},"resultType":"complete"}}`, msg.ID)
	default:
		p.refuse(msg, -32601, "Method not found")
	}
}

func (p *program) initialize(msg said) {
	p.handshook++
	switch {
	case p.how == "modern only", p.how == "slow":
		p.refuse(msg, -32601, "only 2026-07-28 is spoken here")
	case p.handshook > 1, p.how == "one era" && p.era == "modern":
		p.refuse(msg, -32600, "twice")
	default:
		p.era = "legacy"
		p.say(`{"jsonrpc":"2.0","id":%s,"result":{"protocolVersion":"2025-11-25","capabilities":{"tools":{}},"serverInfo":{"name":"t","version":"1"}}}`, msg.ID)
	}
}

func (p *program) call(msg said) {
	nonce := msg.Params.Arguments.Nonce
	switch msg.Params.Name {
	case "echo":
		p.text(msg, nonce)
	case "env":
		p.text(msg, os.Getenv(nonce))
	case "pid":
		p.text(msg, fmt.Sprint(os.Getpid()))
	case "crash":
		fmt.Fprintln(os.Stderr, "out of cheese")
		os.Exit(7)
	case "orphan": // leaves a program behind that holds its output open, for as long as its input
		cmd := exec.Command(os.Args[0])
		cmd.Env = []string{"STDIO_SERVER=silent", "GORACE=atexit_sleep_ms=0"}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
		}
		os.Exit(8)
	case "hang":
		fmt.Fprintln(os.Stderr, "hanging")
	case "deaf":
		fmt.Fprintln(os.Stderr, "reads no more")
		select {}
	case "progress":
		p.say(`{"jsonrpc":"2.0","method":"notifications/progress","params":{"progressToken":%s,"progress":1,"message":%q}}`, msg.Params.Meta.ProgressToken, nonce)
		p.text(msg, nonce)
	case "garbage":
		p.say("this is not JSON")
	case "much garbage":
		for range mostBad + 1 {
			p.say("this is not JSON")
		}
	case "large":
		p.say(`{"result":{"content":[{"type":"text","text":%q}]},"jsonrpc":"2.0","id":%s}`, strings.Repeat("x", 200_000), msg.ID)
	case "ask":
		p.say(`{"jsonrpc":"2.0","id":"q1","method":"roots/list"}`)
		go func() { p.text(msg, <-p.answers) }()
	case "change":
		p.say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		p.text(msg, "changed")
	case "tell":
		p.say(`{"jsonrpc":"2.0","method":"notifications/message","params":{"level":"info","data":"changing"}}`)
		p.say(`{"jsonrpc":"2.0","method":"notifications/x","params":{}}`)
		p.say(`{"jsonrpc":"2.0","method":"notifications/resources/updated","params":{"uri":"r:1"}}`)
		p.say(`{"jsonrpc":"2.0","method":"notifications/tools/list_changed"}`)
		p.text(msg, "told")
	}
}
