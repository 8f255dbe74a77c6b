// Package upstream carries requests to MCP servers: over HTTP, and to programs over their standard
// input and output.
//
// An [HTTP] keeps connections open between requests. A request is written and its reply read
// by the goroutine that asks: there is no goroutine per connection, and no buffer between the
// two that another caller's bytes could be in. The worst fault this package could have is to
// give one caller the answer of another, so a connection is used again only when the reply on
// it was read to its end, nothing followed it, and its socket is silent when it is taken.
//
// What goes out is built from nothing: the request line and Host of the configured URL, the
// gateway's own credential for that server (fetched when the request is sent), and the headers of the [gateway.Outbound]. Nothing
// is taken from the environment, so no proxy is. What comes in is read by a parser that takes
// less than net/http does: header lines end in CRLF and are not folded, a length is given once
// and never beside a transfer coding, no content coding is accepted, redirects are not
// followed and upgrades are refused.
//
// One permit costs one request. A request is sent again in two cases only: when a connection
// that had been idle broke before a byte of the request was written, or when it broke before a
// byte of the reply was read and the request is idempotent.
//
// A [Stdio] runs programs and answers as a server behind HTTP would. What a program writes is a
// line for each message, and lines are judged one by one:
//
//   - One that answers a call goes to that call alone, under the id that the caller used. Ids and
//     progress tokens are replaced by ours on the way in, so two callers may use the same.
//   - One that is no message ends the program if it has answered nothing yet; later it fails the
//     call that it must belong to, where there is only one, and is logged. The 101st ends it.
//   - One over the limit fails the call that its first or last bytes name.
//   - A question goes to the client whose call is under way, or to the only one that listens. Where
//     there are several, or the process is shared by principals, the program hears that there is
//     nobody to ask. So it is with notifications that name neither a call nor a subscription.
//
// A process speaks one of the protocol's eras, since a program that speaks both may take its first
// message for the choice. It ends when nobody has used it for a time, when three calls in a row
// hear nothing at all, or when it does not read its input; and is started again, after a pause
// that grows, when somebody asks for it.
//
// Out of scope: HTTP/2 (it costs more than HTTP/1.1 in Go and shares one connection among
// callers), and proxies.
//
// The package imports gateway, which defines the interface it implements. It may be imported
// by gateway/config and cmd/sallyport.
package upstream
