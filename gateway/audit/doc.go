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
// The lines are the leaves of a Merkle tree, whose root is signed at most a second after a record:
// whoever keeps such a checkpoint can prove later that no line before it was changed, removed,
// added or moved. What keeps the tree reads the segments behind the writer, so a decision waits
// for its own line and for nothing of the tree.
//
// Argument values are not in the record unless an operator or a policy asks; a keyed digest
// is. The package imports the standard library, x/sys/unix and x/mod/sumdb only, and nothing of
// Sallyport; any package may import it.
package audit
