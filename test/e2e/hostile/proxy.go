//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

// proxyAddress is where the way out stands inside a sandbox that has one.
const proxyAddress = "127.0.0.1:3128"

// Targets: allowed is a host and port that the way out opens, others are those of sockets.
// Each attempt comes through when the mark is heard.
var proxy = map[string]attempt{
	"proxy-to-an-allowed-host": func(t targets) error { return through(t, connectTo(t["allowed"], t["allowed"]), false) },
	"proxy-to-an-unlisted-host": func(t targets) error {
		return through(t, connectTo("unlisted.example:443", "unlisted.example:443"), false)
	},
	"proxy-to-the-hosts-loopback": func(t targets) error { return through(t, connectTo(t["tcp4"], t["tcp4"]), false) },
	"proxy-to-the-ipv6-loopback":  func(t targets) error { return through(t, connectTo(t["tcp6"], t["tcp6"]), false) },
	"proxy-by-a-number": func(t targets) error {
		return through(t, connectTo("2130706433:"+port(t["tcp4"]), "2130706433:"+port(t["tcp4"])), false)
	},
	"proxy-by-localhost": func(t targets) error {
		return through(t, connectTo("localhost:"+port(t["tcp4"]), "localhost:"+port(t["tcp4"])), false)
	},
	"proxy-to-the-metadata-address": func(t targets) error {
		return through(t, "GET http://169.254.169.254/latest/meta-data/ HTTP/1.1\r\nHost: 169.254.169.254\r\n\r\n", true)
	},
	"proxy-by-a-name-that-is-inside": func(t targets) error { return through(t, connectTo(t["inside"], t["inside"]), false) },
	"proxy-with-another-host":        func(t targets) error { return through(t, connectTo(t["tcp4"], t["allowed"]), false) },
	"proxy-with-an-allowed-target-and-another-host": func(t targets) error {
		return through(t, connectTo(t["allowed"], t["tcp4"]), false)
	},
	"proxy-with-a-line-in-the-target": func(t targets) error {
		return through(t, connectTo(t["allowed"]+"\r\nX: y\r\n\r\nCONNECT "+t["tcp4"], t["tcp4"]), false)
	},
	"proxy-with-a-second-request": func(t targets) error {
		return through(t, connectTo("unlisted.example:443", "unlisted.example:443")+connectTo(t["tcp4"], t["tcp4"]), false)
	},
	"proxy-plain-to-the-loopback": func(t targets) error {
		return through(t, "GET http://"+t["tcp4"]+"/ HTTP/1.1\r\nHost: "+t["tcp4"]+"\r\n\r\n", true)
	},
	"proxy-with-a-user-name": func(t targets) error {
		return through(t, "GET http://"+t["allowed"]+"@"+t["tcp4"]+"/ HTTP/1.1\r\nHost: "+t["tcp4"]+"\r\n\r\n", true)
	},
	"proxy-is-not-a-router": func(t targets) error { return hears("tcp", t["tcp4"], t) },
	"proxy-opens-no-datagrams": func(t targets) error {
		return socketOf("udp", t["udp"])
	},
}

func connectTo(target, host string) string {
	return fmt.Sprintf("CONNECT %s HTTP/1.1\r\nHost: %s\r\n\r\n", target, host)
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// through says raw to the proxy. A tunnel that opens is spoken into; the mark must come back.
func through(t targets, raw string, plain bool) error {
	conn, err := net.DialTimeout("tcp", proxyAddress, 20*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(conn, raw); err != nil {
		return err
	}
	br := bufio.NewReader(conn)
	method := http.MethodConnect
	if plain {
		method = http.MethodGet
	}
	resp, err := http.ReadResponse(br, &http.Request{Method: method})
	if err != nil {
		return err
	}
	if resp.StatusCode != http.StatusOK {
		text, _ := io.ReadAll(resp.Body)
		return fmt.Errorf("%s: %s", resp.Status, strings.TrimSpace(string(text)))
	}
	if _, err := io.WriteString(conn, "hello"); err != nil {
		return err
	}
	buffer := make([]byte, 512)
	n, err := br.Read(buffer)
	if err != nil {
		return err
	}
	return marked(string(buffer[:n]), t)
}

// socketOf says whether a datagram leaves.
func socketOf(network, address string) error {
	conn, err := net.Dial(network, address)
	if err != nil {
		return err
	}
	defer conn.Close()
	if n, err := conn.Write([]byte("hello")); err != nil || n == 0 {
		return errors.Join(err, errors.New("nothing was sent"))
	}
	return nil
}
