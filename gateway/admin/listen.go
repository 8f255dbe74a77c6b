package admin

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// MaxPath is how many bytes the path of a Unix socket may have: sun_path of Linux without its
// last NUL. Other systems allow a little less.
const MaxPath = 107

// Listen makes the socket at path with the given mode: 0600 in a private directory, or 0666
// where every user of the machine may come and the kernel's word about the caller decides.
// A socket that nobody listens at is removed; one at which a server answers, and a file that is
// no socket, are left alone and the error says so. Closing the listener removes the socket.
func Listen(path string, mode fs.FileMode) (*net.UnixListener, error) {
	if len(path) > MaxPath {
		return nil, fmt.Errorf("socket %s: the path has %d bytes and a socket's may have %d; name a shorter one (the admin socket's is below state, SALLYPORT_STATE)", path, len(path), MaxPath)
	}
	if err := removeDead(path); err != nil {
		return nil, err
	}
	ln, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("admin socket %s: %w", path, inner(err))
	}
	if err := os.Chmod(path, mode); err != nil {
		return nil, errors.Join(fmt.Errorf("admin socket: %w", err), ln.Close())
	}
	return ln, nil
}

func removeDead(path string) error {
	info, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("admin socket: %w", err)
	}
	if info.Mode().Type() != fs.ModeSocket {
		return fmt.Errorf("admin socket %s: a file that is no socket is in its place; move it away", path)
	}
	conn, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		return errors.Join(fmt.Errorf("admin socket %s: another gateway listens there; stop it, or use another state directory", path), conn.Close())
	case !errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("admin socket %s: cannot tell whether somebody listens there: %w", path, inner(err))
	}
	if err := os.Remove(path); err != nil {
		return fmt.Errorf("remove the dead admin socket: %w", err)
	}
	return nil
}

// inner drops the address that package net puts around an error: the caller names it.
func inner(err error) error {
	if op, ok := errors.AsType[*net.OpError](err); ok {
		return op.Err
	}
	return err
}
