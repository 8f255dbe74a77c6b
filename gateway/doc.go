// Package gateway is the enforcement point: the one straight line that every request takes
// from the socket to an MCP server and back.
//
// call.go reads like the list in docs/architecture.md: edge, authenticate, decode, resolve,
// check input, authorize, forward; relay.go is the way back. Only authorize and its twin for
// sessions make a [Permit]; only a Permit carries a client's bytes upstream, once. What the
// gateway asks upstreams for itself is an [Errand]: another type, with a closed list of methods.
//
// The package defines the interfaces of what varies between deployments ([Verifier],
// [Decider], [Recorder], [Upstream]) and implements none of them. It may be imported by the
// rooms that implement or wire them; it imports identity, policy and the rooms it is built of.
package gateway
