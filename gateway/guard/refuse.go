package guard

import (
	"fmt"
	"strconv"

	"sallyport/internal/strictjson"
)

// What a client is told. It names the kind of fault and nothing that a server said.
const (
	publicForm     = "the server's answer has a form that cannot be checked"
	publicSchema   = "the server's answer does not match the output schema of the tool"
	publicMedia    = "the server's answer holds an image, sound or file that is not what it claims to be"
	publicHidden   = "the server's answer holds hidden characters"
	publicLinks    = "the server's answer holds links to hosts that are not allowed"
	publicSecrets  = "the server's answer holds secrets"
	publicScan     = "the server's answer could not be checked for secrets"
	publicSize     = "the server's answer is larger than the policy allows"
	publicQuestion = "the server's question may not be put to a client"
)

func refusal(public, detail string, args ...any) *Refused {
	return &Refused{Public: public, Detail: fmt.Sprintf(detail, args...)}
}

// maxPointer bounds the bytes of a pointer in a detail, and of a name in it.
const (
	maxPointer = 160
	maxName    = 40
)

// pointer returns the JSON pointer to the value or name at offset at, escaped to ASCII and cut
// short. It is made only for what is refused.
func pointer(doc []byte, at int) string {
	w := &walk{doc: doc}
	path := ""
	i := w.space(0)
	for i >= 0 && i < at && len(path) < maxPointer {
		step, next := "", -1
		seek := func(name string, start, end int) int {
			if end <= at {
				return end
			}
			step, next = name, start
			return -1 // nothing more to see
		}
		switch w.at(i) {
		case '{':
			w.each(i, func(name strictjson.Span, value int) int {
				end := w.skip(value, 0)
				raw := string(name.Of(doc))
				if s, err := strictjson.String(doc[name.Start-1 : name.End+1]); err == nil {
					raw = s
				}
				return seek(raw, value, end)
			})
		case '[':
			n := 0
			w.elements(i, func(value int) int {
				end := w.skip(value, 0)
				n++
				return seek(strconv.Itoa(n-1), value, end)
			})
		}
		if next < 0 {
			break
		}
		if len(step) > maxName {
			step = step[:maxName] + "…"
		}
		quoted := strconv.QuoteToASCII(step)
		path += "/" + quoted[1:len(quoted)-1]
		i = next
	}
	if path == "" {
		return "the top"
	}
	return path
}
