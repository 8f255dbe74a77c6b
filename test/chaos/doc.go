// Package chaos runs the real binary as a process and lets things around it go wrong: servers that
// break the protocol, clients that never end, disks that are full, kills at any moment, policies
// that change under load. `go test ./test/chaos` is the short form; `make chaos` and `make soak` are
// the long ones. docs/faults.md says in a user's words what each test shows.
//
// It imports nothing of the gateway's inside: what it knows it knows from the wire, the commands and
// the files. Nothing imports it.
package chaos
