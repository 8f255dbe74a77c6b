// Package audit is the record of what was asked, decided and done.
//
// A decision that lets a call go upstream is on disk before the upstream sees a byte; where it
// cannot be written, the call is refused. Refusals are recorded as well; those of callers who
// are nobody are counted and sampled, so that a flood neither waits for the disk nor fills it.
//
// Argument values are not in the record unless an operator or a policy asks; a keyed digest
// is. The package imports the standard library only.
package audit
