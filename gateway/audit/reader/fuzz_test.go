package reader

import (
	"bytes"
	"slices"
	"testing"

	"sallyport/gateway/audit"
)

// A proof that holds is about a line that is in the log, at its place. Whatever is done to one, it then
// says the same or holds no more.
func FuzzCheckProof(f *testing.F) {
	dir := record(f, 9)
	key, err := audit.VerifierKey(dir)
	if err != nil {
		f.Fatal(err)
	}
	at, err := audit.OpenTree(dir)
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { _ = at.Close() })
	var lines, proofs [][]byte
	for e, err := range All(dir, Options{}) {
		if err != nil {
			f.Fatal(err)
		}
		p, err := Prove(at, e)
		if err != nil {
			f.Fatal(err)
		}
		lines = append(lines, e.Raw)
		proofs = append(proofs, p.Marshal())
		n := uint(len(proofs) - 1)
		f.Add(n, n, uint(0), uint(0), []byte{}) // as it was
		f.Add(n, n, uint(40), uint(41), []byte("x"))
		index := uint(bytes.Index(p.Marshal(), []byte("\nindex ")) + len("\nindex "))
		f.Add(n, n, index, index+1, []byte("3"))
		f.Add(n, uint(0), uint(200), uint(200), []byte{})
	}
	// Each process has a record of its own, so the input is what is done to its proofs: the first part of
	// one, text, and the last part of another.
	f.Fuzz(func(t *testing.T, first, last, to, from uint, text []byte) {
		one, other := proofs[first%uint(len(proofs))], proofs[last%uint(len(proofs))]
		data := slices.Concat(one[:to%uint(len(one)+1)], text, other[from%uint(len(other)+1):])
		p, err := CheckProof(data, key)
		if err != nil {
			if bytes.Equal(data, one) {
				t.Fatalf("%q proves nothing: %v", data, err)
			}
			return
		}
		if p.Index < 0 || p.Index >= int64(len(lines)) || !bytes.Equal(p.Line, lines[p.Index]) {
			t.Fatalf("%q is proved at %d", p.Line, p.Index)
		}
	})
}
