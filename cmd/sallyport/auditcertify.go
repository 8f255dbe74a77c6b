package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

// certifyingCheckpoint is the signed head of the tree that records are proved by.
type certifyingCheckpoint struct {
	Size int64  `json:"size"`
	Root string `json:"root"`
	Key  string `json:"key"`  // that has signed it
	Note string `json:"note"` // as it is signed
}

const (
	isInTree  = "is in the tree"
	notProved = "not proved: "
	notInTree = "DOES NOT VERIFY: "
)

// prove adds where the records stand in the tree. What is not proved is said, and shown all the
// same: at three in the morning a record without a proof is better than none.
func (c *certified) prove() {
	key, err := audit.VerifierKey(c.Log)
	var t *audit.Tree
	if err == nil {
		t, err = audit.OpenTree(c.Log)
	}
	if err != nil {
		for i := range c.Records {
			c.Records[i].Proof = notProved + err.Error()
		}
		return
	}
	defer func() { _ = t.Close() }() // only read
	c.Checkpoint = &certifyingCheckpoint{Size: t.Checkpoint.Size, Root: t.Checkpoint.Root.String(), Key: key, Note: string(t.Checkpoint.Note)}
	c.Verifies = true
	for i := range c.Records {
		r := &c.Records[i]
		p, err := reader.Prove(t, r.entry)
		switch {
		case err == nil:
			r.Leaf, r.Proof = &p.Index, isInTree
			continue
		case errors.Is(err, reader.ErrNotInTree):
			r.Proof = notInTree + err.Error()
		default:
			r.Proof = notProved + err.Error()
		}
		c.Verifies = false
	}
}

// proofs says of each record whether it is proved.
func (c *certified) proofs() []string {
	var out []string
	for _, r := range c.Records {
		if r.Leaf != nil {
			out = append(out, fmt.Sprintf("%s is leaf %d of the tree", r.entry.Record.Phase, *r.Leaf))
		} else {
			out = append(out, r.Proof)
		}
	}
	return out
}

// changed reports whether a line is another than the tree has.
func (c *certified) changed() bool {
	return slices.ContainsFunc(c.Records, func(r certifiedRecord) bool { return strings.HasPrefix(r.Proof, notInTree) })
}
