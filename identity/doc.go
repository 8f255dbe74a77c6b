// Package identity says who is calling: it turns the credential of a request into a
// [Principal], or into an error that says what was wrong with it.
//
// It accepts one token profile, the embedded issuer's access tokens (typ at+jwt, RFC 9068)
// with one audience and a lifetime of minutes. It does not say what the principal may do;
// that is package policy, and the two never meet: one function in package gateway decides
// what a policy sees of a principal.
//
// A token may be bound to a key or to a client certificate; then the request must prove that it
// holds it, each time anew. Verified tokens are cached, proofs never.
//
// Its rooms: jose (strict tokens and keys), pop (proof of possession), mint (issuing),
// identitytest (good and hostile tokens and proofs for tests). It imports jose, pop,
// internal/strictjson and golang-lru only.
package identity
