// Package shim is the client's side of the gateway: it carries a client that speaks
// newline-delimited JSON (an MCP client's stdio, or a Unix socket) to the gateway's HTTP
// endpoint, in both protocol eras, holding the key that its tokens are bound to.
//
// A [Shim] keeps one token and one key for everybody it serves. Every request has a proof of
// its own; the token is renewed before it ends; where the grant behind it has ended, each
// request is answered with words that a model can act on. Where tokens come from is a
// [Source]; [NewExchange] makes those that trade an outside credential at the gateway's token
// endpoint.
//
// It decides nothing about who may do what, and does not serve MCP itself: messages pass as the
// bytes they came in, line ends between tokens aside. It imports internal/strictjson,
// gateway/wire and identity; commands import it.
package shim
