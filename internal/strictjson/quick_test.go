package strictjson

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/go-json-experiment/json/jsontext"
	"pgregory.net/rapid"

	"sallyport/internal/corpora"
)

// pieces make documents that are nearly JSON.
var pieces = []string{"{", "}", "[", "]", ",", ":", " ", "\n", `"a"`, `"b"`, `"a`, `"`, `\`, `\u0041`, `\ud83d\ude00`, `\ud83d`, `\u12`, `\n`, `\x`,
	"é", "\xff", "\xc3", "\x00", "\x1f", "\x7f", "0", "1", "-", "01", "1.", ".5", "1e", "1E+5", "1.5e-3", "true", "false", "null", "tru", "nul", "NaN", "\ufeff", `"\u0061":1`}

func genDocument(depth int) *rapid.Generator[string] {
	return rapid.Custom(func(t *rapid.T) string {
		kinds := 2
		if depth > 0 {
			kinds = 4
		}
		switch rapid.IntRange(0, kinds).Draw(t, "kind") {
		case 0:
			return rapid.SampledFrom([]string{"0", "-1.5e3", `"x"`, `"é\n"`, "true", "null", `"\ud83d\ude00"`, "[]", "{ }"}).Draw(t, "scalar")
		case 1:
			return rapid.SampledFrom(pieces).Draw(t, "piece")
		case 2:
			return strings.Join(rapid.SliceOfN(rapid.SampledFrom(pieces), 0, 5).Draw(t, "pieces"), "")
		case 3:
			return "[" + strings.Join(rapid.SliceOfN(genDocument(depth-1), 0, 3).Draw(t, "array"), ",") + "]"
		}
		var members []string
		for _, v := range rapid.SliceOfN(genDocument(depth-1), 0, 3).Draw(t, "object") {
			members = append(members, rapid.SampledFrom([]string{`"a"`, `"b"`, `"c"`, `"\u0061"`, `"é"`, `""`}).Draw(t, "name")+":"+v)
		}
		return "{" + strings.Join(members, rapid.SampledFrom([]string{",", " ,\t"}).Draw(t, "comma")) + "}"
	})
}

// What the quick scan accepts, jsontext accepts.
func TestQuickAcceptsOnlyWhatIsValid(t *testing.T) {
	accepted := 0
	rapid.Check(t, func(t *rapid.T) {
		doc := genDocument(4).Draw(t, "document")
		if certainly([]byte(doc), 64) {
			accepted++
			if !jsontext.Value(doc).IsValid() {
				t.Fatalf("%q was accepted", doc)
			}
		}
	})
	if accepted == 0 {
		t.Error("nothing was accepted")
	}
}

func TestQuickAgreesWithTheSuite(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(corpora.Dir(t, "jsontestsuite", "test_parsing"), "*.json"))
	if err != nil || len(files) < 300 {
		t.Fatalf("%d files, %v", len(files), err)
	}
	accepted := 0
	for _, f := range files {
		data, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if !certainly(data, 1000) {
			continue
		}
		accepted++
		if name := filepath.Base(f); strings.HasPrefix(name, "n_") || !jsontext.Value(data).IsValid() {
			t.Errorf("%s was accepted", name)
		}
	}
	if accepted < 70 {
		t.Errorf("%d files accepted; want most of the valid ones", accepted)
	}
}

// The usual must not need the second look, or the first is only a cost.
func TestQuickKnowsTheUsual(t *testing.T) {
	for _, doc := range []string{`{"a":[1,-2.5e+7,"x\n\u00e9é",true,false,null,{}],"b":{"a":""}}`, ` [ ] `, `"x"`, `0`} {
		if !certainly([]byte(doc), 64) {
			t.Errorf("%s was not accepted", doc)
		}
	}
	many := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"m%d":0`, i)
		}
		return "{" + b.String()[1:] + "}"
	}
	if !certainly([]byte(many(maxQuickNames)), 64) || certainly([]byte(many(maxQuickNames+1)), 64) {
		t.Error("the bound on members is not where it is said to be")
	}
	if deep := strings.Repeat("[", 65) + strings.Repeat("]", 65); certainly([]byte(deep), 64) {
		t.Error("nesting over the limit was accepted")
	}
}

func FuzzQuick(f *testing.F) {
	for _, p := range pieces {
		f.Add([]byte(p))
		f.Add([]byte(`{"a":` + p + `}`))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if certainly(data, 64) && !jsontext.Value(data).IsValid() {
			t.Errorf("%q was accepted", data)
		}
	})
}

func certainly(data []byte, depth int) bool {
	_, _, ok := quickly(data, depth)
	return ok
}
