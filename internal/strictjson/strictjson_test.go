package strictjson

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sallyport/internal/corpora"
)

// verdicts records our answer to each file of JSONTestSuite that a parser may decide on its
// own (i_). Everything that two parsers read differently is refused.
var acceptedI = map[string]bool{
	"i_number_too_big_neg_int.json":       true, // integers of any size are kept raw
	"i_number_too_big_pos_int.json":       true,
	"i_number_very_big_negative_int.json": true,
	"i_number_real_underflow.json":        false,
	"i_structure_500_nested_arrays.json":  false,
}

func TestJSONTestSuite(t *testing.T) {
	dir := corpora.Dir(t, "jsontestsuite")
	var n, y, i int
	err := filepath.WalkDir(dir, func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" {
			return err
		}
		data, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		name := d.Name()
		got := Check(data, Limits{})
		switch {
		case strings.HasPrefix(name, "n_"):
			n++
			if got == nil {
				t.Errorf("%s: accepted; want refused", name)
			}
		case strings.HasPrefix(name, "y_"):
			y++
			duplicate := strings.Contains(name, "duplicated_key")
			nulName := strings.Contains(name, "escaped_null_in_key") || name == "y_object_escaped_null_in_key.json"
			if (got != nil) != (duplicate || nulName) {
				t.Errorf("%s: %v", name, got)
			}
		case strings.HasPrefix(name, "i_"):
			i++
			if (got == nil) != acceptedI[name] {
				t.Errorf("%s: err = %v; recorded verdict: accepted %v", name, got, acceptedI[name])
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n != 188 || y == 0 || i == 0 {
		t.Errorf("saw %d n_, %d y_, %d i_ files; want 188 n_ and some of each", n, y, i)
	}
}

func TestCheckSaysWhatIsWrong(t *testing.T) {
	keys := NewScope(NewKeySet("name", "params", "taskId", "k"), map[string]*Scope{"arguments": nil})
	deep := strings.Repeat("[", 65) + strings.Repeat("]", 65)
	for _, tt := range []struct{ in, want string }{
		{``, "no JSON value, at byte 0"},
		{`{"a":1`, "the JSON value ends too early, at byte 6"},
		{`{"a":1}x`, "data after the end of the JSON value, at byte 7"},
		{`{} {}`, "data after the end of the JSON value, at byte 4"},
		{`{"a":{"b":1,"b":2}}`, "the same member name twice in one object, at byte 12"},
		{`{"a":1,"\u0061":2}`, "the same member name twice in one object, at byte 7"},
		{`{"a\u0000":1}`, "a member name holds a NUL character, at byte 10"},
		{"{\"a\":\"\xff\"}", "invalid UTF-8, at byte 6"},
		{`"\ud800"`, "invalid JSON syntax, at byte 1"},
		{`1e400`, "a number outside the range of a 64-bit float, at byte 5"},
		{`1e-999`, "a number outside the range of a 64-bit float, at byte 6"},
		{strings.Repeat("1", 1001), "a number of 1001 characters; the limit is 1000, at byte 1001"},
		{deep, "nested deeper than 64 levels, at byte 64"},
		{`{"NAME":1}`, `member name "NAME" would be read as "name" by a parser that ignores case, at byte 7`},
		{`{"param\u017f":1}`, `member name "param\u017f" would be read as "params" by a parser that ignores case, at byte 14`},
		{`{"a":[{"taskid":1}]}`, `member name "taskid" would be read as "taskId" by a parser that ignores case, at byte 15`},
		{"{\"\u212a\":1}", `member name "\u212a" would be read as "k" by a parser that ignores case, at byte 6`},
	} {
		err := CheckScope([]byte(tt.in), Limits{}, keys)
		if err == nil || err.Error() != tt.want {
			t.Errorf("CheckScope(%.60q) = %v; want %s", tt.in, err, tt.want)
		}
		if err != nil && !errors.Is(err, ErrStrict) {
			t.Errorf("CheckScope(%.60q): error does not wrap ErrStrict", tt.in)
		}
	}
	for _, ok := range []string{`{"arguments":{"NAME":1,"PARAMS":2}}`, `{"name":"NAME"}`, `12345678901234567890123`, ` {"a":"\ud83d\ude00"} `} {
		if err := CheckScope([]byte(ok), Limits{}, keys); err != nil {
			t.Errorf("CheckScope(%s) = %v; want accepted", ok, err)
		}
	}
}

func TestCheckArgumentsRefusesImitations(t *testing.T) {
	options := &Place{Members: map[string]*Place{"mode": nil, "dryRun": nil}}
	row := &Place{Members: map[string]*Place{"From": nil}}
	known := &Place{Members: map[string]*Place{"path": nil, "maxBytes": nil, "opts": options, "rows": {First: []*Place{options}, Items: row}, "both": {Members: map[string]*Place{"k": nil, "K": nil}}}, Rest: options}
	row.Rest = row
	Seal([]*Place{known, options, row, known.Members["rows"], known.Members["both"]})
	read := NewNames([]string{"to", "cardNumber", "ID", "id"})
	for _, tt := range []struct{ in, want string }{
		{`{"Path":"/etc"}`, `argument name "Path" would be read as "path" by a parser that ignores case, at byte 1`},
		{`{"path":1,"maxbytes":2}`, `argument name "maxbytes" would be read as "maxBytes" by a parser that ignores case, at byte 10`},
		{`{"x":[{"a":1,"A":2}]}`, `argument names "a" and "A" differ only in case, at byte 13`},
		{`{"a":[{"b":{"To":1}}]}`, `argument name "To" would be read as "to" by a parser that ignores case, at byte 12`},
		{`{"a":{"cardnumber":1}}`, `argument name "cardnumber" would be read as "cardNumber" by a parser that ignores case, at byte 6`},
		{`{"opts":{"Mode":1}}`, `argument name "Mode" would be read as "mode" by a parser that ignores case, at byte 9`},
		{`{"any":{"dryrun":1}}`, `argument name "dryrun" would be read as "dryRun" by a parser that ignores case, at byte 8`},
		{`{"rows":[{"m\u004fde":1}]}`, `argument name "mOde" would be read as "mode" by a parser that ignores case, at byte 10`},
		{`{"rows":[{},{"mode":1,"from":1}]}`, `argument name "from" would be read as "From" by a parser that ignores case, at byte 22`},
		{`{"rows":[0,{"x":{"y":{"FROM":1}}}]}`, `argument name "FROM" would be read as "From" by a parser that ignores case, at byte 22`},
		{`{"x":{"a":1,"b":1,"c":1,"d":1,"e":1,"f":1,"g":1,"h":1,"i":1,"j":1,"k":1,"l":1,"m":1,"n":1,"o":1,"p":1,"q":1,"r":1,"D":1}}`, `argument names "d" and "D" differ only in case, at byte 114`},
		{`{"a":{"Id":1}}`, `argument name "Id" would be read as "ID" by a parser that ignores case, at byte 6`},
		{`{"both":{"k":1,"K":1}}`, `argument names "k" and "K" differ only in case, at byte 15`},
		{`{"q":"a{b}","z":{"S":1,"ſ":2}}`, `argument names "S" and "\u017f" differ only in case, at byte 23`},
	} {
		if err := CheckArguments([]byte(tt.in), read, known); err == nil || err.Error() != tt.want {
			t.Errorf("CheckArguments(%s) = %v; want %s", tt.in, err, tt.want)
		}
	}
	for _, ok := range []string{`{"path":"/x","Other":1,"maxBytes":3}`, `{"a":{"Path":1}}`, `{"opts":{"mode":{"Mode":1},"Path":1}}`,
		`{"rows":[{"from":1},{"Mode":1}]}`, `{"path":{"Mode":1}}`, `{"rows":{"Mode":1}}`, `{"both":{"k":{"K":1}}}`, `{"both":{"K":1}}`, `{"a":{"to":1,"cardNumber":2},"ID":1}`, `{"id":1}`, ``} {
		if err := CheckArguments([]byte(ok), read, known); err != nil {
			t.Errorf("CheckArguments(%s) = %v", ok, err)
		}
	}
}

func TestSpansCoverTheValues(t *testing.T) {
	doc := []byte(` { "a" : [1, {"b":"]\\\""} , null] , "c\u0064":"x" ,"e":-1.5e3 } `)
	members, err := Object(doc)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, m := range members {
		got = append(got, m.Name+"="+string(m.Value().Of(doc)))
	}
	want := `a=[1, {"b":"]\\\""} , null]|cd="x"|e=-1.5e3`
	if s := strings.Join(got, "|"); s != want {
		t.Errorf("members = %s; want %s", s, want)
	}
	arr, err := Array(members[0].Value().Of(doc))
	if err != nil || len(arr) != 3 {
		t.Errorf("Array = %v, %v; want 3 elements", arr, err)
	}
}

func FuzzCheck(f *testing.F) {
	for _, s := range []string{`{"a":1}`, `[]`, `{"a":{"b":"\u0000"}}`, `"\ud800"`, `1e400`, "\xff", `{"a":1,"a":2}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if Check(data, Limits{}) != nil {
			return
		}
		// What we accept, the shallow readers must walk without leaving the document.
		if members, err := Object(data); err == nil {
			for _, m := range members {
				if err := Check(m.Value().Of(data), Limits{}); err != nil {
					t.Errorf("member %q of %q is not a value: %v", m.Name, data, err)
				}
			}
		}
		if spans, err := Array(data); err == nil {
			for _, s := range spans {
				if err := Check(s.Of(data), Limits{}); err != nil {
					t.Errorf("element of %q is not a value: %v", data, err)
				}
			}
		}
	})
}

func BenchmarkCheck300B(b *testing.B) {
	doc := []byte(`{"jsonrpc":"2.0","id":17,"method":"tools/call","params":{"name":"read_file","arguments":{"path":"/srv/docs/readme.md","limit":100,"recursive":false},"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28","io.modelcontextprotocol/clientCapabilities":{},"progressToken":17}}}`)
	scope := NewScope(NewKeySet("jsonrpc", "id", "method", "params", "name", "arguments"), map[string]*Scope{"arguments": nil})
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := CheckScope(doc, Limits{}, scope); err != nil {
			b.Fatal(err)
		}
	}
}
