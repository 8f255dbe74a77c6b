// Package identitytest makes tokens for tests: good ones, and each kind of bad one. It is an
// issuer in the process, with a real key and the real verifier. Only tests import it.
package identitytest
