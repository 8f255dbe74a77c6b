package agent_test

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/gateway/agent"
)

// relayed starts a relay that answers with the endpoint and what it heard.
func relayed(t *testing.T, network, address string) net.Listener {
	t.Helper()
	l, err := net.Listen(network, address)
	if err != nil {
		t.Fatal(err)
	}
	r := &agent.Relay{Log: slog.New(slog.DiscardHandler), Serve: func(_ context.Context, endpoint string, in io.Reader, out io.Writer) {
		heard, _ := io.ReadAll(in)
		_, _ = io.WriteString(out, endpoint+"|"+string(heard))
	}}
	ended := make(chan struct{})
	go func() { _ = r.Run(t.Context(), l); close(ended) }()
	t.Cleanup(func() { _ = l.Close(); <-ended })
	return l
}

func TestJoinCarriesAClientToTheEndpointThatItNames(t *testing.T) {
	unix := relayed(t, "unix", filepath.Join(t.TempDir(), "s")).Addr().String()
	tcp := "tcp:" + relayed(t, "tcp", "127.0.0.1:0").Addr().String()
	for _, address := range []string{unix, tcp} {
		var out bytes.Buffer
		if err := agent.Join(t.Context(), address, "http://gw/mcp/files", strings.NewReader("{}\n"), &out); err != nil {
			t.Fatal(err)
		}
		if want := "http://gw/mcp/files|{}\n"; out.String() != want {
			t.Errorf("%s: %q, want %q", address, out.String(), want)
		}
	}
}

func TestAClientThatNamesNoEndpointLosesNoByte(t *testing.T) {
	address := relayed(t, "tcp", "127.0.0.1:0").Addr().String()
	for _, said := range []string{"", "{\"jsonrpc\":\"2.0\"}\n", "sally"} {
		conn, err := net.Dial("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(conn, said)
		_ = conn.(*net.TCPConn).CloseWrite()
		got, _ := io.ReadAll(conn)
		_ = conn.Close()
		if string(got) != "|"+said {
			t.Errorf("said %q, the relay heard %q", said, got)
		}
	}
}

func TestAShortMessageIsNotWaitedFor(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	r := &agent.Relay{Log: slog.New(slog.DiscardHandler), Serve: func(_ context.Context, _ string, in io.Reader, out io.Writer) {
		_, _ = io.CopyN(out, in, 3)
	}}
	ended := make(chan struct{})
	go func() { _ = r.Run(t.Context(), l); close(ended) }()
	defer func() { _ = l.Close(); <-ended }()
	conn, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_, _ = io.WriteString(conn, "{}\n")
	if got, err := io.ReadAll(conn); string(got) != "{}\n" { // while the client says no more, and does not hang up
		t.Errorf("%q, %v", got, err)
	}
}

func TestARunThatHasEndedIsSaid(t *testing.T) {
	err := agent.Join(t.Context(), filepath.Join(t.TempDir(), "gone"), "", strings.NewReader(""), io.Discard)
	if err == nil || !strings.Contains(err.Error(), "reach `sallyport run`, inside which this runs") || !strings.Contains(err.Error(), "has it ended?") {
		t.Errorf("error %v", err)
	}
}
