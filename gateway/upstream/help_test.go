package upstream

import (
	"bytes"
	"net"
	"testing"
)

func tcpPair(t *testing.T) (a net.Conn, b *corked) {
	t.Helper()
	ln, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = ln.Close() }()
	a, err = net.Dial("tcp", ln.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := ln.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = a.Close(), c.Close() })
	return a, &corked{Conn: c}
}

// corked holds writes back while it is corked.
type corked struct {
	net.Conn
	held *bytes.Buffer
}

func (c *corked) Write(p []byte) (int, error) {
	if c.held != nil {
		return c.held.Write(p)
	}
	return c.Conn.Write(p)
}

// cork sends what write writes in one piece.
func cork(t *testing.T, c *corked, write func()) {
	t.Helper()
	c.held = new(bytes.Buffer)
	write()
	p := c.held.Bytes()
	c.held = nil
	if _, err := c.Write(p); err != nil {
		t.Fatal(err)
	}
}
