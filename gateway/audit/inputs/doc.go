// Package inputs keeps what a policy was asked in the record of its decision, so that it can be
// asked again: in clear, or sealed for the holders of age identities, which the gateway is not.
//
// Sealed means: a data key of 32 random bytes, made at each start and never written but wrapped by
// age (X25519) in a record of phase `key`; each input sealed with it by AES-256-GCM, bound to the id
// of its record. Whoever has the disk has nothing; whoever has an identity has all inputs of the
// segments that he has.
//
// The package does not decide what is worth keeping, masks nothing and writes no file. It may be
// imported by gateway/config and by commands; the line knows it as an interface.
package inputs
