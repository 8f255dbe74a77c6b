package pin

import (
	"fmt"
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"sallyport/gateway/catalog"
	"sallyport/gateway/guard/hidden"
	"sallyport/internal/strictjson"
)

// Finding is a hint for whoever reviews a definition. It decides nothing.
type Finding struct {
	Rule  string `json:"rule"`            // one of the constants Finding…
	Where string `json:"where,omitempty"` // the place in the definition
	What  string `json:"what"`
}

// The rules of findings.
const (
	FindingHidden      = "hidden-text"  // not pinned at first sight
	FindingLookAlike   = "look-alike"   // another tool's name or title looks the same
	FindingLong        = "long"         // more text than a tool needs
	FindingInstruction = "instructions" // it speaks to a model rather than of a tool
	FindingEncoded     = "encoded"      // text that a person cannot read
	FindingLink        = "link"         // it leads somewhere
)

const longDescription = 4 << 10 // bytes

// orders are ways of speaking that belong into no description. They find what was written without
// care; one who takes care is not found, so nothing is decided by them.
var orders = []*regexp.Regexp{
	regexp.MustCompile(`(?i)\b(ignore|disregard|forget|override)\b.{0,30}\b(previous|prior|above|earlier|all other|your)\b.{0,30}\b(instruction|prompt|rule|message|context|polic|direction|guideline)`),
	regexp.MustCompile(`(?i)\b(do not|don't|never|without) (tell|mention|inform|reveal|show|notify|alert|ask)(ing)?\b.{0,40}\b(user|human|anyone|anybody|person)\b`),
	regexp.MustCompile(`(?i)<\s*/?\s*(important|system|instructions?|secret|critical|admin|assistant)\s*>`),
	regexp.MustCompile(`(?i)\bbefore (using|calling|invoking|running) (this|any|every|all|other)\b.{0,20}\btools?\b.{0,80}\b(must|should|always|first|read|call|need)\b`),
	regexp.MustCompile(`(?i)\b(system prompt|developer message|hidden instructions?|jailbreak)\b`),
	regexp.MustCompile(`(?i)(\[/?INST\]|<\|im_(start|end)\|>|<\|endoftext\|>|###\s*(system|instruction))`),
	regexp.MustCompile(`(?i)\byou (are|must) now\b|\bnew instructions?\s*:`),
	regexp.MustCompile(`(?i)(~/\.ssh|id_rsa|\.aws/credentials|/etc/passwd|\.env\b file)`),
}

var (
	encoded = regexp.MustCompile(`[A-Za-z0-9+/_-]{120,}={0,2}`)
	link    = regexp.MustCompile(`(?i)\bhttps?://[^\s"'<>()\]]+`)
)

// names are what all servers call their tools, in the form in which look-alikes are the same.
type names map[string][]called

// named is a tool, and called one of the texts by which people know it.
type named struct {
	server, name string
	version      *version
}

type called struct {
	named
	as string
}

// maxTitle is the longest title that is compared; a longer one is taken for no name.
const maxTitle = 256

func namesOf(servers map[string]*server) names {
	n := names{}
	for _, server := range slices.Sorted(maps.Keys(servers)) {
		for k, e := range servers[server].entries {
			if k.kind != Tool {
				continue
			}
			for _, v := range e.all() {
				one := named{server, k.name, v}
				n.add(one, one.name)
				if title := titleOf(v.raw); title != "" && title != one.name && len(title) <= maxTitle {
					n.add(one, title)
				}
			}
		}
	}
	return n
}

func (n names) add(one named, as string) {
	form := hidden.Skeleton(as)
	n[form] = append(n[form], called{one, as})
}

func titleOf(raw []byte) string {
	span, ok := strictjson.Find(raw, "title")
	if !ok {
		return ""
	}
	title, _ := strictjson.String(span.Of(raw)) // else it is no text
	return title
}

// findings looks at one definition.
func (n names) findings(server string, k key, v *version) []Finding {
	var out []Finding
	if v.unseen || v.steers {
		out = append(out, Finding{Rule: FindingHidden, What: fmt.Sprint(unseen(v.raw))})
	}
	if k.kind == Tool {
		out = append(out, n.lookAlikes(server, k.name, "name", k.name, v.digest)...)
		if title := titleOf(v.raw); title != "" && len(title) <= maxTitle {
			out = append(out, n.lookAlikes(server, k.name, "title", title, v.digest)...)
		}
	}
	_ = catalog.EachText(v.raw, func(pointer, text string) error { // the function never fails
		out = append(out, textFindings(pointer, text)...)
		return nil
	})
	return out
}

// lookAlikes says which other tool looks the same, once. The same definition at two servers is
// one program started twice.
func (n names) lookAlikes(server, name, where, text, digest string) []Finding {
	for _, other := range n[hidden.Skeleton(text)] {
		if other.server == server && other.name == name || other.version.digest == digest {
			continue
		}
		how := "looks like"
		if other.as == text {
			how = "is the same as"
		}
		return []Finding{{Rule: FindingLookAlike, Where: where, What: fmt.Sprintf("%q %s that of %s.%s", text, how, other.server, other.name)}}
	}
	return nil
}

// maxJudged is how much of one text is looked at for its wording.
const maxJudged = 16 << 10

func textFindings(pointer, text string) []Finding {
	var out []Finding
	where := catalog.Place(pointer)
	said := pointer == "" || strings.HasSuffix(pointer, "/description") || strings.HasSuffix(pointer, "/title")
	if said && len(text) > longDescription {
		out = append(out, Finding{FindingLong, where, fmt.Sprintf("%d bytes; most tools need less than %d", len(text), longDescription)})
	}
	text = text[:min(len(text), maxJudged)]
	for _, order := range orders {
		if m := order.FindString(text); m != "" {
			out = append(out, Finding{FindingInstruction, where, fmt.Sprintf("speaks to the model: %.80q", m)})
			break
		}
	}
	if m := encoded.FindString(text); m != "" {
		out = append(out, Finding{FindingEncoded, where, fmt.Sprintf("%d characters that may be encoded text: %.40q", len(m), m)})
	}
	if m := link.FindString(text); said && m != "" {
		host := "an address that cannot be read"
		if u, err := url.Parse(strings.TrimRight(m, ".,;:!?")); err == nil && u.Host != "" {
			host = u.Host
		}
		out = append(out, Finding{FindingLink, where, fmt.Sprintf("leads to %.80q", host)})
	}
	return out
}
