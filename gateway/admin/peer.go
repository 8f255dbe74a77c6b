package admin

import (
	"net"
	"os/user"
	"strconv"
)

// peer is who the kernel says is at the other end of a connection.
type peer struct {
	UID uint32
	PID int32 // a hint for the log alone: the process may be gone, and another have its number
}

// username names a user of this machine, also one that no list of users has.
func username(uid uint32) string {
	id := strconv.FormatUint(uint64(uid), 10)
	if u, err := user.LookupId(id); err == nil && u.Username != "" {
		return u.Username
	}
	return "uid-" + id
}

// credentials runs ask with the connection's descriptor.
func credentials(c *net.UnixConn, ask func(fd int) (peer, error)) (peer, error) {
	raw, err := c.SyscallConn()
	if err != nil {
		return peer{}, err
	}
	var p peer
	var asked error
	if err := raw.Control(func(fd uintptr) { p, asked = ask(int(fd)) }); err != nil {
		return peer{}, err
	}
	return p, asked
}
