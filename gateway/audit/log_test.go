package audit

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// lines reads every record of a directory and checks that their numbers rise by one.
func lines(t testing.TB, dir string) []Record {
	t.Helper()
	names, err := segments(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []Record
	for _, name := range names {
		data, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		sc := bufio.NewScanner(bytes.NewReader(data))
		sc.Buffer(nil, 1<<24)
		for sc.Scan() {
			var r Record
			if err := json.Unmarshal(sc.Bytes(), &r); err != nil {
				t.Fatalf("%s: %s: %v", name, sc.Bytes(), err)
			}
			if n := len(out); n > 0 && r.Seq != out[n-1].Seq+1 {
				t.Errorf("%s: seq %d follows %d", name, r.Seq, out[n-1].Seq)
			}
			out = append(out, r)
		}
	}
	return out
}

func open(t testing.TB, dir string, o Options) *Log {
	t.Helper()
	l, err := Open(dir, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	return l
}

func decision(id string) *Record {
	return &Record{ID: id, Time: time.Unix(1, 0), Phase: PhaseDecision, Decision: "allow"}
}

func TestRecordSurvivesEncoding(t *testing.T) {
	want := Record{
		Seq: 1, Time: time.Date(2026, 7, 28, 1, 2, 3, 4, time.UTC), ID: "i", Phase: PhaseDecision, Method: "tools/call", Server: "s",
		Tool: "quote\" back\\ line\n esc\x1b del\x7f é 😀", ToolDigest: "d", ArgumentsDigest: "a", Subject: "s", Client: "c", Grant: "g", Task: "t", JTI: "j",
		Roles: []string{"r1", "r2"}, Decision: "allow", Code: "ok", Reasons: []string{"why"}, Obligations: []json.RawMessage{json.RawMessage(`{"type":"mask"}`)},
		PolicyRevision: "p", Rules: []string{"x"}, LabelsBefore: []string{"b"}, LabelsAfter: []string{"a"}, UpstreamMS: 1.25, BytesIn: 1, BytesOut: 2, TraceID: "tr",
		Arguments: json.RawMessage("{\"a\":1.0}"), Count: 3, Source: "src", Detail: "det",
	}
	r := want
	r.Arguments = json.RawMessage("{\n\"a\" : 1.0}")
	line := append([]byte(`{"seq":1`), appendTail(nil, &r)...)
	if bytes.Count(line, []byte("\n")) != 1 || bytes.ContainsAny(line, "\x1b\x7f") {
		t.Errorf("line %q", line)
	}
	var got Record
	if err := json.Unmarshal(line, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	bad := append([]byte(`{"seq":1`), appendTail(nil, &Record{Tool: "a\xffb", Arguments: json.RawMessage("{")})...)
	if !json.Valid(bad) || !strings.Contains(string(bad), "a\ufffdb") {
		t.Errorf("bytes that are no UTF-8 and no JSON gave %s", bad)
	}
}

func TestDecideIsOnDiskWhenItReturns(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	if err := l.Decide(t.Context(), decision("one")); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	if len(got) != 1 || got[0].ID != "one" || got[0].Seq != 1 {
		t.Errorf("records %+v", got)
	}
}

func TestLogGoesOnWhereItEnded(t *testing.T) {
	dir := t.TempDir()
	_ = os.Chmod(dir, 0o700)
	for i := range 3 {
		l := open(t, dir, Options{SegmentBytes: 600})
		for j := range 4 {
			if err := l.Decide(t.Context(), decision(fmt.Sprint(i, j))); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if got := lines(t, dir); len(got) != 12 || got[11].Seq != 12 {
		t.Errorf("%d records, the last %+v; want 12", len(got), got[len(got)-1])
	}
	if names, _ := segments(dir); len(names) < 6 {
		t.Errorf("%d segments; want one for each two records", len(names))
	}
}

func TestTornLastLineIsMovedAsideAndReported(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	for _, id := range []string{"a", "b"} {
		if err := l.Decide(t.Context(), decision(id)); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names, _ := segments(dir)
	path := filepath.Join(dir, names[0])
	f, _ := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
	_, _ = f.WriteString(`{"seq":3,"time":"2026`)
	_ = f.Close()
	again := open(t, dir, Options{})
	if want := "the last line of 00000000000000000001.jsonl was torn; its 21 bytes are in 00000000000000000001.jsonl.torn"; again.Report() != want {
		t.Errorf("report %q; want %q", again.Report(), want)
	}
	if err := again.Decide(t.Context(), decision("c")); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	if len(got) != 4 || got[2].Phase != PhaseRepair || got[3].ID != "c" || got[3].Seq != 4 {
		t.Errorf("records %+v", got)
	}
	if torn, _ := os.ReadFile(path + ".torn"); string(torn) != `{"seq":3,"time":"2026`+"\n" {
		t.Errorf("torn bytes %q", torn)
	}
}

func TestOpenRefusesWithAMessage(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(dir string)
		want string
	}{
		{"in the way", func(dir string) { _ = os.WriteFile(dir, nil, 0o600) }, "make audit directory: "},
		{"wider", func(dir string) { _ = os.Mkdir(dir, 0o755) }, "has mode 0755, so others could read the record; run: chmod 0700 "},
		{"key is wider", func(dir string) {
			_ = os.Mkdir(dir, 0o700)
			_ = os.WriteFile(filepath.Join(dir, "digest.key"), make([]byte, 32), 0o644)
		}, "has mode 0644, so others could read it; run: chmod 0600 "},
		{"short key", func(dir string) {
			_ = os.Mkdir(dir, 0o700)
			_ = os.WriteFile(filepath.Join(dir, "digest.key"), []byte("x"), 0o600)
		}, "has 1 bytes; want 32"},
		{"changed by somebody", func(dir string) {
			_ = os.Mkdir(dir, 0o700)
			_ = os.WriteFile(filepath.Join(dir, segmentName(1)), []byte("{\"seq\":1}\nhello\n"), 0o600)
		}, "is not a record, so the next number is unknown: somebody has changed the file; move it away, keep it, and start again"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "audit")
			tt.make(dir)
			l, err := Open(dir, Options{})
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("Open = %v, %v; want %q", l, err, tt.want)
			}
		})
	}
	dir := filepath.Join(t.TempDir(), "audit")
	open(t, dir, Options{})
	if _, err := Open(dir, Options{}); !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("(process %d): stop it, or use another state directory", os.Getpid())) {
		t.Errorf("second Open = %v; want ErrLocked with the process", err)
	}
}

func TestRefusalsOfNobodyAreCounted(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			for j := range 10_000 {
				l.Refused(fmt.Sprintf("10.0.%d.%d", i, j%100), "unauthenticated")
			}
		})
	}
	wg.Wait()
	for i := range 1000 {
		l.Refused("x", fmt.Sprint("code", i))
	}
	// A decision is not behind the flood.
	if err := l.Decide(t.Context(), decision("d")); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	got := lines(t, dir)
	total, other := int64(0), int64(0)
	for _, r := range got {
		if r.Phase == PhaseSummary && r.Code == "unauthenticated" {
			total += r.Count
			if n := len(strings.Fields(r.Source)); n == 0 || n > maxRefusalSources {
				t.Errorf("summary names %d sources", n)
			}
		}
		if r.Code == "other" {
			other += r.Count
		}
	}
	if total != 80_000 || other == 0 || len(got) > 300 {
		t.Errorf("counted %d of 80000, %d under other, in %d records", total, other, len(got))
	}
}

func TestDigestIsKeyedAndStable(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l := open(t, dir, Options{})
	a := l.Digest([]byte("x"))
	_ = l.Close()
	again := open(t, dir, Options{})
	other := open(t, filepath.Join(t.TempDir(), "audit"), Options{})
	if a != again.Digest([]byte("x")) || a == other.Digest([]byte("x")) || a == l.Digest([]byte("y")) || !strings.HasPrefix(a, "hmac-sha256:") || len(a) != len("hmac-sha256:")+64 {
		t.Errorf("digest %s, again %s, elsewhere %s", a, again.Digest([]byte("x")), other.Digest([]byte("x")))
	}
}

func TestClosedLogRefuses(t *testing.T) {
	l := open(t, filepath.Join(t.TempDir(), "audit"), Options{})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l.Decide(context.Background(), decision("x")); !errors.Is(err, ErrUnaudited) || err.Error() != "the record cannot be written: the log is closed" {
		t.Errorf("Decide = %v", err)
	}
	if err := l.Note(decision("x")); !errors.Is(err, ErrUnaudited) {
		t.Errorf("Note = %v", err)
	}
}
