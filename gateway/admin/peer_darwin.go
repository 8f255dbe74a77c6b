package admin

import (
	"net"

	"golang.org/x/sys/unix"
)

// kernelPeer asks the kernel who connected.
func kernelPeer(c *net.UnixConn) (peer, error) {
	return credentials(c, func(fd int) (peer, error) {
		cred, err := unix.GetsockoptXucred(fd, unix.SOL_LOCAL, unix.LOCAL_PEERCRED)
		if err != nil {
			return peer{}, err
		}
		return peer{UID: cred.Uid}, nil
	})
}
