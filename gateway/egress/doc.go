// Package egress is the one way out of a sandbox: an HTTP proxy that reaches what a list
// names and nothing else.
//
// A sandboxed server has no network. It has a listener, and behind it stands [Serve], which
// runs in the gateway, outside. It understands CONNECT (for https and anything else) and
// requests of plain http in absolute form. Names are resolved out here, after the list has
// allowed them, so nothing inside ever asks a DNS server.
//
// A name on the list is not enough. Each address that it resolves to must be public, and is
// looked at again at the moment of dialling, on the socket that connects. An address that is
// private, of this machine, of the link (where cloud metadata lives), or that carries such an
// address inside an IPv6 one, is reached only if the list holds that very address and port.
//
// What it cannot do: see into a tunnel. What passes in one is a matter between the server and
// the host that the list names; where several hosts share one address (a content network),
// a server may ask that address for a host that is not listed. It counts no bytes either: a
// server may send to a listed host whatever it can read.
//
// The package knows addresses and nothing of MCP. It imports the standard library alone, and
// may be imported by gateway/upstream, gateway/config and cmd/sallyport.
package egress
