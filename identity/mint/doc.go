// Package mint issues the gateway's access tokens: it keeps the signing keys, signs, serves
// the documents by which clients find us (JWK Set, RFC 8414, RFC 9728), and tells an operator
// what a token is.
//
// A token is a reference that lives for minutes. The package has no way to make one that
// lives longer than identity.MaxLifetime. It imports identity and its other rooms; commands
// and gateway/config import it.
package mint
