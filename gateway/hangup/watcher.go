package hangup

import (
	"net"
	"sync"
)

// Watcher watches any number of connections. The zero value is ready; while it has none it holds
// nothing, neither a descriptor nor a goroutine.
type Watcher struct {
	mu  sync.Mutex // guards set and what it holds
	set *set       // nil while nothing is watched
}

// Watch calls gone when the other side of conn has ended its half of the connection, or the connection
// is broken, also where that was so before. gone must not block; it may be called once more than the
// end of the connection asks for, and after forget. forget is called when conn is about to be closed,
// and may be called more than once.
func (w *Watcher) Watch(conn net.Conn, gone func()) (forget func()) {
	if forget := w.add(conn, gone); forget != nil {
		return forget
	}
	go func() {
		room := make([]byte, 64) // small: there may be thousands
		for {
			if _, err := conn.Read(room); err != nil { // the end of conn ends it as well
				gone()
				return
			}
		}
	}()
	return func() {}
}
