package reader

import (
	"bytes"
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
	var lines [][]byte
	for e, err := range All(dir, Options{}) {
		if err != nil {
			f.Fatal(err)
		}
		p, err := Prove(at, e)
		if err != nil {
			f.Fatal(err)
		}
		lines = append(lines, e.Raw)
		f.Add(p.Marshal())
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		p, err := CheckProof(data, key)
		if err != nil {
			return
		}
		if p.Index < 0 || p.Index >= int64(len(lines)) || !bytes.Equal(p.Line, lines[p.Index]) {
			t.Fatalf("%q is proved at %d", p.Line, p.Index)
		}
	})
}
