package pin

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"sallyport/gateway/guard/hidden"
	"sallyport/gateway/wire"
	"sallyport/internal/strictjson"
)

const head = `# The definitions that Sallyport has pinned: what clients are served, and what waits for a review
# (pending). Review with "sallyport tools diff" and "sallyport tools approve". Each digest is that of
# the definition below it, so an edited definition does not load; to drop a pin, stop the gateway
# and remove its entry.
version: 1
`

// writeFile puts the file in place whole or not at all, also after a power cut.
func writeFile(path string, data []byte) error {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, ".new-*") // mode 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // not there after the rename
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// marshal writes the file by hand: what is not plain text must be seen in it, and yaml libraries
// leave most of that as it is. Everything is sorted, so that differences are those of the content.
func marshal(servers map[string]*server) []byte {
	var b bytes.Buffer
	b.WriteString(head)
	b.WriteString("servers:")
	none := " {}\n"
	for _, name := range slices.Sorted(maps.Keys(servers)) {
		if len(servers[name].entries) == 0 {
			continue
		}
		if none != "" {
			b.WriteByte('\n')
			none = ""
		}
		fmt.Fprintf(&b, "  %s:\n", scalar(name))
		servers[name].marshal(&b)
	}
	b.WriteString(none)
	return b.Bytes()
}

func (s *server) marshal(b *bytes.Buffer) {
	for kind := range kinds {
		var names []string
		for k, e := range s.entries {
			if k.kind == Kind(kind) && len(e.all()) > 0 {
				names = append(names, k.name)
			}
		}
		if len(names) == 0 {
			continue
		}
		slices.Sort(names)
		fmt.Fprintf(b, "    %s:\n", kinds[kind].section)
		for _, name := range names {
			e := s.entries[key{Kind(kind), name}]
			indent := "      "
			if Kind(kind) != Instructions {
				fmt.Fprintf(b, "      %s:\n", scalar(name))
				indent = "        "
			}
			marshalVersions(b, indent, e.pin, false)
			marshalVersions(b, indent, e.pending, true)
		}
	}
}

// marshalVersions writes a version once, with all eras that have it.
func marshalVersions(b *bytes.Buffer, indent string, versions [2]*version, pending bool) {
	for era, v := range versions {
		if v == nil || era == 1 && v == versions[0] {
			continue
		}
		eras := wire.Era(era).String()
		if era == 0 && versions[1] == v {
			eras += ", " + wire.Era(1).String()
		}
		fmt.Fprintf(b, "%s- eras: [%s]\n", indent, eras)
		indent := indent + "  "
		if pending {
			fmt.Fprintf(b, "%spending: true # not served until it is approved\n", indent)
		}
		fmt.Fprintf(b, "%sdigest: %s\n%sfirst: %s\n", indent, v.digest, indent, v.first.Format(time.RFC3339))
		if v.reviewed != nil {
			fmt.Fprintf(b, "%sreviewed: {by: %s, at: %s}\n", indent, quoted(v.reviewed.By), v.reviewed.At.Format(time.RFC3339))
		}
		marshalDefinition(b, indent, v.raw)
	}
}

// marshalDefinition writes the bytes so that they can be read back exactly: indented where their
// compact form is what the server wrote, by lines where they are one long text, quoted else.
func marshalDefinition(b *bytes.Buffer, indent string, raw []byte) {
	if text, err := strictjson.String(raw); err == nil && string(strictjson.AppendString(nil, text)) == string(raw) {
		fmt.Fprintf(b, "%stext:\n", indent)
		for line := range strings.SplitSeq(text, "\n") {
			fmt.Fprintf(b, "%s- %s\n", indent, quoted(line))
		}
		return
	}
	var compact, pretty bytes.Buffer
	if json.Compact(&compact, raw) == nil && bytes.Equal(compact.Bytes(), raw) && printable(raw) &&
		json.Indent(&pretty, raw, indent+"  ", "  ") == nil {
		fmt.Fprintf(b, "%sdefinition: |\n%s  %s\n", indent, indent, pretty.Bytes())
		return
	}
	fmt.Fprintf(b, "%sexact: %s\n", indent, quoted(string(raw)))
}

// printable reports that raw can stand in a YAML block as it is, and is seen there as it is.
func printable(raw []byte) bool {
	for _, r := range string(raw) {
		if !strconv.IsPrint(r) {
			return false
		}
	}
	return hidden.Check(string(raw)) == nil // some letters are blank
}

// quoted is a YAML scalar in double quotes; Go's escapes are all YAML's too. In ASCII, so that
// nothing hides in it.
func quoted(s string) string { return strconv.QuoteToASCII(s) }

// scalar quotes a key unless it is a plain name.
func scalar(s string) string {
	for i, c := range s {
		letter := 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || c == '_'
		if !letter && (i == 0 || !('0' <= c && c <= '9') && c != '-' && c != '.') {
			return quoted(s)
		}
	}
	switch strings.ToLower(s) {
	case "", "y", "n", "yes", "no", "on", "off", "true", "false", "null": // yaml reads them as other things
		return quoted(s)
	}
	return s
}
