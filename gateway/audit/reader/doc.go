// Package reader reads the record of a gateway, also while that writes it and on a machine that
// has nothing but the directory.
//
// It takes no lock and changes nothing. What it cannot read it says, with file and line, and goes
// on: a torn end, a line that is no record, a segment that was moved aside. What a newer version
// has written is kept whole and named, never taken for something else.
//
// It proves nothing: whether lines are as they were written is answered by the Merkle tree.
// Commands and tests import it; nothing on the way of a call does.
package reader
