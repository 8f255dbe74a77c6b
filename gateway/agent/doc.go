// Package agent is what `run` puts around an agent, and what it knows of the agent's own files.
//
// A [Box] turns what a person asked for into a sandbox that an agent can work in: its working
// folder, its own configuration, the hosts that it may reach, and a way to the gateway whose key
// stays outside. A [Measurer] hashes the files that make an agent what it is, and [Manifests]
// keeps the measurements that an operator has approved, signed. A [Relay] carries what speaks
// inside to the gateway.
//
// It does not isolate anything itself, which gateway/sandbox does; it makes no grant and holds no
// token. What a process says of its own files is a claim: a digest is worth what the process is
// that measured them, and with a box that is the one outside.
//
// The package may be imported by gateway/config and cmd/sallyport.
package agent
