package reader

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sallyport/gateway/audit"
)

// record writes a log of n decisions, in segments of a few, and returns its directory.
func record(t testing.TB, n int) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := audit.Open(dir, audit.Options{SegmentBytes: 2000})
	if err != nil {
		t.Fatal(err)
	}
	for i := range n {
		write(t, l, i)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return dir
}

// write writes decision i.
func write(t testing.TB, l *audit.Log, i int) {
	t.Helper()
	r := audit.Record{ID: fmt.Sprintf("01JABCDEFGHJKMNPQRSTVWX%03d", i), Time: time.Date(2026, 1, 1, 0, i, 0, 0, time.UTC), Phase: audit.PhaseDecision,
		Method: "tools/call", Server: "files", Tool: []string{"read_file", "write_file"}[i%2], Subject: []string{"ann", "bob", `c"d`}[i%3], Decision: "allow"}
	if err := l.Decide(t.Context(), &r); err != nil {
		t.Fatal(err)
	}
}

// names are the files of segments, sorted.
func names(t *testing.T, dir string) []string {
	t.Helper()
	list, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, s := range list {
		out = append(out, s.name)
	}
	return out
}

// pack compresses a segment as the writer does with those that are closed.
func pack(t *testing.T, dir, name string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(dir, name))
	if err != nil {
		t.Fatal(err)
	}
	var z bytes.Buffer
	w := gzip.NewWriter(&z)
	_, err = w.Write(raw)
	if err = errors.Join(err, w.Close()); err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, strings.TrimSuffix(name, plainSuffix)+packedSuffix), z.Bytes())
	if err := os.Remove(filepath.Join(dir, name)); err != nil {
		t.Fatal(err)
	}
}

func put(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o600); err != nil {
		t.Fatal(err)
	}
}

// all reads the numbers of the log's records, and what it was told beside them.
func all(t *testing.T, dir string, o Options) (seqs []uint64, told []string) {
	t.Helper()
	for e, err := range All(dir, o) {
		switch {
		case err == nil:
			seqs = append(seqs, e.Record.Seq)
		case Told(err):
			told = append(told, err.Error())
		default:
			t.Fatal(err)
		}
	}
	return seqs, told
}

func upTo(n uint64) []uint64 {
	var out []uint64
	for i := range n {
		out = append(out, i+1)
	}
	return out
}

func TestAllReadsPlainAndCompressedSegmentsInOrder(t *testing.T) {
	dir := record(t, 30)
	segs := names(t, dir)
	if len(segs) < 5 {
		t.Fatalf("%d segments; want some", len(segs))
	}
	pack(t, dir, segs[0])
	pack(t, dir, segs[2])
	got, told := all(t, dir, Options{})
	if diff := cmp.Diff(upTo(30), got); diff != "" || told != nil {
		t.Errorf("numbers (-want +got):\n%s told %q", diff, told)
	}
}

// A crash between writing the compressed form and removing the plain one leaves both.
func TestASegmentThatIsThereTwiceIsReadOnce(t *testing.T) {
	dir := record(t, 12)
	first := names(t, dir)[0]
	raw, err := os.ReadFile(filepath.Join(dir, first))
	if err != nil {
		t.Fatal(err)
	}
	pack(t, dir, first)
	put(t, filepath.Join(dir, first), raw)
	if got, _ := all(t, dir, Options{}); !slices.Equal(got, upTo(12)) {
		t.Errorf("numbers %v; want each once", got)
	}
}

func TestWhatIsNoRecordIsToldWithItsPlace(t *testing.T) {
	dir := record(t, 12)
	segs := names(t, dir)
	last := segs[len(segs)-1]
	raw, err := os.ReadFile(filepath.Join(dir, segs[0]))
	if err != nil {
		t.Fatal(err)
	}
	raw[3] = 'X' // the first line's member seq is not where it was, but still JSON: another member
	raw[bytes.IndexByte(raw, '\n')+1] = '!'
	put(t, filepath.Join(dir, segs[0]), raw)
	tail, err := os.ReadFile(filepath.Join(dir, last))
	if err != nil {
		t.Fatal(err)
	}
	put(t, filepath.Join(dir, last), append(tail, `{"seq":13,"ti`...))
	if err := os.Rename(filepath.Join(dir, segs[1]), filepath.Join(dir, segs[1]+damagedSuffix)); err != nil {
		t.Fatal(err)
	}
	_, told := all(t, dir, Options{})
	want := []string{
		segs[0] + ":2: the line is not a record: somebody or the disk has changed it",
		segs[1] + ".damaged: the segment was moved aside as damaged and is not read",
		fmt.Sprintf("%s:%d: the last line is not finished: it has 13 bytes and no newline", last, 1+bytes.Count(tail, []byte{'\n'})),
	}
	if diff := cmp.Diff(want, told); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}
}

