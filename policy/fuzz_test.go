package policy

import (
	"bytes"
	"testing"
)

// An input that is read back from the record is the one that was written: what is decided again is
// decided of the same question.
func FuzzReadInput(f *testing.F) {
	for _, s := range []string{`{}`, `{"action":"tools/call","subject":{"id":"ann","roles":["reader"]},"tool":{"server":"files","name":"read_file"},"arguments":{"n":12345678901234567890.10}}`,
		`{"arguments":{"a":1,"a":2}}`, `{"flow":{"labels":["x"]}}`, `{"action":1}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		in, err := ReadInput(raw)
		if err != nil {
			return
		}
		doc, err := in.Document()
		if err != nil {
			t.Fatalf("%s was read and cannot be written: %v", raw, err)
		}
		again, err := ReadInput(doc)
		if err != nil {
			t.Fatalf("%s was written and cannot be read: %v", doc, err)
		}
		twice, err := again.Document()
		if err != nil || !bytes.Equal(doc, twice) {
			t.Fatalf("%s became %s, %v", doc, twice, err)
		}
	})
}
