package audit

import (
	"crypto/sha256"
	"hash"
	"math/bits"

	"golang.org/x/mod/sumdb/tlog"
)

// edge is the right edge of a tree: what is needed of it to add a leaf and to know the root. The
// zero edge is that of the tree without leaves.
type edge struct {
	size  int64
	nodes []tlog.Hash // roots of the complete subtrees, from the left
}

// add adds a leaf, and appends to out the hashes that the tree has more than before, in the order
// of [tlog.StoredHashIndex].
func (e *edge) add(leaf tlog.Hash, out []byte) []byte {
	h := leaf
	out = append(out, h[:]...)
	for n := e.size; n&1 == 1; n >>= 1 {
		last := len(e.nodes) - 1
		h = tlog.NodeHash(e.nodes[last], h)
		e.nodes = e.nodes[:last]
		out = append(out, h[:]...)
	}
	e.nodes = append(e.nodes, h)
	e.size++
	return out
}

// root is the hash that stands for all leaves and their order.
func (e *edge) root() tlog.Hash {
	if len(e.nodes) == 0 {
		return sha256.Sum256(nil) // RFC 6962, section 2.1
	}
	h := e.nodes[len(e.nodes)-1]
	for i := len(e.nodes) - 2; i >= 0; i-- {
		h = tlog.NodeHash(e.nodes[i], h)
	}
	return h
}

func (e *edge) clone() edge { return edge{e.size, append([]tlog.Hash(nil), e.nodes...)} }

// readEdge is the edge of the tree of a size, from its stored hashes.
func readEdge(size int64, r tlog.HashReader) (edge, error) {
	var indexes []int64
	for level := bits.Len64(uint64(size)) - 1; level >= 0; level-- { // a size is not negative
		if size>>level&1 == 1 {
			indexes = append(indexes, tlog.StoredHashIndex(level, size>>level-1))
		}
	}
	if len(indexes) == 0 {
		return edge{}, nil
	}
	nodes, err := r.ReadHashes(indexes)
	return edge{size, nodes}, err
}

// leafHasher hashes lines as leaves. It allocates nothing.
type leafHasher struct {
	h   hash.Hash
	sum [sha256.Size]byte
}

// leafMark keeps leaves apart from inner hashes (RFC 6962, section 2.1).
var leafMark = []byte{0}

func newLeafHasher() *leafHasher { return &leafHasher{h: sha256.New()} }

// leaf is the hash of a line without its newline.
func (l *leafHasher) leaf(line []byte) tlog.Hash {
	l.h.Reset()
	l.h.Write(leafMark)
	l.h.Write(line)
	l.h.Sum(l.sum[:0])
	return l.sum
}
