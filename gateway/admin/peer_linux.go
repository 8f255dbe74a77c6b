package admin

import (
	"net"

	"golang.org/x/sys/unix"
)

// kernelPeer asks the kernel who connected. The answer is as of connect(2), so it does not
// change when the caller changes his user or passes the connection on.
func kernelPeer(c *net.UnixConn) (peer, error) {
	return credentials(c, func(fd int) (peer, error) {
		cred, err := unix.GetsockoptUcred(fd, unix.SOL_SOCKET, unix.SO_PEERCRED)
		if err != nil {
			return peer{}, err
		}
		return peer{UID: cred.Uid, PID: cred.Pid}, nil
	})
}
