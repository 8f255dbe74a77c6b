package wire

import (
	"bytes"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// said is what an event means, apart from the bytes it came in.
type said struct {
	Data, ID                   string
	HasData, HasID, Incomplete bool
}

// fataler is a testing.TB or a rapid.T.
type fataler interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// readEvents returns what the events of a stream say and their bytes put together. A lone LF
// that completes the CR of the last event says nothing and is no event of its own.
func readEvents(t fataler, r io.Reader) (events []said, raw string) {
	t.Helper()
	reader := NewEventReader(r, 1<<20)
	for {
		ev, err := reader.Next()
		if errors.Is(err, io.EOF) {
			return events, raw
		}
		if err != nil {
			t.Fatalf("Next = %v", err)
		}
		raw += string(ev.Raw)
		if ev.HasData && ev.DataStart >= 0 && !bytes.Equal(ev.Raw[ev.DataStart:ev.DataEnd], ev.Data) {
			t.Errorf("event %q: DataStart and DataEnd hold %q; want %q", ev.Raw, ev.Raw[ev.DataStart:ev.DataEnd], ev.Data)
		}
		if (ev.DataStart < 0) != (ev.DataEnd < 0) || !ev.HasData && ev.DataStart >= 0 {
			t.Errorf("event %q: DataStart %d, DataEnd %d", ev.Raw, ev.DataStart, ev.DataEnd)
		}
		if ev.from == 1 && len(ev.Raw) == 1 {
			if ev.Incomplete {
				t.Errorf("the second half of a CRLF is Incomplete")
			}
			continue
		}
		events = append(events, said{string(ev.Data), ev.ID, ev.HasData, ev.HasID, ev.Incomplete})
	}
}

func TestEventsAreReadAsTheStandardSays(t *testing.T) {
	for _, tt := range []struct {
		name, in string
		want     []said
	}{
		{"empty stream", "", nil},
		{"LF", "data: a\n\n", []said{{Data: "a", HasData: true}}},
		{"CRLF", "data: a\r\n\r\n", []said{{Data: "a", HasData: true}}},
		{"CR", "data: a\r\r", []said{{Data: "a", HasData: true}}},
		{"mixed", "data: a\rdata: b\r\ndata: c\n\r\n", []said{{Data: "a\nb\nc", HasData: true}}},
		{"two", "data: a\n\ndata: b\n\n", []said{{Data: "a", HasData: true}, {Data: "b", HasData: true}}},
		{"no space", "data:a\n\n", []said{{Data: "a", HasData: true}}},
		{"one space only is dropped", "data:  a\n\n", []said{{Data: " a", HasData: true}}},
		{"no colon", "data\n\n", []said{{HasData: true}}},
		{"empty data lines", "data\ndata:\ndata: \n\n", []said{{Data: "\n\n", HasData: true}}},
		{"colons in the value", "data: {\"a\":1}\n\n", []said{{Data: `{"a":1}`, HasData: true}}},
		{"other fields between", "data: a\nretry: 3\n: c\nx\nevent: e\ndata: b\n\n", []said{{Data: "a\nb", HasData: true}}},
		{"field names are exact", "Data: a\n data: b\ndata : c\n\n", []said{{}}},
		{"BOM at the start", bom + "data: a\n\n", []said{{Data: "a", HasData: true}}},
		{"BOM later is part of a name", "data: a\n\n" + bom + "data: b\n\n", []said{{Data: "a", HasData: true}, {}}},
		{"two BOMs", bom + bom + "data: a\n\n", []said{{}}},
		{"comment", ": ping\n\n", []said{{}}},
		{"priming event", "id: 1\ndata:\n\n", []said{{ID: "1", HasID: true, HasData: true}}},
		{"last id", "id: 1\nid: 2\ndata: a\n\n", []said{{Data: "a", HasData: true, ID: "2", HasID: true}}},
		{"empty id", "id\ndata: a\n\n", []said{{Data: "a", HasData: true, HasID: true}}},
		{"NUL in an id", "id: a\x00b\ndata: a\n\n", []said{{Data: "a", HasData: true}}},
		{"blank lines", "\n\n", []said{}},
		{"no blank line at the end", "data: a\n\ndata: b\n", []said{{Data: "a", HasData: true}, {Data: "b", HasData: true, Incomplete: true}}},
		{"no line end at the end", "data: b", []said{{Data: "b", HasData: true, Incomplete: true}}},
		{"CR at the end", "data: b\r", []said{{Data: "b", HasData: true, Incomplete: true}}},
		{"other line separators are text", "data: a\u2028data: b\x0bc\u0085\n\n", []said{{Data: "a\u2028data: b\x0bc\u0085", HasData: true}}},
	} {
		for cut := range len(tt.in) + 1 {
			got, raw := readEvents(t, io.MultiReader(strings.NewReader(tt.in[:cut]), strings.NewReader(tt.in[cut:])))
			if d := cmp.Diff(dropEmpty(tt.want, tt.name), dropEmpty(got, tt.name)); d != "" {
				t.Errorf("%s: %q cut at %d (-want +got):\n%s", tt.name, tt.in, cut, d)
			}
			if raw != tt.in {
				t.Errorf("%s: %q cut at %d: events hold %q", tt.name, tt.in, cut, raw)
			}
		}
	}
}

// dropEmpty leaves out events that say nothing where the case is about nothing else.
func dropEmpty(events []said, name string) []said {
	out := []said{}
	for _, e := range events {
		if name != "blank lines" || e != (said{}) {
			out = append(out, e)
		}
	}
	return out
}

// genStream draws a stream in which everything that matters to the splitter is likely.
var genStream = rapid.Custom(func(t *rapid.T) string {
	return strings.Join(rapid.SliceOfN(rapid.SampledFrom([]string{
		"data: {\"a\":1}", "data:x", "data", "id: 7", "id", "id: \x00", ": ping", "retry: 10", "event: message",
		"unknown", ":", " ", "\n", "\r\n", "\r", "\n\n", "\r\r", "\r\n\r\n", bom, "é",
	}), 0, 25).Draw(t, "pieces"), "")
})

func TestEventsKeepEveryByteHoweverTheyArrive(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genStream.Draw(t, "stream")
		want, raw := readEvents(t, strings.NewReader(in))
		if raw != in {
			t.Fatalf("events hold %q; want %q", raw, in)
		}
		parts := []io.Reader{}
		for rest := in; rest != ""; {
			n := rapid.IntRange(1, len(rest)).Draw(t, "n")
			parts, rest = append(parts, strings.NewReader(rest[:n])), rest[n:]
		}
		for _, r := range []io.Reader{io.MultiReader(parts...), iotest.OneByteReader(strings.NewReader(in)), iotest.DataErrReader(strings.NewReader(in))} {
			got, raw := readEvents(t, r)
			if raw != in {
				t.Fatalf("events hold %q; want %q", raw, in)
			}
			if d := cmp.Diff(want, got); d != "" {
				t.Fatalf("%q in other pieces (-whole +pieces):\n%s", in, d)
			}
		}
	})
}

