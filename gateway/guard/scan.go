package guard

import (
	"cmp"
	"slices"
	"strings"

	"sallyport/gateway/guard/secrets"
	"sallyport/internal/strictjson"
)

// redactSecrets replaces the document by one without the secrets that the policy asks about, and
// without markers, which are always taken out. What was not scanned to its end is refused where
// the policy asks and does not let it pass.
func (w *walk) redactSecrets() *Refused {
	scanner := w.a.Secrets
	asked := (w.a.Redact|w.a.Refuse)&Secrets != 0
	switch {
	case scanner != nil:
	case asked:
		scanner = w.d.secrets
	default: // markers are looked for always; the rules cost more, and nobody would hear of what they find
		scanner = w.d.markers
	}
	if scanner == nil {
		if asked {
			return refusal(publicScan, "the policy asks about secrets, and there is no scanner (guards.secrets is false)")
		}
		return nil
	}
	return w.redactFound(scanner.JSON(w.doc), asked)
}

// redactFound does what is asked about what was found.
func (w *walk) redactFound(res secrets.Result, asked bool) *Refused {
	if !res.Complete {
		if asked && !w.a.PassUnscanned {
			return refusal(publicScan, `not scanned for secrets to its end: %s; an obligation with "unscanned": "pass" lets it through`, clip(res.Why, 200))
		}
		w.r.Unscanned = true
	}
	var found []secrets.Finding
	for _, f := range res.Findings {
		if f.Marker || asked {
			found = append(found, f)
			w.r.rule(ruleName(f.Rule))
			w.r.Canary = w.r.Canary || f.Marker
		}
	}
	if len(found) == 0 {
		return nil
	}
	if w.a.Refuse&Secrets != 0 {
		return refusal(publicSecrets, "the policy refuses secrets, and %d were found (%s)", len(found), strings.Join(w.r.Rules, ", "))
	}
	doc, n := redact(w.doc, found)
	if strictjson.Check(doc, strictjson.Limits{Depth: maxDepth}) != nil {
		return refusal(publicSecrets, "a secret stands where it cannot be taken out (%s)", strings.Join(w.r.Rules, ", "))
	}
	w.doc, w.r.Secrets = doc, w.r.Secrets+n
	return nil
}

// redact replaces each finding by a note; of findings that overlap, their union.
func redact(doc []byte, found []secrets.Finding) ([]byte, int) {
	slices.SortFunc(found, func(a, b secrets.Finding) int { return cmp.Compare(a.Start, b.Start) })
	var out []byte
	kept, n := 0, 0
	for i := 0; i < len(found); n++ {
		f := found[i]
		for i++; i < len(found) && found[i].Start < f.End; i++ {
			f.End = max(f.End, found[i].End)
		}
		start := max(min(f.Start, len(doc)), kept)
		out = append(out, doc[kept:start]...)
		out = append(out, "[redacted: "+ruleName(f.Rule)+"]"...)
		kept = max(min(f.End, len(doc)), start)
	}
	return append(out, doc[kept:]...), n
}

// ruleName is the name of a rule as it may stand in a string and a log.
func ruleName(s string) string {
	return strings.Map(func(r rune) rune {
		if r < 0x80 && (isSchemeByte(byte(r)) || r == '_' || r == ' ') {
			return r
		}
		return '_'
	}, clip(s, 80))
}
