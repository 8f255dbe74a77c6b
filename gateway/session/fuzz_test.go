package session

import (
	"testing"
	"time"
)

// A state that comes back is the one that was given to this caller for this call, or nothing: no
// change of it and no other caller's opens.
func FuzzOpen(f *testing.F) {
	key, err := NewKey()
	if err != nil {
		f.Fatal(err)
	}
	s, err := NewSealer(key, time.Now)
	if err != nil {
		f.Fatal(err)
	}
	mine := Binding{Owner: "gr_1\x00ann", Server: "files", Method: "tools/call", Name: "read_file"}
	good := s.Seal(mine, `{"step":1}`)
	f.Add(good, "ann", "files")
	f.Add(good[:len(good)-1], "ann", "files")
	f.Add(good+"=", "ann", "files")
	f.Add("", "", "")
	f.Fuzz(func(t *testing.T, sealed, owner, server string) {
		state, err := s.Open(mine, sealed)
		if err == nil && (sealed != good || state != `{"step":1}`) {
			t.Fatalf("%q opens as %q; only %q was sealed", sealed, state, good)
		}
		other := Binding{Owner: owner, Server: server, Method: mine.Method, Name: mine.Name}
		if _, err := s.Open(other, good); err == nil && other != mine {
			t.Fatalf("%+v opens what was sealed for %+v", other, mine)
		}
		again := s.Seal(other, sealed)
		if got, err := s.Open(other, again); err != nil || got != sealed {
			t.Fatalf("%q sealed and opened: %q, %v", sealed, got, err)
		}
	})
}