// plainEvents reads a whole stream by the letter of the standard: the reference.
func plainEvents(in string) (data []string, lastID string) {
	in = strings.TrimPrefix(in, bom)
	in = strings.ReplaceAll(strings.ReplaceAll(in, "\r\n", "\n"), "\r", "\n")
	lines := strings.Split(in, "\n")
	var buf []string
	id := ""
	for _, line := range lines[:len(lines)-1] {
		if line == "" {
			lastID = id
			if buf != nil {
				data = append(data, strings.Join(buf, "\n"))
			}
			buf = nil
			continue
		}
		name, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch {
		case name == "data":
			buf = append(buf, value)
		case name == "id" && !strings.Contains(value, "\x00"):
			id = value
		}
	}
	return data, lastID
}

func TestEventsAgreeWithAPlainReader(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genStream.Draw(t, "stream")
		wantData, wantID := plainEvents(in)
		events, _ := readEvents(t, strings.NewReader(in))
		var data []string
		id := ""
		for _, ev := range events {
			if ev.Incomplete {
				continue
			}
			if ev.HasID {
				id = ev.ID
			}
			if ev.HasData {
				data = append(data, ev.Data)
			}
		}
		if d := cmp.Diff(wantData, data); d != "" || id != wantID {
			t.Fatalf("%q: id %q; want %q; data (-want +got):\n%s", in, id, wantID, d)
		}
	})
}

