package main

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"sallyport/gateway/guard/secrets"
)

// scanTexts are what most results hold: prose, JSON as a text, and the worst that a server could send
// on purpose: one long run of base64, which has to be decoded before it can be searched.
var scanTexts = []struct{ name, line string }{
	{"prose", "The quick brown fox jumps over the lazy dog, and says so (twice); see notes [1] and x < y. "},
	{"json", `{"id":1,"name":"ann","tags":["a","b"],"note":"nothing to see","url":"https://example.com/a"},`},
	{"base64", "VGhlIHF1aWNrIGJyb3duIGZveCBqdW1wcyBvdmVyIHRoZSBsYXp5IGRvZywgYW5kIHNheXM"},
}

// scan times the search for secrets alone, as a multiple of reading the same bytes with
// encoding/json in the same run.
func (b *bench) scan(ctx context.Context) error {
	scanner, err := secrets.New(secrets.Options{Markers: []secrets.Marker{{Name: "canary", Value: "a-marker-that-is-nowhere"}}})
	if err != nil {
		return err
	}
	markers := scanner.Markers()
	fmt.Printf("\nsearch for secrets in a JSON result\n%-8s %-7s %14s %14s %14s %10s\n", "text", "size", "rules MB/s", "markers MB/s", "json.Valid MB/s", "ratio")
	for _, size := range []struct {
		name  string
		bytes int
	}{{"1KB", 1 << 10}, {"10KB", 10 << 10}, {"1MB", 1 << 20}} {
		for _, text := range scanTexts {
			if err := ctx.Err(); err != nil {
				return err
			}
			body, err := json.Marshal(strings.Repeat(text.line, size.bytes/len(text.line)+1)[:size.bytes])
			if err != nil {
				return err
			}
			doc := fmt.Appendf(nil, `{"content":[{"type":"text","text":%s}]}`, body)
			rules, only, valid := b.speeds(doc, scanner, markers)
			fmt.Printf("%-8s %-7s %14.0f %14.0f %14.0f %10.2f\n", text.name, size.name, rules, only, valid, rules/valid)
			b.report.group("scan")[text.name+" "+size.name] = map[string]float64{"rules_mb_s": rules, "markers_mb_s": only, "json_valid_mb_s": valid}
		}
	}
	return nil
}

// speeds are medians over interleaved rounds, in MB/s.
func (b *bench) speeds(doc []byte, scanner, markers *secrets.Scanner) (rules, only, valid float64) {
	var samples [3][]float64
	for range b.rounds {
		for i, one := range []func(){func() { scanner.JSON(doc) }, func() { markers.JSON(doc) }, func() { json.Valid(doc) }} {
			began, n := time.Now(), 0
			for ; time.Since(began) < b.duration/10; n++ {
				one()
			}
			samples[i] = append(samples[i], float64(n*len(doc))/1e6/time.Since(began).Seconds())
		}
	}
	for i := range samples {
		slices.Sort(samples[i])
	}
	mid := b.rounds / 2
	return samples[0][mid], samples[1][mid], samples[2][mid]
}
