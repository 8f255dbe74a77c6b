package audit

import (
	"path/filepath"
	"testing"
)

// repaired is the line of a repair that names what was acknowledged to nobody.
func repaired(seq int, lost [2]uint64) string {
	r := Record{ID: "r", Phase: PhaseRepair, Lost: lost}
	return whole(seq)[:len(`{"seq":`)+1] + string(appendTail(nil, &r))
}

// A repair at the beginning of a segment says which lines before it are no part of the record.
func TestRepairTellsWhatIsNoPartOfTheRecord(t *testing.T) {
	for _, tt := range []struct {
		name  string
		files map[string]string
		want  []int64 // lines of each segment that are part of the record
	}{
		{"none", map[string]string{segmentName(1): whole(1), segmentName(2): whole(2)}, []int64{1, 1}},
		{"the end", map[string]string{segmentName(1): whole(1) + whole(2), segmentName(3): repaired(3, [2]uint64{2, 2})}, []int64{1, 1}},
		{"the only line", map[string]string{segmentName(1): whole(1), segmentName(2): whole(2), segmentName(3): repaired(3, [2]uint64{2, 2})},
			[]int64{1, 0, 1}},
		{"over two segments", map[string]string{segmentName(1): whole(1) + whole(2), segmentName(3): whole(3), segmentName(4): repaired(4, [2]uint64{2, 3})},
			[]int64{1, 0, 1}},
		{"a repair that is lost itself", map[string]string{segmentName(1): whole(1) + whole(2), segmentName(3): repaired(3, [2]uint64{2, 2}), segmentName(4): repaired(4, [2]uint64{3, 3})},
			[]int64{2, 0, 1}},
		{"two repairs", map[string]string{segmentName(1): whole(1) + whole(2), segmentName(3): repaired(3, [2]uint64{2, 2}) + whole(4), segmentName(5): repaired(5, [2]uint64{4, 4})},
			[]int64{1, 1, 1}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			write(t, dir, tt.files)
			got, err := readLayout(dir)
			if err != nil || len(got) != len(tt.want) {
				t.Fatalf("readLayout = %+v, %v", got, err)
			}
			for i, p := range got {
				if x, err := p.each(func([]byte) {}); err != nil || x.leaves != tt.want[i] {
					t.Errorf("%s has %+v, %v; want %d lines of the record", p.name, x, err, tt.want[i])
				}
			}
		})
	}
}

// What was acknowledged to nobody is counted, and is told where it is the case.
func TestLinesOfNobodyAreCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	write(t, dir, map[string]string{segmentName(1): whole(1) + whole(2) + whole(3), segmentName(4): repaired(4, [2]uint64{2, 3})})
	l := open(t, dir, Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	report := noAlarm(t, dir)
	want := "2 lines at the end of " + segmentName(1) + " were acknowledged to nobody, as a repair after it says; they are no part of the record"
	if len(report.Notes) != 1 || report.Notes[0] != want || report.Records != 2 {
		t.Errorf("%d records, notes %q; want 2, and %q", report.Records, report.Notes, want)
	}
}
