//go:build !(linux || darwin || freebsd || netbsd || openbsd || dragonfly)

package mint

// lockDir does nothing where there is no flock: two processes that open an empty directory at
// the same moment then both make a key, and each learns of the other's at its next Reload.
func lockDir(string) (unlock func(), err error) { return func() {}, nil }
