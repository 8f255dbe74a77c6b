//go:build !linux

package hangup

import "net"

type set struct{}

func (w *Watcher) add(net.Conn, func()) (forget func()) { return nil }
