package strictjson

import (
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"
)

// genRows makes lists whose rows are mostly written alike: that is where a scan that remembers the
// row before could go wrong.
func genRows(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		names := rapid.SliceOfN(rapid.SampledFrom([]string{`"a"`, `"b"`, `"A"`, `"ab"`, `"é"`}), 1, 4).Draw(t, "names")
		comma := rapid.SampledFrom([]string{",", " ,\n"}).Draw(t, "comma")
		var rows []string
		for range rapid.IntRange(1, 4).Draw(t, "rows") {
			var row []string
			for _, name := range names {
				if rapid.IntRange(0, 7).Draw(t, "other") == 0 {
					name = rapid.SampledFrom([]string{`"a"`, `"b"`, `"ab"`, `"\u0061"`, ``, `"a`}).Draw(t, "name")
				}
				value := "1"
				if depth > 0 && rapid.IntRange(0, 2).Draw(t, "nested") == 0 {
					value = genRows(depth-1).Draw(t, "value")
				}
				row = append(row, name+rapid.SampledFrom([]string{":", ":", ": "}).Draw(t, "colon")+value)
			}
			rows = append(rows, "{"+strings.Join(row, comma)+rapid.SampledFrom([]string{"}", "}", " }", ",}"}).Draw(t, "end"))
		}
		if len(rows) == 1 {
			return rows[0]
		}
		return "[" + strings.Join(rows, ",") + "]"
	})
}

func TestRowsAreReadAsIfEachWereTheFirst(t *testing.T) {
	accepted, refused := 0, 0
	rapid.Check(t, func(rt *rapid.T) {
		doc := genRows(3).Draw(rt, "document")
		if !certainly([]byte(doc), 64) {
			refused++
			return
		}
		accepted++
		if !jsontext.Value(doc).IsValid() {
			rt.Fatalf("%q was accepted", doc)
		}
		looks(t, []byte(doc))
	})
	if accepted == 0 || refused == 0 {
		t.Errorf("%d accepted, %d refused; want some of each", accepted, refused)
	}
}

// A name twice in one object is refused wherever the row before may make it look familiar.
func TestNoNameTwiceInRowsThatLookAlike(t *testing.T) {
	for _, doc := range []string{
		`[{"a":1,"b":2},{"a":1,"b":2,"a":3}]`,
		`[{"a":1,"b":2},{"b":2,"a":1,"b":2}]`,
		`[{"x":{},"a":1},{"x":{"x":1,"a":2},"a":3,"a":4}]`,
		`[{"x":{"p":1},"q":1},{"x":{"p":1,"x":2},"x":1}]`,
		`[{"a":1},[{"b":1},{"a":1,"a":2}]]`,
		`[{"a":1,"b":{"a":1,"b":2}},{"a":1,"b":{"a":1,"b":2,"a":3}}]`,
		`[{` + rowOf(20) + `},{` + rowOf(20) + `,"m3":1}]`,
		`[{` + rowOf(20) + `},{` + rowOf(20) + `,"m18":1}]`,
	} {
		if certainly([]byte(doc), 64) {
			t.Errorf("%.200s was accepted", doc)
		}
		if err := Check([]byte(doc), Limits{}); err == nil || !strings.Contains(err.Error(), "twice") {
			t.Errorf("%.200s: %v; want it refused for a name that is there twice", doc, err)
		}
	}
}

func rowOf(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`,"m` + string(rune('0'+i/10)) + string(rune('0'+i%10)) + `":0`)
	}
	return strings.ReplaceAll(b.String()[1:], `"m0`, `"m`)
}

// A row with a name in capitals is noted as such, whether it is the first of its kind or not.
func TestCapitalsInRowsAreSeen(t *testing.T) {
	row := `{"name":"` + strings.Repeat("x", largeValue) + `","Tag":1}`
	doc := []byte(`[` + row + `,` + row + `,` + row + `]`)
	o, err := CheckOutline(doc, Limits{}, nil, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 3 {
		at := 1 + i*(len(row)+1)
		if _, plain, ok := o.look(at); !ok || plain {
			t.Errorf("row %d: known %v, plain %v; want it known and not plain", i, ok, plain)
		}
	}
}

// Each byte that is special is found wherever it stands, and nothing else is.
func TestTextEndsWhereItEnds(t *testing.T) {
	for c := range 256 {
		for before := range 20 {
			for _, pad := range []string{"a", "é", "\x7f", "!"} {
				body := strings.Repeat(pad, before) + string([]byte{byte(c)}) + strings.Repeat(pad, 9)
				for _, doc := range []string{`"` + body + `"`, `["` + body + `"` + "," + `"` + body + `"]`} {
					want := jsontext.Value(doc).IsValid()
					if got := certainly([]byte(doc), 64); got != want {
						t.Errorf("%q: certain %v; want %v", doc, got, want)
					}
				}
			}
		}
	}
}

func FuzzRows(f *testing.F) {
	for _, doc := range []string{`[{"a":1,"b":[2]},{"a":1,"b":[2]},{"a":1,"a":2}]`, `[{"x":{"p":1},"q":1},{"x":{"p":1},"x":1}]`, `[{ "A" : 1 }, { "A" : 2 }]`} {
		f.Add([]byte(doc), byte(3))
	}
	f.Fuzz(func(t *testing.T, row []byte, n byte) {
		doc := "[" + strings.Repeat(string(row)+",", int(n%5)) + string(row) + "]"
		if certainly([]byte(doc), 64) {
			if !jsontext.Value(doc).IsValid() {
				t.Errorf("%q was accepted", doc)
			}
			looks(t, []byte(doc))
		}
	})
}

// The end of a string is where jsontext finds it, however the escapes lie; and it is found in one
// pass: looking for the quote again at each escape would take this test minutes.
func TestStringEndsAtItsQuote(t *testing.T) {
	for before := range 140 {
		for _, tail := range []string{`"`, `\""`, `\\"`, `\\\""`, `\n\n\n"`, `\"\"\"\\"`, `\u0022"`} {
			doc := `"` + strings.Repeat("a", before) + tail
			for _, after := range []string{"", `,"b"`, strings.Repeat(`\"`, 40) + `"`} {
				if got := StringEnd([]byte(doc+after), 0); got != len(doc) {
					t.Errorf("%q ends at %d; want %d", doc+after, got, len(doc))
				}
			}
		}
	}
	long := `"` + strings.Repeat(`\n`, 4<<20) + `"`
	if got := StringEnd([]byte(long), 0); got != len(long) {
		t.Errorf("the long one ends at %d; want %d", got, len(long))
	}
	for _, broken := range []string{`"`, `"\`, `"a\"`, `"` + strings.Repeat("a", 100), `"` + strings.Repeat("a", 100) + `\`} {
		if got := StringEnd([]byte(broken), 0); got > len(broken) {
			t.Errorf("%q ends at %d, beyond its end", broken, got)
		}
	}
}
