package federate

import (
	"errors"
	"fmt"
	"strings"

	"sallyport/identity"
)

// maxSubject bounds the subject that a template makes, in bytes.
const maxSubject = 512

// free are the characters of a claim's value that a subject holds as they are. All others, the
// colon among them, are percent-encoded, so that a value cannot reach past its place.
const free = letters + digits + "._~@/-"

// template makes a subject of claims, so that two identities never give one subject: between two
// claims there is always a character that no value holds. literals has one element more than
// claims.
type template struct {
	literals []string
	claims   []requirement // what names them; want is not used
}

// parseTemplate reads a subject as "ci:github:{repository_id}:{run_id}".
func parseTemplate(s string) (template, error) {
	var t template
	if len(s) > maxSubject {
		return t, fmt.Errorf("is longer than %d bytes", maxSubject)
	}
	for rest := s; ; {
		literal, after, more := strings.Cut(rest, "{")
		if strings.ContainsAny(literal, "}%") {
			return t, errors.New("has a } without {, or a %, which stands for characters of claims")
		}
		t.literals = append(t.literals, literal)
		if !more {
			break
		}
		if len(t.claims) > 0 && only(literal, free) {
			return t, errors.New("has two claims without a colon between them, so two identities could give one subject")
		}
		name, tail, closed := strings.Cut(after, "}")
		path, err := parsePath(name)
		if !closed || err != nil || strings.Contains(name, "{") {
			return t, errors.New("wants the name of a claim between { and }, as {sub} or {kubernetes.io/pod/uid}")
		}
		t.claims = append(t.claims, requirement{name: name, path: path})
		rest = tail
	}
	if len(t.claims) == 0 {
		return t, errors.New("holds no claim, so everybody would be the same; use one that tells them apart, as {sub}")
	}
	if err := identity.CheckText(s); err != nil {
		return t, err
	}
	return t, nil
}

// fill makes the subject, or says which claim stands in the way.
func (t template) fill(c *claims) (subject, why string) {
	var b strings.Builder
	b.WriteString(t.literals[0])
	for i, claim := range t.claims {
		value, why := c.find(claim.path)
		if why != "" {
			return "", claim.name + ", of which the subject is made, " + why
		}
		escape(&b, value)
		b.WriteString(t.literals[i+1])
	}
	if b.Len() > maxSubject {
		return "", fmt.Sprintf("the subject would be longer than %d bytes", maxSubject)
	}
	return b.String(), ""
}

func escape(b *strings.Builder, value string) {
	for i := range len(value) {
		if c := value[i]; strings.IndexByte(free, c) >= 0 {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(b, "%%%02X", c)
		}
	}
}

// meets reports whether some subject could come of both templates. It may say so where none can.
// No value holds a colon, so the texts between the colons must agree one by one.
func (t template) meets(u template) bool {
	a, b := t.fields(), u.fields()
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if !a[i].meets(b[i]) {
			return false
		}
	}
	return true
}

// field is what stands between two colons: a literal, or what begins and ends with literals and
// has claims between.
type field struct {
	begin, end string
	open       bool // has a claim; otherwise begin is all of it
}

func (t template) fields() []field {
	var fields []field
	current := field{}
	for i, literal := range t.literals {
		if i > 0 {
			current.open, current.end = true, ""
		}
		for j, part := range strings.Split(literal, ":") {
			if j > 0 {
				fields = append(fields, current)
				current = field{}
			}
			if current.open {
				current.end = part
			} else {
				current.begin = part
			}
		}
	}
	return append(fields, current)
}

func (a field) meets(b field) bool {
	switch {
	case !a.open && !b.open:
		return a.begin == b.begin
	case !a.open:
		return b.meets(a)
	case !b.open:
		return len(b.begin) > len(a.begin)+len(a.end) && strings.HasPrefix(b.begin, a.begin) && strings.HasSuffix(b.begin, a.end)
	}
	return (strings.HasPrefix(a.begin, b.begin) || strings.HasPrefix(b.begin, a.begin)) &&
		(strings.HasSuffix(a.end, b.end) || strings.HasSuffix(b.end, a.end))
}
