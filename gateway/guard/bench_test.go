package guard

import (
	"fmt"
	"strings"
	"testing"

	"sallyport/internal/strictjson"
)

// The texts of the benchmark: prose, JSON in a text as most servers send it, and what is not
// ASCII.
var benchTexts = []struct{ name, line string }{
	{"prose", "The quick brown fox jumps over the lazy dog, and says \"so\" (twice); see notes [1] and x < y.\n"},
	{"json", `{"id":1,"name":"ann","tags":["a","b"],"note":"nothing to see","url":"https://example.com/a"},` + "\n"},
	{"wide", "Grüße aus Köln – 日本語のテキスト、そして “quotes”. Ελληνικά и русский.\n"},
	{"markup", "See [the page](https://example.com/a) and <b>this</b> <img src=\"a.png\">.\n"},
}

func BenchmarkJudge(b *testing.B) {
	d := door(b, everywhere)
	for _, size := range []int{1 << 10, 10 << 10, 1 << 20} {
		for _, tt := range benchTexts {
			text := strings.Repeat(tt.line, size/len(tt.line)+1)
			doc := append(strictjson.AppendString([]byte(`{"content":[{"type":"text","text":`), text), "}]}"...)
			b.Run(fmt.Sprintf("%s/%dKB", tt.name, size>>10), func(b *testing.B) {
				b.SetBytes(int64(len(doc)))
				b.ReportAllocs()
				for b.Loop() {
					if _, _, err := d.Judge(ToolResult, doc, nil); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
