package audit

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
)

// What is reserved is room and no content: a reader of the open segment sees lines alone, and of a closed
// one nothing is left beyond them.
func TestRoomAheadIsNotPartOfTheSegment(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	const segmentBytes = 4 << 20
	l := open(t, dir, Options{SegmentBytes: segmentBytes})
	decide := func(n int) {
		t.Helper()
		for range n {
			if err := l.Decide(t.Context(), decision(NewID())); err != nil {
				t.Fatal(err)
			}
		}
	}
	newest := func() (size, blocks int64) {
		t.Helper()
		list, err := segments(dir)
		if err != nil || len(list) != 1 {
			t.Fatalf("%d segments, %v; want one", len(list), err)
		}
		info, err := os.Stat(list[0].path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size(), info.Sys().(*syscall.Stat_t).Blocks * 512
	}
	decide(1)
	if size, onDisk := newest(); onDisk > size+16<<10 {
		t.Errorf("a segment of one record, %d bytes, takes %d on disk", size, onDisk)
	}
	decide(200)
	if size, onDisk := newest(); onDisk < size+segmentBytes/32 {
		if os.Getenv("CI") == "true" || canReserve(t, filepath.Join(dir, "..", "probe")) {
			t.Errorf("a segment of %d bytes takes %d on disk; want room for what comes next", size, onDisk)
		} else {
			t.Log("this file system reserves nothing")
		}
	}
	if got := len(linesLoose(t, dir)); got != 201 {
		t.Errorf("%d lines while the segment is open; want 201", got)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if size, onDisk := newest(); onDisk > size+16<<10 {
		t.Errorf("a closed segment of %d bytes takes %d on disk", size, onDisk)
	}
	noAlarm(t, dir)
	if l := open(t, dir, Options{SegmentBytes: segmentBytes}); l.Report() != "" {
		t.Errorf("the next start found %q", l.Report())
	}
}

func canReserve(t *testing.T, path string) bool {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	return reserve(f, 0, 1<<16) == nil
}
