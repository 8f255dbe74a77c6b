// Package freeport finds addresses for programs under test, which listen some time after their
// address was chosen.
//
// Only tests import this package.
package freeport

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
)

// Ports are taken from below what kernels give to who asks for any port, so that no connection and no
// other listener gets one by chance while its program starts, or starts again.
const first, many = 20000, 10000

// Reserve returns an address of the loopback at which nobody listens, and which no other test is given
// until release is called. The mark that others see is a socket of the other protocol, UDP, at the same
// port: it ends with the process at the latest.
func Reserve() (address string, release func(), err error) {
	for range 1000 {
		address = fmt.Sprintf("127.0.0.1:%d", first+rand.IntN(many))
		mark, failed := net.ListenPacket("udp", address)
		if failed != nil {
			err = failed
			continue
		}
		l, failed := net.Listen("tcp", address)
		if failed != nil {
			err = errors.Join(failed, mark.Close())
			continue
		}
		if err = l.Close(); err != nil {
			return "", nil, errors.Join(err, mark.Close())
		}
		return address, func() { _ = mark.Close() }, nil
	}
	return "", nil, fmt.Errorf("find a free port: %w", err)
}
