package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"sallyport/gateway/pin"
)

// catalogueTable shows entries, one a line, with what is to be known of each below it.
func catalogueTable(entries []pin.Entry) string {
	if len(entries) == 0 {
		return "no definition was seen yet\n"
	}
	var b strings.Builder
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, e := range entries {
		digest := shortDigest(e.Digest)
		switch {
		case e.Digest == "":
			digest = shortDigest(e.Seen)
		case e.Seen != "":
			digest += " now " + shortDigest(e.Seen)
		}
		eras := ""
		if len(e.Eras) == 1 {
			eras = e.Eras[0]
		}
		_, _ = fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", e.State, pin.Visible(e.Label()), digest, eras) // into memory
		if e.Problem != "" {
			_, _ = fmt.Fprintf(w, "\t  not served: %s\n", pin.Visible(e.Problem))
		}
		for _, f := range e.Findings {
			_, _ = fmt.Fprintf(w, "\t  %s\n", findingLine(f))
		}
	}
	_ = w.Flush() // into memory
	lines := strings.Split(b.String(), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(lines[i], " ")
	}
	return strings.Join(lines, "\n")
}

func findingLine(f pin.Finding) string {
	where := ""
	if f.Where != "" {
		where = pin.Visible(f.Where) + ": "
	}
	return "finding: " + f.Rule + ": " + where + pin.Visible(f.What)
}

// shortDigest is enough to tell definitions apart by eye.
func shortDigest(digest string) string {
	const most = len("sha256:") + 12
	if len(digest) > most {
		return digest[:most]
	}
	return digest
}

// difference is what `tools diff -o json` prints of an entry.
type difference struct {
	pin.Entry
	Changes []pin.Change `json:"changes"`
}

func differences(entries []pin.Entry) []difference {
	out := []difference{}
	for _, e := range entries {
		d := difference{Entry: e, Changes: []pin.Change{}}
		if e.Current != nil {
			d.Changes = pin.Diff(e.Pinned, e.Current)
		}
		out = append(out, d)
	}
	return out
}

// printDiff shows what is another than what is pinned.
func (a *app) printDiff(entries []pin.Entry) error {
	if len(entries) == 0 {
		a.say("everything is as it is pinned")
		return nil
	}
	var b strings.Builder
	for i, d := range differences(entries) {
		if i > 0 {
			b.WriteByte('\n')
		}
		writeDifference(&b, d)
	}
	return a.printf("%s", b.String())
}

func writeDifference(b *strings.Builder, d difference) {
	fmt.Fprintf(b, "%s: %s (%s)\n", pin.Visible(d.Label()), d.State, strings.Join(d.Eras, ", "))
	switch {
	case d.Digest == "":
		b.WriteString("  pinned  nothing\n")
	case d.Review != nil:
		fmt.Fprintf(b, "  pinned  %s, reviewed by %s\n", d.Digest, pin.Visible(d.Review.By))
	default:
		fmt.Fprintf(b, "  pinned  %s, first seen %s, reviewed by nobody\n", d.Digest, d.First)
	}
	if d.Seen != "" {
		fmt.Fprintf(b, "  now     %s\n", d.Seen)
	}
	if d.Problem != "" {
		fmt.Fprintf(b, "  cannot be served: %s\n", pin.Visible(d.Problem))
	}
	for _, f := range d.Findings {
		fmt.Fprintf(b, "  %s\n", findingLine(f))
	}
	for _, c := range d.Changes {
		fmt.Fprintf(b, "  %s (%s)\n", c.Path, c.What)
		for _, line := range c.Lines {
			fmt.Fprintf(b, "    %s\n", line)
		}
	}
}
