// Package upstream carries requests to MCP servers over HTTP.
//
// An [HTTP] keeps connections open between requests. A request is written and its reply read
// by the goroutine that asks: there is no goroutine per connection, and no buffer between the
// two that another caller's bytes could be in. The worst fault this package could have is to
// give one caller the answer of another, so a connection is used again only when the reply on
// it was read to its end, nothing followed it, and its socket is silent when it is taken.
//
// What goes out is built from nothing: the request line and Host of the configured URL, the
// gateway's own credential for that server, and the headers of the [gateway.Outbound]. Nothing
// is taken from the environment, so no proxy is. What comes in is read by a parser that takes
// less than net/http does: header lines end in CRLF and are not folded, a length is given once
// and never beside a transfer coding, no content coding is accepted, redirects are not
// followed and upgrades are refused.
//
// One permit costs one request. A request is sent again in two cases only: when a connection
// that had been idle broke before a byte of the request was written, or when it broke before a
// byte of the reply was read and the request is idempotent.
//
// Out of scope: HTTP/2 (it costs more than HTTP/1.1 in Go and shares one connection among
// callers), proxies, and servers that speak over stdio.
//
// The package imports gateway, which defines the interface it implements. It may be imported
// by gateway/config and cmd/sallyport.
package upstream
