package egress

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"syscall"
	"time"
)

const (
	// dialTime bounds resolving and connecting together.
	dialTime = 15 * time.Second
	// maxAddresses bounds how many addresses of one name are tried.
	maxAddresses = 8
)

// A Resolver turns names into addresses. [net.Resolver] is one.
type Resolver interface {
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// A DialFunc connects to an address, never to a name.
type DialFunc func(ctx context.Context, to netip.AddrPort) (net.Conn, error)

// errAddress is the reason for which an address was not connected to.
type errAddress struct {
	addr netip.AddrPort
	what string
}

func (e *errAddress) Error() string { return fmt.Sprintf("%s is %s", e.addr, e.what) }

// open resolves a, which the list allows, and connects to the first address that may be
// reached and answers.
func (p *proxy) open(ctx context.Context, a authority) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, dialTime)
	defer cancel()
	addrs := []netip.Addr{a.addr}
	if a.name != "" {
		var err error
		if addrs, err = p.resolver.LookupNetIP(ctx, "ip", a.name); err != nil {
			return nil, fmt.Errorf("resolve: %w", err)
		}
	}
	addrs = addrs[:min(len(addrs), maxAddresses)]
	failure := errors.New("the name has no address")
	for i, addr := range addrs {
		to := netip.AddrPortFrom(addr.Unmap(), a.port)
		if err := p.check(to); err != nil {
			p.log.refused(a, err.Error())
			failure = err
			continue
		}
		conn, err := p.dialOne(ctx, to, len(addrs)-i)
		if err == nil {
			return conn, nil
		}
		failure = err
	}
	return nil, failure
}

// dialOne gives an address its share of the time that is left, so that one which swallows
// packets leaves time for the next.
func (p *proxy) dialOne(ctx context.Context, to netip.AddrPort, left int) (net.Conn, error) {
	if end, ok := ctx.Deadline(); ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, time.Until(end)/time.Duration(left))
		defer cancel()
	}
	return p.dial(ctx, to)
}

// check returns an *errAddress when to may not be reached.
func (p *proxy) check(to netip.AddrPort) error {
	if p.rules.listsAddress(to) {
		return nil
	}
	if what := notPublic(to.Addr()); what != "" {
		return &errAddress{to, what}
	}
	own, err := p.interfaces()
	if err != nil {
		return fmt.Errorf("list the addresses of this machine: %w", err)
	}
	for _, a := range own {
		if n, ok := a.(*net.IPNet); ok && n.IP.Equal(to.Addr().AsSlice()) {
			// A public address of this machine leads to what listens here, the gateway itself
			// among it.
			return &errAddress{to, "of this machine"}
		}
	}
	return nil
}

// dialTCP connects by the operating system, and asks check again about the address that the
// socket is about to connect to.
func (p *proxy) dialTCP(ctx context.Context, to netip.AddrPort) (net.Conn, error) {
	d := net.Dialer{Control: func(_, address string, _ syscall.RawConn) error {
		actual, err := netip.ParseAddrPort(address)
		if err != nil {
			return fmt.Errorf("read the address to connect to: %w", err)
		}
		return p.check(netip.AddrPortFrom(actual.Addr().Unmap(), actual.Port()))
	}}
	return d.DialContext(ctx, "tcp", to.String())
}

// explain is what the server is told of a failure of open. It names no address: what a name
// resolves to out here is not for a sandbox to learn. The log has it.
func (p *proxy) explain(a authority, err error) *refusal {
	if _, ok := errors.AsType[*errAddress](err); ok {
		return &refusal{http.StatusForbidden, fmt.Sprintf("%s resolves to an address that is not public; if it is meant, add that address with port %d to egress of server %s (the gateway's log names the address)",
			a, a.port, p.name)}
	}
	if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() || errors.Is(err, context.DeadlineExceeded) {
		return &refusal{http.StatusGatewayTimeout, fmt.Sprintf("%s did not answer in time", a)}
	}
	return &refusal{http.StatusBadGateway, fmt.Sprintf("cannot connect to %s", a)}
}
