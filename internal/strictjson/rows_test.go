package strictjson

import (
	"strings"
	"testing"
)

// BenchmarkRows checks 10 KB of the kind that tools take and give: rows of short members.
func BenchmarkRows(b *testing.B) {
	row := `{"id":7,"name":"record 7 of the list","value":7.25,"tags":["alpha","beta"],"done":false}`
	doc := []byte(`{"path":"/srv/docs/a","rows":[` + strings.TrimSuffix(strings.Repeat(row+",", 110), ",") + `]}`)
	b.SetBytes(int64(len(doc)))
	b.ReportAllocs()
	for b.Loop() {
		if err := Check(doc, Limits{}); err != nil {
			b.Fatal(err)
		}
	}
}
