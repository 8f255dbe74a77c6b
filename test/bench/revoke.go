package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"time"

	"sallyport/gateway/admin"
	"sallyport/identity/grant"
)

type revokeSpec struct {
	Addr, Socket, Role string
	Grants, Streams    int // streams of each grant
	PID                int // of the gateway
}

// delays are from the request to revoke to the end of a stream, in milliseconds.
type delays struct {
	P50  float64 `json:"p50_ms"`
	P99  float64 `json:"p99_ms"`
	Last float64 `json:"last_ms"`
	CPU  float64 `json:"cpu_us"` // of the gateway for each stream, in ticks of 10 ms for all of them
}

type revokeResult struct {
	One delays // of the first grant, while all streams are open
	All delays // of all others; zero where there are none
}

// openers is how many streams are opened at the same time.
const openers = 16

// revokeMain opens the streams, revokes one grant and then all, and prints how long the streams
// took to end.
func revokeMain([]string) error {
	var spec revokeSpec
	if err := json.NewDecoder(os.Stdin).Decode(&spec); err != nil {
		return fmt.Errorf("read what to revoke: %w", err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
	defer cancel()
	client := admin.Dial(spec.Socket)
	streams := make([][]*heldStream, spec.Grants)
	ids := make([]string, spec.Grants)
	for i := range streams {
		id, token, err := newGrant(ctx, client, spec.Role, "")
		if err != nil {
			return err
		}
		ids[i] = id
		if streams[i], err = openStreams(spec, token); err != nil {
			return err
		}
	}
	one, err := spec.revoked(ctx, client, grant.Filter{ID: ids[0]}, streams[0])
	if err != nil {
		return err
	}
	r := revokeResult{One: one}
	if rest := slices.Concat(streams[1:]...); len(rest) > 0 {
		if r.All, err = spec.revoked(ctx, client, grant.Filter{All: true}, rest); err != nil {
			return err
		}
	}
	return json.NewEncoder(os.Stdout).Encode(r)
}

// revoked ends what f matches and waits until all of the streams are at their end.
func (spec revokeSpec) revoked(ctx context.Context, c *admin.Client, f grant.Filter, streams []*heldStream) (delays, error) {
	for i, s := range streams {
		select {
		case <-s.done:
			return delays{}, fmt.Errorf("stream %d had ended before anything was revoked: %w", i, s.err)
		default:
		}
	}
	before, _, err := stat(spec.PID)
	if err != nil {
		return delays{}, err
	}
	began := time.Now()
	if _, err := c.Revoke(ctx, f, grant.Revoked, "bench"); err != nil {
		return delays{}, err
	}
	took := make([]time.Duration, 0, len(streams))
	for _, s := range streams {
		select {
		case <-s.done:
			took = append(took, s.ended.Sub(began))
		case <-ctx.Done():
			return delays{}, errors.New("a stream of a revoked grant did not end")
		}
	}
	after, _, err := stat(spec.PID)
	slices.Sort(took)
	return delays{
		P50: quantile(took, 0.50) / 1e3, P99: quantile(took, 0.99) / 1e3, Last: took[len(took)-1].Seconds() * 1e3,
		CPU: float64((after - before).Microseconds()) / float64(len(took)),
	}, err
}

// heldStream is an open stream that somebody reads to its end.
type heldStream struct {
	done  chan struct{} // closed when both below are set
	ended time.Time
	err   error // how it ended; nil: as an answer ends
}

// openStreams opens the streams of one grant.
func openStreams(spec revokeSpec, token string) ([]*heldStream, error) {
	streams := make([]*heldStream, spec.Streams)
	errs := make([]error, openers)
	var wg sync.WaitGroup
	for w := range openers {
		wg.Go(func() {
			for i := w; i < len(streams) && errs[w] == nil; i += openers {
				streams[i], errs[w] = openStream(spec.Addr, token, i)
			}
		})
	}
	wg.Wait()
	return streams, errors.Join(errs...)
}

func openStream(addr, token string, n int) (*heldStream, error) {
	conn, err := net.DialTimeout("tcp", addr, 10*time.Second)
	if err != nil {
		return nil, err
	}
	body := fmt.Sprintf(`%s%d,"method":"subscriptions/listen","params":{%s,"notifications":{"toolsListChanged":true}}}`, idPrefix, firstID+n, meta)
	if _, err := fmt.Fprintf(conn, "POST /mcp HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\nContent-Type: application/json\r\nAccept: application/json, text/event-stream\r\n"+
		"MCP-Protocol-Version: 2026-07-28\r\nMcp-Method: subscriptions/listen\r\nContent-Length: %d\r\n\r\n%s", addr, token, len(body), body); err != nil {
		return nil, err
	}
	in := bufio.NewReaderSize(conn, 1<<10) // small: there are thousands
	h, err := readHead(in)
	if err != nil {
		return nil, err
	}
	if h.status != 200 || !h.chunked {
		text, _ := io.ReadAll(io.LimitReader(in, int64(max(h.length, 0))))
		return nil, fmt.Errorf("open a stream: status %d: %.200s", h.status, text)
	}
	s := &heldStream{done: make(chan struct{})}
	go func() {
		defer conn.Close()
		c := caller{conn: conn, in: in}
		s.err = c.readChunks()
		s.ended = time.Now()
		close(s.done)
	}()
	return s, nil
}
