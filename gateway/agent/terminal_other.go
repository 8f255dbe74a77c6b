//go:build !linux

package agent

import (
	"errors"
	"os"
)

// Terminal is a terminal that is made for an agent; there is none on this system, since there is
// no box.
type Terminal struct{}

// IsTerminal reports whether f is a device, as terminals are.
func IsTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}

// NewTerminal fails.
func NewTerminal(_, _ *os.File) (*Terminal, error) {
	return nil, errors.New("a terminal for an agent in a box needs Linux")
}

// Agent is nil.
func (t *Terminal) Agent() *os.File { return nil }

// Started does nothing.
func (t *Terminal) Started() {}

// Close does nothing.
func (t *Terminal) Close() error { return nil }
