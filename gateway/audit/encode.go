package audit

import (
	"encoding/json"
	"math"
	"strconv"
	"time"
	"unicode/utf8"
)

// minLine is less than the shortest line, in bytes: a file of n bytes holds no more than
// n/minLine records.
const minLine = 256

// appendTail appends a record from its second member on, with the newline. The first member,
// seq, is the writer's to give. Members stand in the order of [Record]; none is left out but
// those that only some phases have. It allocates nothing where b has room.
func appendTail(b []byte, r *Record) []byte {
	b = append(b, `,"time":"`...)
	b = r.Time.UTC().AppendFormat(b, time.RFC3339Nano)
	b = append(b, '"')
	for _, m := range [...]struct{ name, value string }{
		{`,"id":`, r.ID}, {`,"phase":`, r.Phase}, {`,"method":`, r.Method}, {`,"server":`, r.Server}, {`,"tool":`, r.Tool},
		{`,"tool_digest":`, r.ToolDigest}, {`,"arguments_digest":`, r.ArgumentsDigest}, {`,"subject":`, r.Subject},
		{`,"client":`, r.Client}, {`,"grant":`, r.Grant}, {`,"task":`, r.Task}, {`,"jti":`, r.JTI},
	} {
		b = appendString(append(b, m.name...), m.value)
	}
	b = appendStrings(append(b, `,"roles":`...), r.Roles)
	b = appendString(append(b, `,"decision":`...), r.Decision)
	b = appendString(append(b, `,"code":`...), r.Code)
	b = appendStrings(append(b, `,"reasons":`...), r.Reasons)
	b = appendRaws(append(b, `,"obligations":`...), r.Obligations)
	b = appendString(append(b, `,"policy_revision":`...), r.PolicyRevision)
	b = appendStrings(append(b, `,"rules":`...), r.Rules)
	b = appendStrings(append(b, `,"labels_before":`...), r.LabelsBefore)
	b = appendStrings(append(b, `,"labels_after":`...), r.LabelsAfter)
	b = appendFloat(append(b, `,"upstream_ms":`...), r.UpstreamMS)
	b = strconv.AppendInt(append(b, `,"bytes_in":`...), r.BytesIn, 10)
	b = strconv.AppendInt(append(b, `,"bytes_out":`...), r.BytesOut, 10)
	b = appendString(append(b, `,"trace_id":`...), r.TraceID)
	if r.Calls != 0 {
		b = strconv.AppendInt(append(b, `,"calls":`...), r.Calls, 10)
	}
	if r.Bytes != 0 {
		b = strconv.AppendInt(append(b, `,"bytes_charged":`...), r.Bytes, 10)
	}
	if r.Arguments != nil {
		b = appendRaw(append(b, `,"arguments":`...), r.Arguments)
	}
	if r.Count != 0 {
		b = strconv.AppendInt(append(b, `,"count":`...), r.Count, 10)
	}
	if r.Source != "" {
		b = appendString(append(b, `,"source":`...), r.Source)
	}
	if r.Lost[1] != 0 {
		b = strconv.AppendUint(append(b, `,"lost":[`...), r.Lost[0], 10)
		b = strconv.AppendUint(append(b, ','), r.Lost[1], 10)
		b = append(b, ']')
	}
	if r.Detail != "" {
		b = appendString(append(b, `,"detail":`...), r.Detail)
	}
	b = appendQuestion(b, r)
	return append(b, '}', '\n')
}

func appendStrings(b []byte, list []string) []byte {
	b = append(b, '[')
	for i, s := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendString(b, s)
	}
	return append(b, ']')
}

// appendFloat appends 0 for what JSON has no number for: one bad measurement must not make the
// line unreadable.
func appendFloat(b []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		f = 0
	}
	return strconv.AppendFloat(b, f, 'f', -1, 64)
}

// appendRaw appends JSON on one line: a record that broke the line would be two. What is not
// JSON becomes a string.
func appendRaw(b []byte, raw json.RawMessage) []byte {
	if !json.Valid(raw) || !utf8.Valid(raw) {
		return appendString(b, string(raw))
	}
	inString := false
	for i := 0; i < len(raw); {
		c := raw[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case inString && c == '\\': // the next byte is escaped, be it a quote
				b = append(b, c, raw[i])
				i++
			case inString && c == 0x7f:
				b = appendEscape(b, rune(c))
			case c == '"':
				inString = !inString
				b = append(b, c)
			case inString || c > ' ': // outside strings, what is not above is white space
				b = append(b, c)
			}
			continue
		}
		r, n := utf8.DecodeRune(raw[i:])
		if hidden(r) {
			b = appendEscape(b, r)
		} else {
			b = append(b, raw[i:i+n]...)
		}
		i += n
	}
	return b
}

// appendString appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
				i++
				continue
			}
			b = append(b, s[start:i]...)
			if c == '"' || c == '\\' {
				b = append(b, '\\', c)
			} else {
				b = appendEscape(b, rune(c))
			}
			i++
			start = i
			continue
		}
		r, n := utf8.DecodeRuneInString(s[i:])
		bad := r == utf8.RuneError && n == 1
		if bad || hidden(r) {
			b = append(b, s[start:i]...)
			if bad {
				b = append(b, "\ufffd"...)
			} else {
				b = appendEscape(b, r)
			}
			start = i + n
		}
		i += n
	}
	return append(append(b, s[start:]...), '"')
}

// hidden says that a character above ASCII would act on the terminal that shows it (C1
// controls), split the line for some readers (U+2028, U+2029), or show it in another order
// than it has (bidirectional controls).
func hidden(r rune) bool {
	return r >= 0x80 && r <= 0x9f || r >= 0x2028 && r <= 0x202e || r >= 0x2066 && r <= 0x2069
}

func appendEscape(b []byte, r rune) []byte {
	const hex = "0123456789abcdef"
	return append(b, '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
}