func TestEventLimit(t *testing.T) {
	for _, tt := range []struct {
		in    string
		limit int
		want  []string
		err   error
	}{
		{"data: 45678\n\n", 13, []string{"data: 45678\n\n"}, io.EOF},
		{"data: 456789\n\n", 13, nil, ErrEventTooLarge},
		{strings.Repeat("x", 50), 20, nil, ErrEventTooLarge},
		{"a\n\n" + strings.Repeat("x", 5000), 20, []string{"a\n\n"}, ErrEventTooLarge},
		{strings.Repeat("a\n\n", 5000), 3, nil, io.EOF}, // a stream of small events has no limit
		{"data: 45678\n", 11, nil, ErrEventTooLarge},    // incomplete, and over it all the same
	} {
		for _, r := range []io.Reader{strings.NewReader(tt.in), iotest.OneByteReader(strings.NewReader(tt.in))} {
			reader := NewEventReader(r, tt.limit)
			var got []string
			var err error
			for err == nil {
				var ev Event
				if ev, err = reader.Next(); err == nil {
					got = append(got, string(ev.Raw))
				}
			}
			if !errors.Is(err, tt.err) || tt.want != nil && !cmp.Equal(got, tt.want) {
				t.Errorf("%.20q, limit %d: %.60q, %v; want %q, %v", tt.in, tt.limit, got, err, tt.want, tt.err)
			}
		}
	}
}

func TestEventReaderPassesOnWhatTheStreamFailedWith(t *testing.T) {
	broken := errors.New("reset")
	reader := NewEventReader(io.MultiReader(strings.NewReader("data: a\n\ndata: b"), iotest.ErrReader(broken)), 100)
	if ev, err := reader.Next(); err != nil || string(ev.Data) != "a" {
		t.Errorf("Next = %q, %v", ev.Data, err)
	}
	if ev, err := reader.Next(); !errors.Is(err, broken) {
		t.Errorf("Next = %q, %v; want %v: a stream that broke did not end", ev.Raw, err, broken)
	}
}

func TestBufferedSaysThatAnEventIsReady(t *testing.T) {
	reader := NewEventReader(io.MultiReader(strings.NewReader("data: a\n\ndata: b\n\ndata: c"), strings.NewReader("\n\n")), 100)
	var got []bool
	for {
		got = append(got, reader.Buffered())
		if _, err := reader.Next(); err != nil {
			break
		}
	}
	if want := []bool{false, true, false, false}; !cmp.Equal(got, want) {
		t.Errorf("Buffered = %v; want %v", got, want)
	}
}

func TestReplaceDataKeepsTheOtherLines(t *testing.T) {
	for _, tt := range []struct{ in, data, want string }{
		{"id: 5\r\n: note\r\ndata: a\r\ndata: b\r\nretry: 3\r\nx-new: y\r\n\r\n", "new", "id: 5\r\n: note\r\ndata: new\r\nretry: 3\r\nx-new: y\r\n\r\n"},
		{"data:a\n\n", "{}", "data: {}\n\n"},
		{"data\r\r", "{}", "data: {}\r\r"},
		{"data: a\nid: 1\ndata: b\n\n", "x\ny", "data: x\ndata: y\nid: 1\n\n"},
		{"data: a\r\n\r\n", "x\r\ny\rz\n", "data: x\r\ndata: y\r\ndata: z\r\ndata: \r\n\r\n"},
		{"data: a", "x\ny", "data: x\ndata: y"},
		{"data: a\rdata: b\n\n", "{}", "data: {}\n\n"}, // a CR and an LF that come together would be one line end
		{bom + "data: a\n\n", "x", bom + "data: x\n\n"},
		{": nothing\n\n", "x", ": nothing\n\n"},
	} {
		ev, err := NewEventReader(strings.NewReader(tt.in), 1<<10).Next()
		if err != nil {
			t.Fatal(err)
		}
		if got := string(ev.ReplaceData([]byte(tt.data))); got != tt.want {
			t.Errorf("%q with %q = %q; want %q", tt.in, tt.data, got, tt.want)
		}
		if string(ev.Raw) != tt.in {
			t.Errorf("ReplaceData changed the event to %q", ev.Raw)
		}
	}
}

