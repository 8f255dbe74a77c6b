package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"html"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// colors of the programs in the curves; legible on white and on dark.
var colors = map[string]string{"direct": "#7b8794", "reverseproxy": "#d97706", "nginx": "#2f855a", "sallyport": "#2563eb"}

// pages writes the report for people: Markdown, the numbers, a page with the curves, and the histograms
// that they were drawn from.
func (r *report) pages(dir string) error {
	if dir == "" {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil { // for others to read
		return err
	}
	curves, _ := r.numbers["open_loop"].(map[string]any)
	var all map[string][]openResult
	if curves != nil {
		all, _ = curves["targets"].(map[string][]openResult)
	}
	text, err := json.MarshalIndent(r.numbers, "", "  ")
	if err != nil {
		return err
	}
	write := func(name, text string) error { return os.WriteFile(filepath.Join(dir, name), []byte(text), 0o644) }
	return errors.Join(write("report.json", string(text)+"\n"), write("report.md", r.markdown(all)), write("index.html", r.page(all)),
		keepRaw(filepath.Join(dir, "histograms.tsv"), all))
}

// ways are the programs of the comparison in the order in which they are told.
func ways(all map[string][]openResult) []string {
	order := []string{"direct", "reverseproxy", "nginx", "sallyport"}
	var out []string
	for name := range all {
		if !slices.Contains(order, name) {
			order = append(order, name)
		}
	}
	for _, name := range order {
		if len(all[name]) > 0 {
			out = append(out, name)
		}
	}
	return out
}

func (r *report) markdown(all map[string][]openResult) string {
	var b strings.Builder
	machine := r.group("machine")
	fmt.Fprintf(&b, "# Benchmark report\n\n%v, %v cores, %v. Ratios within this run are what to compare.\n", machine["cpu"], machine["cores"], machine["go"])
	for _, size := range sizes {
		samples, ok := r.group("throughput")[size.name].(map[string]sample)
		if !ok {
			continue
		}
		fmt.Fprintf(&b, "\n## %s call, %s reply, closed loop\n\n| | calls/s | p50 µs | p99 µs | CPU µs | RSS MiB |\n|---|---|---|---|---|---|\n", size.name, size.name)
		for _, name := range []string{"direct", "reverseproxy", "nginx", "sallyport"} {
			if s, ok := samples[name]; ok {
				fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.1f | %.0f |\n", name, s.RPS, s.P50, s.P99, s.CPU, float64(s.RSS)/1024)
			}
		}
	}
	if len(all) > 0 {
		fmt.Fprintf(&b, "\n## 300 B at a fixed rate, %d connections\n\nFrom when each request was due (coordinated omission corrected). The histograms are in histograms.tsv.\n\n", openCallers)
		b.WriteString("| | asked/s | done/s | p50 µs | p99 µs | p99.9 µs | added p99 µs | send lateness p99 µs |\n|---|---|---|---|---|---|---|---|\n")
		for _, name := range ways(all) {
			for i, o := range all[name] {
				added := "–"
				if len(all["direct"]) > i {
					added = fmt.Sprintf("%.0f", o.Micros["p99"]-all["direct"][i].Micros["p99"])
				}
				fmt.Fprintf(&b, "| %s | %.0f | %.0f | %.0f | %.0f | %.0f | %s | %.0f |\n", name, o.Rate, o.Achieved, o.Micros["p50"], o.Micros["p99"], o.Micros["p99.9"], added, o.Late)
			}
		}
	}
	return b.String()
}

// page is the report with its curves, in one file that needs nothing else.
func (r *report) page(all map[string][]openResult) string {
	machine := r.group("machine")
	var b strings.Builder
	b.WriteString(`<!doctype html><html lang="en"><meta charset="utf-8"><meta name="viewport" content="width=device-width,initial-scale=1"><title>Benchmark report</title><style>
:root{color-scheme:light dark;--ink:#1f2933;--soft:#616e7c;--line:#cbd2d9;--back:#fff}
@media(prefers-color-scheme:dark){:root{--ink:#f0f4f8;--soft:#9fb3c8;--line:#486581;--back:#102a43}}
body{font:16px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--back);max-width:60rem;margin:2rem auto;padding:0 1rem}
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.25rem .8rem;text-align:right;border-bottom:1px solid var(--line)}td:first-child,th:first-child{text-align:left}
p{color:var(--soft)}svg{width:100%;height:auto}svg text{fill:var(--soft);font-size:12px}.grid{stroke:var(--line);stroke-width:.7}.axis{stroke:var(--soft)}
</style><h1>Benchmark report</h1>`)
	fmt.Fprintf(&b, "<p>%s, %v cores, %v. Load, programs and server share the machine; ratios within this run are what to compare.</p>",
		html.EscapeString(fmt.Sprint(machine["cpu"])), machine["cores"], html.EscapeString(fmt.Sprint(machine["go"])))
	for _, q := range []string{"p50", "p99", "p99.9"} {
		if len(all) > 0 {
			fmt.Fprintf(&b, "<h2>%s of 300 B calls against the rate asked for</h2>%s", q, curve(all, q))
		}
	}
	if len(all) > 0 {
		b.WriteString("<p>Latency is counted from when a request was due, so a program that stalls is not spared the requests that came meanwhile. A curve ends where less than 97 % of what was asked for was answered.</p>")
	}
	b.WriteString(tableOf(r.markdown(all)))
	return b.String() + "</html>\n"
}

// curve draws one quantile of all programs over the rates, both axes logarithmic.
func curve(all map[string][]openResult, q string) string {
	const w, h, left, right, top, bottom = 760.0, 330.0, 70.0, 120.0, 16.0, 42.0
	low, high := math.Inf(1), 0.0
	for _, rs := range all {
		for _, o := range rs {
			if v := o.Micros[q]; v > 0 && o.Achieved >= 0.97*o.Rate {
				low, high = min(low, v), max(high, v)
			}
		}
	}
	if high == 0 {
		return "<p>no program kept up with any rate</p>"
	}
	low, high = math.Pow(10, math.Floor(math.Log10(low))), math.Pow(10, math.Ceil(math.Log10(high)))
	x := func(rate float64) float64 {
		return left + (w-left-right)*(math.Log(rate)-math.Log(rates[0]))/(math.Log(rates[len(rates)-1])-math.Log(rates[0]))
	}
	y := func(v float64) float64 {
		return top + (h-top-bottom)*(1-(math.Log(v)-math.Log(low))/(math.Log(high)-math.Log(low)))
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg viewBox="0 0 %.0f %.0f" role="img" aria-label="%s of each program against the rate">`, w, h, q)
	for v := low; v <= high*1.01; v *= 10 {
		fmt.Fprintf(&b, `<line class="grid" x1="%.0f" x2="%.0f" y1="%.1f" y2="%.1f"/><text x="%.0f" y="%.1f" text-anchor="end">%s</text>`, left, w-right, y(v), y(v), left-8, y(v)+4, micros(v))
	}
	for _, rate := range rates {
		fmt.Fprintf(&b, `<line class="grid" x1="%.1f" x2="%.1f" y1="%.0f" y2="%.0f"/><text x="%.1f" y="%.0f" text-anchor="middle">%.0f/s</text>`, x(rate), x(rate), top, h-bottom, x(rate), h-bottom+18, rate)
	}
	type label struct {
		name  string
		x, at float64
	}
	var labels []label
	for _, name := range ways(all) {
		color := colors[name]
		if color == "" {
			color = "#b83280"
		}
		var points []string
		last, end := 0.0, 0.0
		for _, o := range all[name] {
			if o.Achieved < 0.97*o.Rate || o.Micros[q] <= 0 {
				break
			}
			last, end = y(o.Micros[q]), x(o.Rate)
			points = append(points, fmt.Sprintf("%.1f,%.1f", x(o.Rate), last))
			fmt.Fprintf(&b, `<circle cx="%.1f" cy="%.1f" r="3.2" fill="%s"><title>%s, %.0f/s: %.0f µs</title></circle>`, x(o.Rate), last, color, name, o.Rate, o.Micros[q])
		}
		if len(points) > 0 {
			fmt.Fprintf(&b, `<polyline fill="none" stroke="%s" stroke-width="2.2" points="%s"/>`, color, strings.Join(points, " "))
			labels = append(labels, label{name, end, last})
		}
	}
	slices.SortFunc(labels, func(a, b label) int { return int(a.at - b.at) })
	at := 0.0
	for _, l := range labels { // names do not lie over each other
		at = max(at+15, l.at)
		fmt.Fprintf(&b, `<text x="%.0f" y="%.1f" style="fill:%s;font-weight:600">%s</text>`, l.x+10, at+4, colors[l.name], html.EscapeString(l.name))
	}
	return b.String() + "</svg>"
}

func micros(v float64) string {
	switch {
	case v >= 1e6:
		return fmt.Sprintf("%.0f s", v/1e6)
	case v >= 1e3:
		return fmt.Sprintf("%.0f ms", v/1e3)
	}
	return fmt.Sprintf("%.0f µs", v)
}

// tableOf turns the report's own Markdown, which has headings, paragraphs and tables, into HTML.
func tableOf(markdown string) string {
	var b strings.Builder
	in := false
	for _, line := range strings.Split(markdown, "\n") {
		row := strings.HasPrefix(line, "|")
		if in && !row {
			b.WriteString("</table>")
		}
		switch {
		case strings.HasPrefix(line, "|---"):
		case row:
			if !in {
				b.WriteString("<table>")
			}
			b.WriteString("<tr>")
			for _, cell := range strings.Split(strings.Trim(line, "|"), "|") {
				fmt.Fprintf(&b, "<td>%s</td>", html.EscapeString(strings.TrimSpace(cell)))
			}
			b.WriteString("</tr>")
		case strings.HasPrefix(line, "## "):
			fmt.Fprintf(&b, "<h2>%s</h2>", html.EscapeString(line[3:]))
		}
		in = row
	}
	return b.String()
}
