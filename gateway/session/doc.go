// Package session remembers what outlives one request, and to whom it belongs: sessions of
// the older protocol era, questions that servers asked of clients, task handles, calls in
// flight, and the sealed state of multi-round-trip requests.
//
// Everything is bound to an owner (identity.Principal.Key), never to a token's bytes: a
// refreshed token goes on with a session, somebody else's does not, and for a stranger a
// session that exists and one that does not are the same. All tables are bounded.
//
// The package knows neither HTTP nor policy. It imports nothing of the project.
package session
