package audit

import (
	"testing"
	"time"
)

func TestNewIDSortsByTimeAndIsUnique(t *testing.T) {
	seen := map[string]bool{}
	for range 10_000 {
		id := NewID()
		if len(id) != 26 || seen[id] {
			t.Fatalf("id %q: %d characters, seen before: %v", id, len(id), seen[id])
		}
		seen[id] = true
	}
	first := NewID()
	for start := time.Now().UnixMilli(); time.Now().UnixMilli() == start; {
	}
	if second := NewID(); second <= first {
		t.Errorf("%s, made later, sorts before %s", second, first)
	}
}
