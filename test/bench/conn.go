package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"strconv"
	"time"
)

// caller is one kept connection: a rendered request goes out in one write and the reply is
// read by hand, so that the load costs little beside what it measures.
type caller struct {
	addr string
	conn net.Conn
	in   *bufio.Reader
	body []byte

	nonce string // the newest that the gateway has sent for proofs
}

func (c *caller) dial() error {
	conn, err := net.DialTimeout("tcp", c.addr, 5*time.Second)
	if err != nil {
		return err
	}
	c.conn, c.in = conn, bufio.NewReaderSize(conn, 64<<10)
	return nil
}

func (c *caller) close() {
	if c.conn != nil {
		_ = c.conn.Close()
		c.conn = nil
	}
}

// call sends one request and returns the status and the body, which is valid until the next
// call. After an error the connection is closed and the next call dials again.
func (c *caller) call(request []byte) (status int, body []byte, err error) {
	if c.conn == nil {
		if err := c.dial(); err != nil {
			return 0, nil, err
		}
	}
	if err := c.conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
		return 0, nil, err
	}
	if _, err = c.conn.Write(request); err == nil {
		status, err = c.read()
	}
	if err != nil {
		c.close()
		return 0, nil, err
	}
	return status, c.body, nil
}

func (c *caller) read() (status int, err error) {
	h, err := readHead(c.in)
	if err != nil {
		return 0, err
	}
	if h.nonce != "" {
		c.nonce = h.nonce
	}
	c.body = c.body[:0]
	switch {
	case h.chunked:
		err = c.readChunks()
	case h.length >= 0:
		err = c.readN(h.length)
	default:
		return 0, errors.New("reply has neither a length nor chunks")
	}
	if h.close {
		c.close()
	}
	return h.status, err
}

func (c *caller) readN(n int) error {
	at := len(c.body)
	if cap(c.body) < at+n {
		c.body = append(make([]byte, 0, (at+n)*2), c.body...)
	}
	c.body = c.body[:at+n]
	_, err := io.ReadFull(c.in, c.body[at:])
	return err
}

func (c *caller) readChunks() error {
	for {
		line, err := c.in.ReadSlice('\n')
		if err != nil {
			return err
		}
		n, err := strconv.ParseUint(string(bytes.TrimSpace(line)), 16, 31)
		if err != nil {
			return fmt.Errorf("chunk size: %w", err)
		}
		if err := c.readN(int(n)); err != nil {
			return err
		}
		if _, err := c.in.Discard(2); err != nil {
			return err
		}
		if n == 0 {
			return nil
		}
	}
}

type head struct {
	status  int
	length  int // -1: not said
	chunked bool
	close   bool
	nonce   string // DPoP-Nonce
}

func readHead(in *bufio.Reader) (head, error) {
	h := head{length: -1}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return h, err
	}
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) {
		return h, fmt.Errorf("not a status line: %q", line)
	}
	if h.status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return h, err
	}
	for {
		line, err := in.ReadSlice('\n')
		if err != nil {
			return h, err
		}
		name, value, _ := bytes.Cut(bytes.TrimRight(line, "\r\n"), []byte(":"))
		if len(name) == 0 {
			return h, nil
		}
		value = bytes.TrimSpace(value)
		switch {
		case asciiEqual(name, "content-length"):
			if h.length, err = strconv.Atoi(string(value)); err != nil {
				return h, err
			}
		case asciiEqual(name, "transfer-encoding"):
			h.chunked = asciiEqual(value, "chunked")
		case asciiEqual(name, "dpop-nonce"):
			h.nonce = string(value)
		case asciiEqual(name, "connection"):
			h.close = asciiEqual(value, "close")
		}
	}
}

func asciiEqual(b []byte, lower string) bool {
	return len(b) == len(lower) && bytes.EqualFold(b, []byte(lower))
}
