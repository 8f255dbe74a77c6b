package demo

import (
	"fmt"
	"io"
	"strings"
)

// width of the page. Everything printed is ASCII.
const width = 78

// colours of a terminal; none when the output is something else.
type colours struct{ bold, dim, red, green, yellow, off string }

func palette(colour bool) colours {
	if !colour {
		return colours{}
	}
	return colours{bold: "\x1b[1m", dim: "\x1b[2m", red: "\x1b[31m", green: "\x1b[32m", yellow: "\x1b[33m", off: "\x1b[0m"}
}

// page is where the story is printed.
type page struct {
	w io.Writer
	c colours
}

// line prints one line, cut at the width.
func (p page) line(indent int, colour, text string) {
	text = clip(ascii(text), width-indent)
	if colour != "" && text != "" {
		text = colour + text + p.c.off
	}
	_, _ = fmt.Fprintln(p.w, strings.TrimRight(strings.Repeat(" ", indent)+text, " ")) // a closed pipe ends the process anyway
}

func (p page) blank() { p.line(0, "", "") }

// heading begins a part of the story.
func (p page) heading(text string) {
	p.blank()
	p.line(0, p.c.bold, text)
	p.line(0, p.c.dim, strings.Repeat("-", len(text)))
}

// prose prints a paragraph, wrapped.
func (p page) prose(indent int, colour, text string) {
	for _, l := range wrap(ascii(text), width-indent) {
		p.line(indent, colour, l)
	}
}

// field prints "name   text", the text wrapped in its own column.
func (p page) field(indent int, name, colour, text string) {
	const column = 8
	for i, l := range wrap(ascii(text), width-indent-column) {
		label := ""
		if i == 0 {
			label = name
		}
		if colour != "" {
			l = colour + l + p.c.off
		}
		_, _ = fmt.Fprintf(p.w, "%*s%s%-*s%s%s\n", indent, "", p.c.dim, column, label, p.c.off, l)
	}
}

// quote prints what somebody else wrote.
func (p page) quote(indent int, text string) {
	for l := range strings.SplitSeq(strings.TrimRight(text, "\n"), "\n") {
		p.line(indent, p.c.dim, "| "+l)
	}
}

// wrap breaks text at spaces; a word that is longer than the line is cut into pieces, after a
// slash or the like where there is one.
func wrap(text string, most int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		for len(word) > most {
			if line != "" {
				lines, line = append(lines, line), ""
			}
			cut := strings.LastIndexAny(word[:most], "/=,") + 1
			if cut == 0 {
				cut = most
			}
			lines, word = append(lines, word[:cut]), word[cut:]
		}
		switch {
		case line == "":
			line = word
		case len(line)+1+len(word) > most:
			lines, line = append(lines, line), word
		default:
			line += " " + word
		}
	}
	return append(lines, line)
}

func clip(text string, most int) string {
	if len(text) > most {
		return text[:most-3] + "..."
	}
	return text
}

// ascii replaces what a terminal could take for something else than a letter.
func ascii(text string) string {
	return strings.Map(func(r rune) rune {
		if r < ' ' || r > '~' {
			return '?'
		}
		return r
	}, text)
}