func TestReplaceDataChangesTheDataAlone(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		in := genStream.Draw(t, "stream")
		data := rapid.SampledFrom([]string{"{}", "", "a\nb", "\n", "a\r\nb\rc"}).Draw(t, "data")
		reader := NewEventReader(strings.NewReader(in), 1<<20)
		for {
			ev, err := reader.Next()
			if err != nil {
				return
			}
			if ev.from == 1 || ev.Incomplete || bytes.HasPrefix(ev.Raw, []byte(bom)) { // read on their own they say something else
				continue
			}
			got, out := readEvents(t, bytes.NewReader(ev.ReplaceData([]byte(data))))
			if !ev.HasData {
				if out != string(ev.Raw) {
					t.Fatalf("%q became %q", ev.Raw, out)
				}
				continue
			}
			want := said{Data: strings.ReplaceAll(strings.ReplaceAll(data, "\r\n", "\n"), "\r", "\n"), ID: ev.ID, HasData: true, HasID: ev.HasID}
			if len(got) != 1 || got[0] != want {
				t.Fatalf("%q with %q = %q, which says %+v; want %+v", ev.Raw, data, out, got, want)
			}
		}
	})
}

func TestAppendEventIsOneEventWhateverTheData(t *testing.T) {
	for _, data := range []string{`{"a":1}`, "{\n\"a\":1\n}", "a\r\rdata: b\n\n", ""} {
		got, _ := readEvents(t, bytes.NewReader(AppendEvent(nil, []byte(data))))
		want := []said{{Data: strings.ReplaceAll(data, "\r", "\n"), HasData: true}}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("AppendEvent(%q) (-want +got):\n%s", data, d)
		}
	}
}

// A hostile upstream chooses how its bytes are cut. None of these may cost more than a small
// multiple of reading them. At a quarter of a megabyte a quadratic reader takes a minute.
func TestEventReaderIsLinear(t *testing.T) {
	const n = 1 << 18
	large := "data: " + strings.Repeat("x", 2*n) + "\n\n"
	for name, r := range map[string]io.Reader{
		"small events behind a large one": strings.NewReader(large + strings.Repeat("\n", 2*n)),
		"lone carriage returns":           strings.NewReader(large + strings.Repeat("\r", 2*n)),
		"a line in single bytes":          iotest.OneByteReader(strings.NewReader("data: " + strings.Repeat("x", n/2) + "\n\n")),
		"an event of empty data lines":    strings.NewReader(strings.Repeat("data\n", n) + "\n"),
		"an event of CR lines":            strings.NewReader(strings.Repeat("x\r", n) + "\r"),
	} {
		start := time.Now()
		reader := NewEventReader(r, 8*n)
		for {
			ev, err := reader.Next()
			if errors.Is(err, io.EOF) {
				break
			}
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			reader.Buffered()
			_ = ev
			if time.Since(start) > 20*time.Second {
				break
			}
		}
		if took := time.Since(start); took > 20*time.Second {
			t.Errorf("%s: took %v", name, took)
		}
	}
}

func FuzzEvents(f *testing.F) {
	for _, s := range []string{"data: x\n\nid: 1\r\n\r\n", bom + "data\r\rdata: {}\r\n\n", "\r\n\r\r\n", ": c\n\ndata: a\ndata: b\n\n", "data: cut"} {
		f.Add([]byte(s), 1)
	}
	f.Fuzz(func(t *testing.T, in []byte, cut int) {
		cut = max(0, min(cut, len(in)))
		whole, raw := readEvents(t, bytes.NewReader(in))
		if raw != string(in) {
			t.Errorf("events hold %q; want %q", raw, in)
		}
		parts, raw := readEvents(t, io.MultiReader(bytes.NewReader(in[:cut]), bytes.NewReader(in[cut:])))
		if raw != string(in) || !cmp.Equal(whole, parts) {
			t.Errorf("%q cut at %d: %+v; want %+v", in, cut, parts, whole)
		}
	})
}

func BenchmarkEvents(b *testing.B) {
	stream := strings.Repeat("id: 7\nevent: message\ndata: "+strings.Repeat("x", 300)+"\n\n", 100)
	b.SetBytes(int64(len(stream)))
	b.ReportAllocs()
	for b.Loop() {
		reader := NewEventReader(strings.NewReader(stream), 1<<20)
		for {
			if _, err := reader.Next(); err != nil {
				break
			}
		}
	}
}
