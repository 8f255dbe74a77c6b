// Package pop says whether whoever sends a request holds the key that a token is bound to:
// by a DPoP proof (RFC 9449), which [Checker] checks and [Key] makes, or by the certificate of
// the connection (RFC 8705), whose thumbprint [X5T] returns.
//
// A proof is worth one request: it names the method, the URL and the token, carries a nonce
// that this process gave out in the last two minutes, and is taken once. A checker that cannot
// remember another proof refuses it; it never forgets one that could still be used.
//
// The package does not know what a token says or whether it is good: package identity does.
// Package identity and its rooms import it, and gateway/shim for the client's side. It imports
// identity/jose and internal/strictjson.
package pop
