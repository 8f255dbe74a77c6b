package shim

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// maxClients bounds the clients of one listener.
const maxClients = 256

func (s *Shim) serveListener(ctx context.Context, ln net.Listener) error {
	defer context.AfterFunc(ctx, func() { _ = ln.Close() })() // ends Accept; closed below otherwise
	defer func() { _ = ln.Close() }()
	var clients sync.WaitGroup
	defer clients.Wait()
	places := make(chan struct{}, maxClients)
	for {
		conn, err := ln.Accept()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				_ = conn.Close()
			}
			return nil
		case errors.Is(err, net.ErrClosed):
			return fmt.Errorf("accept clients: %w", err)
		case err != nil: // too many open files, and the like: they pass
			s.log.Warn("client not accepted", "error", err)
			wait(ctx, time.Second)
			continue
		}
		select {
		case places <- struct{}{}:
		default:
			s.log.Warn("client not accepted", "error", "too many are connected", "most", maxClients)
			_ = conn.Close()
			continue
		}
		clients.Go(func() {
			defer func() { <-places }()
			defer func() { _ = conn.Close() }()
			_ = s.Serve(ctx, conn, conn) // it has logged what went wrong
		})
	}
}

// wait returns after d, or when ctx ends.
func wait(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}
