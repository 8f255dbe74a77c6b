package main

import (
	"testing"

	"sallyport/gateway/audit"
	"sallyport/gateway/audit/reader"
)

// An old call that ends late is not shown as the newest.
func TestSearchKeepsAnOldCallOld(t *testing.T) {
	var h hits
	for _, id := range []string{"old", "b", "c", "d", "old"} {
		h.add(reader.Entry{Record: audit.Record{ID: id}}, 1)
	}
	h.cut(1)
	if len(h.list) != 1 || h.list[0].id != "d" || h.more != 3 {
		t.Fatalf("%d shown, the newest %q, %d left out; want 1, d, 3", len(h.list), h.list[0].id, h.more)
	}
}