// What this version does not know is named, and its line kept; what it knows is read.
func TestARecordOfANewerVersionIsNamedAndKept(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	lines := []string{
		`{"seq":1,"time":"2031-01-01T00:00:00Z","id":"a","phase":"verdict","subject":"ann","weather":{"phase":"x","subject":"y"}}`,
		`{"seq":2,"time":"2031-01-01T00:00:00Z","id":"b","phase":"decision","subject":"ann","reasons":[{"text":"no"}],"decision":"deny"}`,
		`{"seq":3,"time":"2031-01-01T00:00:00Z","id":"c","phase":"decision","subject":"a\"},{\"b","decision":"deny"}`,
	}
	put(t, filepath.Join(dir, "00000000000000000001.jsonl"), []byte(strings.Join(lines, "\n")+"\n"))
	want := [][]string{{"phase verdict", "weather"}, {"the form of reasons"}, nil}
	i := 0
	for e, err := range All(dir, Options{}) {
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want[i], e.Newer); diff != "" {
			t.Errorf("line %d, newer (-want +got):\n%s", i+1, diff)
		}
		if string(e.Raw) != lines[i] || e.Record.Seq != uint64(i)+1 || e.Record.Decision == "allow" {
			t.Errorf("line %d read as %+v from %s", i+1, e.Record, e.Raw)
		}
		i++
	}
	if i != 3 {
		t.Errorf("%d lines; want 3", i)
	}
}

// Members that this version writes are not those of a newer one.
func TestOwnRecordsAreKnown(t *testing.T) {
	for e, err := range All(record(t, 5), Options{}) {
		if err != nil || len(e.Newer) > 0 {
			t.Errorf("%s: newer %q, %v", e.At(), e.Newer, err)
		}
	}
}

func TestSinceSkipsNoSegmentThatCouldMatter(t *testing.T) {
	dir := record(t, 60) // a minute each
	since := time.Date(2026, 1, 1, 0, 45, 0, 0, time.UTC)
	got, _ := all(t, dir, Options{Since: since})
	if len(got) > 35 || len(got) < 15 || got[len(got)-1] != 60 {
		t.Errorf("%d records are read, the last %d; want those of the last 15 minutes and a few", len(got), got[len(got)-1])
	}
}

func TestFilterFindsAsReadingAllWould(t *testing.T) {
	dir := record(t, 40)
	for _, f := range []Filter{
		{}, {Subject: "ann"}, {Subject: `c"d`}, {Subject: "a*"}, {Tool: "read_file"}, {Tool: "files.read_file"}, {Tool: "files.*_file"},
		{Tool: "file"}, {Server: "files", Decision: "allow", Method: "tools/*"}, {Subject: "ann", Tool: "write_file"}, {Code: "denied"},
		{Since: time.Date(2026, 1, 1, 0, 30, 0, 0, time.UTC)}, {Until: time.Date(2026, 1, 1, 0, 5, 0, 0, time.UTC), Subject: "bob"},
	} {
		var want, got []string
		for e, err := range All(dir, Options{}) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Match(&e.Record) {
				want = append(want, e.Record.ID)
			}
		}
		for e, err := range All(dir, f.Options()) {
			if err != nil {
				t.Fatal(err)
			}
			if f.Match(&e.Record) {
				got = append(got, e.Record.ID)
			}
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%+v (-all +narrowed):\n%s", f, diff)
		}
	}
}

func TestMatch(t *testing.T) {
	for _, tt := range []struct {
		pattern, s string
		want       bool
	}{
		{"a", "a", true}, {"a", "ab", false}, {"*", "", true}, {"a*", "a", true}, {"a*", "ba", false}, {"*a", "ba", true}, {"*a", "ab", false},
		{"a*b*c", "aXbYc", true}, {"a*b*c", "ac", false}, {"a*a", "a", false}, {"*b*", "abc", true}, {"**", "x", true},
	} {
		if got := match(tt.pattern, tt.s); got != tt.want {
			t.Errorf("match(%q, %q) = %v", tt.pattern, tt.s, got)
		}
	}
}

func TestFindById(t *testing.T) {
	dir := record(t, 20)
	for _, tt := range []struct {
		id   string
		ids  int
		near string
	}{
		{"01JABCDEFGHJKMNPQRSTVWX007", 1, ""},
		{"01JABCDEFGHJKMNPQRSTVWX01", 10, ""},
		{"01JABCDEFGHJKMNPQRSTVWX999", 0, "01JABCDEFGHJKMNPQRSTVWX000"},
		{"nonsense", 0, ""},
	} {
		found, err := Find(dir, tt.id)
		if err != nil || len(found.IDs) != tt.ids || len(found.Entries) != tt.ids || found.Near != tt.near {
			t.Errorf("Find(%s) = %q near %q, %v; want %d near %q", tt.id, found.IDs, found.Near, err, tt.ids, tt.near)
		}
	}
}

func TestIDTimeIsThatOfNewID(t *testing.T) {
	before := time.Now().Truncate(time.Millisecond)
	id := audit.NewID()
	got, ok := IDTime(id)
	if !ok || got.Before(before) || got.After(time.Now()) {
		t.Errorf("IDTime(%s) = %v, %v; want about %v", id, got, ok, before)
	}
	if begin, ok := IDTime(id[:4]); !ok || begin.After(got) {
		t.Errorf("IDTime(%s) = %v, %v; want not after %v", id[:4], begin, ok, got)
	}
}
