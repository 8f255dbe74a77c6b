// Package federate verifies the tokens of others: what an OpenID Connect issuer (GitHub Actions,
// Kubernetes, any identity provider), a SPIFFE trust domain or a client with a key of its own
// signs. Each is judged by the rules of the configuration and becomes an [Identity], which the
// token endpoint may exchange for a grant and a token of this gateway.
//
// It accepts nothing at the gateway's resources: there a token of ours is the only one. It makes
// no token, keeps no grant and knows no policy. The keys of an issuer verify tokens of that issuer
// alone; they are never pooled.
//
// It imports identity, identity/jose and internal/strictjson. identity/mint and gateway/config
// import it.
package federate
