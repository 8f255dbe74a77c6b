package catalog

import (
	"regexp/syntax"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// Drafts before 2019-09 assert formats, and the format "regex" hands text of the caller to the
// engine of the schema's own patterns, long after compiling.
func TestRegexFormatKeepsNothingOfTheCaller(t *testing.T) {
	s, err := Compile([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#","type":"object","properties":{"q":{"type":"string","format":"regex","pattern":"^.*$"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() { // under -race, a write to shared state is an error
			for j := range 50 {
				if err := s.Validate([]byte(`{"q":"a` + strconv.Itoa(i*1000+j) + `b*"}`)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if err := s.Validate([]byte(`{"q":"("}`)); err == nil || err.Error() != `/q: must have the format "regex"` {
		t.Errorf(`Validate("(") = %v; want the format refused`, err)
	}
}

func TestRegexFormatIsCheap(t *testing.T) {
	s, err := Compile([]byte(`{"$schema":"http://json-schema.org/draft-07/schema#","items":{"format":"regex"}}`))
	if err != nil {
		t.Fatal(err)
	}
	expr := `"` + strings.Repeat("(x{1000})", 400) + `",`
	start := time.Now()
	_ = s.Validate([]byte("[" + strings.Repeat(expr, 200) + `"a"]`)) // either answer is a good one
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("200 patterns took %v", took)
	}
}

func TestInstructionsAreNotUndercounted(t *testing.T) {
	for _, expr := range []string{``, `a`, `abc`, `a*`, `a+?`, `(a|b|cd)`, `[a-z]{2,5}`, `(ab?){3,}`, `(x{10}){10,20}`, `(?:a|b)*c{0}`, `(?i)abc|k`,
		`^$|\b\pL+`, `((a*)+)?`, `(|a|){7}`, `.{0,100}`, `(?s).*\z`} {
		tree, err := syntax.Parse(expr, syntax.Perl)
		if err != nil {
			t.Fatal(err)
		}
		prog, err := syntax.Compile(tree.Simplify())
		if err != nil {
			t.Fatal(err)
		}
		const frame = 2 // fail and match
		tree, _ = syntax.Parse(expr, syntax.Perl)
		if got, want := instructions(tree), len(prog.Inst)-frame; got < want || got > 3*want+3 {
			t.Errorf("instructions(%s) = %d; the program has %d", expr, got, want)
		}
	}
}

func TestPatternBudget(t *testing.T) {
	for _, tt := range []struct{ expr, want string }{
		{`^[a-z]{1,64}$`, ""},
		{`(?i)^https?://[^/]+/.*$`, ""},
		{`a{1000}`, ""},
		{strings.Repeat("a", 5000), "pattern of 5000 bytes; the limit is 4096"},
		{`(a{100}){9}(b{1000})(c{500}){2}(d{1000})(e{1000})`, "instructions; the limit is 4000"},
		{strings.Repeat("(x{1000})", 400), "instructions; the limit is 4000"},
		{`(?=a)b`, "invalid or unsupported Perl syntax: `(?=`"},
		{`(a)\1`, "invalid escape sequence: `\\1`"},
		{`(?<!a)b`, "invalid named capture: `(?<!a)b`"},
		{`(`, "missing closing )"},
		{`a{1001}`, "invalid repeat count: `{1001}`"},
		{`\cA`, "invalid escape sequence: `\\c`"},
	} {
		_, err := compilePattern(tt.expr)
		if tt.want == "" && err != nil || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
			t.Errorf("compilePattern(%.40s) = %v; want %q", tt.expr, err, tt.want)
		}
	}
	start := time.Now()
	bomb := `{"allOf":[` + strings.Repeat(`{"pattern":"`+strings.Repeat("(x{1000})", 400)+`"},`, 60) + `true]}`
	if _, err := Compile([]byte(bomb)); err == nil {
		t.Error("sixty patterns of 400,000 instructions were accepted")
	}
	if took := time.Since(start); took > 5*time.Second {
		t.Errorf("refusing them took %v", took)
	}
}
