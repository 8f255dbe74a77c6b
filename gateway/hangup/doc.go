// Package hangup tells when the other side of a connection hangs up, without a goroutine and a buffer
// for each connection: a stream that has nothing to say is held by the thousand.
//
// It reads nothing of what the other side sends and writes nothing. On Linux the kernel tells of all
// connections at once; elsewhere, and where the kernel cannot, a goroutine reads and throws away.
//
// It imports nothing of the project and may be imported by anybody.
package hangup
