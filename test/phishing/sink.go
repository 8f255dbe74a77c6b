package main

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"time"
)

// arrival is something that reached the world outside: a request at the sink, a name that was
// looked up, or a note at the service that keeps them.
type arrival struct {
	name        string // that was looked up
	target      string // of a request, as sent
	user        string // before the host of its URL
	disposition string // of a part of its body: holds a file's name
	body        string
	note, text  string // title and text of a note
	raw         string // all bytes of a connection or packet that is not HTTP
}

// sink is the world outside. Every host name leads to it.
type sink struct {
	url    string
	udp    net.PacketConn
	server *http.Server
	client *http.Client // whose every name leads here

	mu      sync.Mutex // guards what follows
	phase   string     // what is being tried
	arrived map[string][]arrival
	bytes   map[string]int64
}

func newSink() (*sink, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	s := &sink{url: "http://" + listener.Addr().String(), arrived: map[string][]arrival{}, bytes: map[string]int64{}}
	if s.udp, err = net.ListenPacket("udp", "127.0.0.1:0"); err != nil {
		_ = listener.Close()
		return nil, err
	}
	s.client = &http.Client{Timeout: 10 * time.Second, Transport: &http.Transport{
		DisableKeepAlives: true, // so that what arrives belongs to what is being tried
		DialContext: func(ctx context.Context, _, address string) (net.Conn, error) {
			if host, _, err := net.SplitHostPort(address); err == nil && net.ParseIP(host) == nil {
				s.note(arrival{name: host}, len(host))
			}
			return new(net.Dialer).DialContext(ctx, "tcp", listener.Addr().String())
		},
	}}
	s.server = &http.Server{Handler: http.HandlerFunc(s.take), ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = s.server.Serve(tap{listener, s}) }()
	go s.packets()
	return s, nil
}

func (s *sink) close() {
	_ = s.server.Close()
	_ = s.udp.Close()
}

// take keeps a request. Its bytes were counted at its connection.
func (s *sink) take(_ http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return
	}
	user, password, _ := r.BasicAuth()
	s.note(arrival{target: r.RequestURI, user: user + password, disposition: r.Header.Get("Content-Disposition"), body: string(body)}, 0)
}

func (s *sink) packets() {
	for buffer := make([]byte, 64<<10); ; {
		n, _, err := s.udp.ReadFrom(buffer)
		if err != nil {
			return
		}
		s.note(arrival{raw: string(buffer[:n])}, n)
	}
}

// note keeps what has arrived and counts its bytes.
func (s *sink) note(a arrival, bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.arrived[s.phase] = append(s.arrived[s.phase], a)
	s.bytes[s.phase] += int64(bytes)
}

// enter says what is being tried from now on; all calls of a session come one after the other.
func (s *sink) enter(phase string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.phase = phase
}

// reset forgets all and returns what there was.
func (s *sink) reset() (arrived map[string][]arrival, bytes map[string]int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	arrived, bytes = s.arrived, s.bytes
	s.phase, s.arrived, s.bytes = "", map[string][]arrival{}, map[string]int64{}
	return arrived, bytes
}

// tap counts and keeps what its connections read.
type tap struct {
	net.Listener
	sink *sink
}

func (t tap) Accept() (net.Conn, error) {
	c, err := t.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return tapped{c, t.sink}, nil
}

type tapped struct {
	net.Conn
	sink *sink
}

func (t tapped) Read(p []byte) (int, error) {
	n, err := t.Conn.Read(p)
	if n > 0 {
		t.sink.note(arrival{raw: string(p[:n])}, n)
	}
	return n, err
}
