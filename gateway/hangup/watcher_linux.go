package hangup

import (
	"errors"
	"net"
	"os"
	"syscall"
)

// set is a set of connections that the kernel watches (epoll). The runtime's poller watches the set in
// turn, so that waiting takes no thread.
type set struct {
	epoll int // descriptor of file; used under the watcher's lock alone, which closes file
	file  *os.File
	gone  map[uint64]func() // by number, which is never used again; descriptors are
	last  uint64
}

func newSet() (*set, error) {
	fd, err := syscall.EpollCreate1(syscall.EPOLL_CLOEXEC)
	if err != nil {
		return nil, err
	}
	if err := syscall.SetNonblock(fd, true); err != nil { // or the runtime would wait for it in a thread
		return nil, errors.Join(err, syscall.Close(fd))
	}
	return &set{epoll: fd, file: os.NewFile(uintptr(fd), "epoll"), gone: map[uint64]func(){}}, nil
}

// add returns nil where the kernel cannot watch the connection.
func (w *Watcher) add(conn net.Conn, gone func()) (forget func()) {
	if over, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = over.NetConn()
	}
	has, ok := conn.(syscall.Conn)
	if !ok {
		return nil
	}
	socket, err := has.SyscallConn()
	if err != nil {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	s := w.set
	if s == nil {
		if s, err = newSet(); err != nil {
			return nil
		}
		w.set = s
		go w.wait(s)
	}
	s.last++
	number := s.last
	s.gone[number] = gone
	// Bytes that nobody wants are no event; EPOLLHUP and EPOLLERR come unasked. One event is enough.
	event := syscall.EpollEvent{Events: syscall.EPOLLRDHUP | syscall.EPOLLONESHOT, Fd: int32(uint32(number)), Pad: int32(number >> 32)}
	var refused error
	err = socket.Control(func(fd uintptr) { refused = syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_ADD, int(fd), &event) })
	if err != nil || refused != nil {
		w.drop(s, number)
		return nil
	}
	return func() { w.forget(s, number, socket) }
}

func (w *Watcher) forget(s *set, number uint64, socket syscall.RawConn) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if s != w.set || s.gone[number] == nil {
		return // the set is closed, or it was forgotten before
	}
	// Where the socket is closed already the kernel has done it.
	_ = socket.Control(func(fd uintptr) { _ = syscall.EpollCtl(s.epoll, syscall.EPOLL_CTL_DEL, int(fd), nil) })
	w.drop(s, number)
}

// drop takes a connection out, and closes a set without any. The lock is held.
func (w *Watcher) drop(s *set, number uint64) {
	delete(s.gone, number)
	if len(s.gone) == 0 {
		w.set = nil
		_ = s.file.Close() // nothing was written; wait returns
	}
}

// wait calls gone for whoever hangs up, until the set is closed.
func (w *Watcher) wait(s *set) {
	raw, err := s.file.SyscallConn()
	events := make([]syscall.EpollEvent, 64)
	for err == nil {
		n := 0
		var failed error
		err = raw.Read(func(fd uintptr) bool {
			n, failed = syscall.EpollWait(int(fd), events, 0)
			return n > 0 || failed != nil && !errors.Is(failed, syscall.EINTR)
		})
		if failed != nil {
			err = failed
		}
		for _, e := range events[:max(n, 0)] {
			w.mu.Lock()
			gone := s.gone[uint64(uint32(e.Fd))|uint64(uint32(e.Pad))<<32]
			w.mu.Unlock()
			if gone != nil {
				gone()
			}
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if s == w.set { // the kernel tells no more: better to end connections than to hold those of nobody
		w.set = nil
		_ = s.file.Close() // as above
		for _, gone := range s.gone {
			gone()
		}
	}
}
