package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"time"
)

// Relay carries what runs beside the agent to the gateway: each connection is one client that
// speaks lines. What it says first may be the endpoint that it wants, as [Join] writes it.
type Relay struct {
	// Serve carries one client to an endpoint of the gateway, "" where it named none, until
	// its input ends. It says itself what goes wrong.
	Serve func(ctx context.Context, endpoint string, in io.Reader, out io.Writer)
	Log   *slog.Logger
}

const (
	greeting    = "sallyport connect "
	maxGreeting = 4 << 10 // bytes
	maxClients  = 64      // of one relay at a time
)

// Run accepts clients at l until ctx ends or l is closed, closes l, and waits for all of them.
func (r *Relay) Run(ctx context.Context, l net.Listener) error {
	ctx, cancel := context.WithCancel(ctx)
	defer context.AfterFunc(ctx, func() { _ = l.Close() })()
	var clients sync.WaitGroup
	defer clients.Wait()
	defer cancel()
	places := make(chan struct{}, maxClients)
	for {
		conn, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return nil
		case err != nil: // too many open files, and the like: they pass
			r.Log.Warn("client of the relay not accepted", slog.Any("error", err))
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(100 * time.Millisecond):
			}
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			r.Log.Warn("client of the relay not accepted: too many are connected", slog.Int("most", maxClients))
			_ = conn.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-places }()
			defer func() { _ = conn.Close() }()
			defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
			in := bufio.NewReaderSize(conn, maxGreeting)
			r.Serve(ctx, greeted(in), in, conn)
		})
	}
}

// greeted returns the endpoint that a client asks for first, and "" where its first line is a
// message, which stays to be read.
func greeted(in *bufio.Reader) string {
	for i := range greeting { // a message may be shorter than a greeting
		if head, err := in.Peek(i + 1); err != nil || head[i] != greeting[i] {
			return ""
		}
	}
	line, err := in.ReadSlice('\n')
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.TrimPrefix(string(line), greeting))
}

// Join is the client's side: it connects a stdio client to the relay at address, which is a path
// or "tcp:HOST:PORT", and returns when either has ended.
func Join(ctx context.Context, address, endpoint string, in io.Reader, out io.Writer) error {
	network, at := "unix", address
	if rest, ok := strings.CutPrefix(address, "tcp:"); ok {
		network, at = "tcp", rest
	}
	conn, err := new(net.Dialer).DialContext(ctx, network, at)
	if err != nil {
		return fmt.Errorf("reach `sallyport run`, inside which this runs: %w; has it ended?", err)
	}
	defer func() { _ = conn.Close() }()
	defer context.AfterFunc(ctx, func() { _ = conn.Close() })()
	if _, err := io.WriteString(conn, greeting+endpoint+"\n"); err != nil {
		return fmt.Errorf("greet `sallyport run`: %w", err)
	}
	go func() {
		_, _ = io.Copy(conn, in) // its end is what the relay hears
		if c, ok := conn.(interface{ CloseWrite() error }); ok {
			_ = c.CloseWrite()
		}
	}()
	if _, err := io.Copy(out, conn); err != nil && ctx.Err() == nil {
		return fmt.Errorf("relay of `sallyport run`: %w", err)
	}
	return nil
}
