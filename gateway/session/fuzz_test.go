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
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	s, err := NewSealer(key, func() time.Time { return now })
	if err != nil {
		f.Fatal(err)
	}
	mine := Binding{Owner: "gr_1\x00ann", Server: "files", Method: "tools/call", Name: "read_file"}
	good := s.Seal(mine, `{"step":1}`)
	end := uint(len(good))
	f.Add(uint(0), good[:1], "ann", "files") // as it was
	f.Add(end-1, "", "ann", "files")
	f.Add(end, "=", "ann", "files")
	f.Add(end, "\n", "ann", "files")
	f.Add(uint(0), "", "", "")
	f.Add(end/2, "A", "gr_1\x00ann", "files")
	// Each process has a key of its own, so the input is what is done to good: text is put over what is at a
	// place of it, or good ends there.
	f.Fuzz(func(t *testing.T, at uint, text, owner, server string) {
		at %= end + 1
		sealed := good[:at] + text
		if text != "" && uint(len(sealed)) < end {
			sealed += good[len(sealed):]
		}
		state, err := s.Open(mine, sealed)
		if err != nil && sealed == good {
			t.Fatalf("%q does not open: %v", sealed, err)
		}
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
