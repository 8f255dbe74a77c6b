// Package audit is the record of what was asked, decided and done.
//
// A decision that lets a call go upstream is on disk before the upstream sees a byte; where it
// cannot be written, the call is refused. Refusals are recorded as well; those of callers who
// are nobody are counted and sampled, so that a flood neither waits for the disk nor fills it.
//
// Numbers rise by one from line to line. A gap says that a write failed: the numbers in it may
// stand in lines that were acknowledged to nobody, and the record of phase repair that follows
// the gap names them. A number that was acknowledged is never given again.
//
// Argument values are not in the record unless an operator or a policy asks; a keyed digest
// is. The package imports the standard library and x/sys/unix only, and nothing of Sallyport;
// any package may import it.
package audit
