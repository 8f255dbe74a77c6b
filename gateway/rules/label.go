package rules

import (
	"fmt"
	"slices"
	"strings"
	"unicode"
)

// Labels that the gateway and its example policies know.
const (
	SourcePrivate   = "source:private"   // what it returns is not for everybody
	SourceUntrusted = "source:untrusted" // what it returns may have been written by an attacker
	SinkExternal    = "sink:external"    // what it is told can leave the organisation
	SinkInternal    = "sink:internal"    // what it is told can be read by others inside
)

const (
	sinkPrefix    = "sink:"
	contentPrefix = "content:"
	maxLabel      = 128
)

// Kinds are the kinds of content that a result can hold.
var Kinds = []string{"text", "image", "audio", "resource", "resource_link", "blob"}

// reserved are the prefixes of labels that something is done with, and what may follow them.
var reserved = map[string][]string{
	"source:":     {SourcePrivate, SourceUntrusted},
	sinkPrefix:    {SinkExternal, SinkInternal},
	contentPrefix: contentLabels(),
}

func contentLabels() []string {
	var out []string
	for _, k := range Kinds {
		out = append(out, contentPrefix+k)
	}
	return out
}

// KnownLabel says why l is no label. Labels are free, but for those that begin like one that
// something is done with: a misspelt sink:extrenal would leave a door open without a word.
func KnownLabel(l string) error {
	switch {
	case l == "":
		return fmt.Errorf("a label is empty")
	case len(l) > maxLabel:
		return fmt.Errorf("the label %.32q… has %d bytes; a label has at most %d", l, len(l), maxLabel)
	case strings.ContainsFunc(l, func(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }):
		return fmt.Errorf("the label %q has a space or a character that does not print", l)
	}
	for prefix, known := range reserved {
		if strings.HasPrefix(strings.ToLower(l), prefix) && !slices.Contains(known, l) {
			return fmt.Errorf("no label is called %q; with %s begin %s. Call a label of your own otherwise", l, prefix, strings.Join(known, ", "))
		}
	}
	return nil
}

// Sink reports whether one of the labels says that what a tool is told can be read elsewhere.
func Sink(labels []string) bool { return hasPrefix(labels, sinkPrefix) }

// Source reports whether one of the labels says that what comes back is private or untrusted.
func Source(labels []string) bool { return hasPrefix(labels, "source:") }

func hasPrefix(labels []string, prefix string) bool {
	return slices.ContainsFunc(labels, func(l string) bool { return strings.HasPrefix(l, prefix) })
}

// contentOf are the kinds of content that labels allow.
func contentOf(labels []string) []string {
	var out []string
	for _, l := range labels {
		if kind, ok := strings.CutPrefix(l, contentPrefix); ok {
			out = append(out, kind)
		}
	}
	return out
}
