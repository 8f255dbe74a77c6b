// Package mint issues the gateway's access tokens and the grants that they name: it keeps the
// signing keys, signs, serves the documents by which clients find us (JWK Set, RFC 8414,
// RFC 9728) and the token, revocation and introspection endpoints, and tells an operator what a
// token is.
//
// An [Authority] is the one hand that makes and ends grants, for every door; it decides who may
// have what of the roles that its caller has vouched for, and puts each act on record before it
// takes effect. What a grant allows call by call is not decided here, but by package gateway.
//
// A token is a reference that lives for minutes. The package has no way to make one that lives
// longer than identity.MaxLifetime. It imports identity and its other rooms; commands,
// gateway/admin and gateway/config import it.
package mint
