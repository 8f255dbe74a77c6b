package admin

import (
	"context"
	"log/slog"
	"net"
	"sync"
)

// maxConns is how many connections one user may have open, so that none can keep the others
// out. A held grant is one.
const maxConns = 128

// door accepts connections, notes who each is from, and bounds them by user.
type door struct {
	*net.UnixListener
	peer func(*net.UnixConn) (peer, error)
	log  *slog.Logger

	mu   sync.Mutex // guards open
	open map[uint32]int
}

// Accept returns the next connection of a user whom the kernel names and who has not too many.
func (d *door) Accept() (net.Conn, error) {
	for {
		c, err := d.AcceptUnix()
		if err != nil {
			return nil, err
		}
		p, err := d.peer(c)
		if err != nil {
			d.log.Warn("admin socket: the kernel does not say who connects", slog.Any("err", err))
			_ = c.Close()
			continue
		}
		if !d.enter(p.UID) {
			d.log.Warn("admin socket: a user has too many connections", slog.Uint64("uid", uint64(p.UID)), slog.Int("pid", int(p.PID)))
			_ = c.Close()
			continue
		}
		return &guest{UnixConn: c, peer: p, leave: sync.OnceFunc(func() { d.leave(p.UID) })}, nil
	}
}

func (d *door) enter(uid uint32) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[uid] >= maxConns {
		return false
	}
	d.open[uid]++
	return true
}

func (d *door) leave(uid uint32) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.open[uid]--; d.open[uid] == 0 {
		delete(d.open, uid)
	}
}

// guest is a connection and who is at its other end.
type guest struct {
	*net.UnixConn
	peer  peer
	leave func()
}

// Close closes the connection and gives its place free.
func (g *guest) Close() error {
	g.leave()
	return g.UnixConn.Close()
}

type peerKey struct{}

// peerContext carries who a connection is from to the requests on it; net/http has no other
// way there.
func peerContext(ctx context.Context, c net.Conn) context.Context {
	g, ok := c.(*guest)
	if !ok {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, g.peer)
}

func peerOf(ctx context.Context) (peer, bool) {
	p, ok := ctx.Value(peerKey{}).(peer)
	return p, ok
}
