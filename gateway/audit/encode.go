package audit

import (
	"bytes"
	"encoding/json"
	"strconv"
	"time"
	"unicode/utf8"
)

// appendTail appends a record from its second member on, with the newline. The first member,
// seq, is the writer's to give. Members stand in the order of [Record]; none is left out but
// those that only some phases have.
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
	b = append(b, `,"obligations":[`...)
	for i, o := range r.Obligations {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRaw(b, o)
	}
	b = append(b, ']')
	b = appendString(append(b, `,"policy_revision":`...), r.PolicyRevision)
	b = appendStrings(append(b, `,"rules":`...), r.Rules)
	b = appendStrings(append(b, `,"labels_before":`...), r.LabelsBefore)
	b = appendStrings(append(b, `,"labels_after":`...), r.LabelsAfter)
	b = strconv.AppendFloat(append(b, `,"upstream_ms":`...), r.UpstreamMS, 'f', -1, 64)
	b = strconv.AppendInt(append(b, `,"bytes_in":`...), r.BytesIn, 10)
	b = strconv.AppendInt(append(b, `,"bytes_out":`...), r.BytesOut, 10)
	b = appendString(append(b, `,"trace_id":`...), r.TraceID)
	if r.Arguments != nil {
		b = appendRaw(append(b, `,"arguments":`...), r.Arguments)
	}
	if r.Count != 0 {
		b = strconv.AppendInt(append(b, `,"count":`...), r.Count, 10)
	}
	if r.Source != "" {
		b = appendString(append(b, `,"source":`...), r.Source)
	}
	if r.Detail != "" {
		b = appendString(append(b, `,"detail":`...), r.Detail)
	}
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

// appendRaw appends JSON on one line: a record that broke the line would be two. What is not
// JSON becomes a string.
func appendRaw(b []byte, raw json.RawMessage) []byte {
	buf := bytes.NewBuffer(b)
	if json.Compact(buf, raw) != nil {
		return appendString(b, string(raw))
	}
	return buf.Bytes()
}

// appendString appends a JSON string. Bytes that are no UTF-8 become U+FFFD.
func appendString(b []byte, s string) []byte {
	const hex = "0123456789abcdef"
	b = append(b, '"')
	start := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && n == 1 {
				b = append(append(b, s[start:i]...), "\ufffd"...)
				start = i + n
			}
			i += n
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' && c != 0x7f {
			i++
			continue
		}
		b = append(b, s[start:i]...)
		if c == '"' || c == '\\' {
			b = append(b, '\\', c)
		} else { // an escape sequence in a record would act on the terminal that shows it
			b = append(b, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
		}
		i++
		start = i
	}
	return append(append(b, s[start:]...), '"')
}
