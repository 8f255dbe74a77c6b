// Package jose reads and verifies signed tokens (compact JWS, RFC 7515) and the keys that
// sign them (JWK, RFC 7517), strictly.
//
// golang-jwt computes the signatures; by itself it also accepts duplicate and case-folded
// members, unknown critical headers, embedded keys and tokens of any type, so nothing reaches
// it that has not passed the parser here. The key decides the algorithm, never the token. Keys
// and tokens of other issuers may be RSA; [Token.Verify], which is for ours, takes none of those.
//
// The package knows nothing of claims or of time: package identity does. Only identity and
// its rooms import it. It imports internal/strictjson and golang-jwt.
package jose
