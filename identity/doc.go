// Package identity says who is calling: it turns the credential of a request into a
// [Principal], or into an error that says what was wrong with it.
//
// It accepts one token profile, the embedded issuer's access tokens (typ at+jwt, RFC 9068)
// with one audience and a lifetime of minutes. It does not say what the principal may do;
// that is package policy, and the two never meet: one function in package gateway decides
// what a policy sees of a principal.
//
// Its rooms: jose (strict tokens and keys), mint (issuing), identitytest (good and hostile
// tokens for tests). It imports them, internal/strictjson and golang-lru only.
package identity
