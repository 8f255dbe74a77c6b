package audit

import (
	"encoding/json"
	"strconv"
)

// appendQuestion appends what the policy was asked and said. Most records have two of these members
// at most.
func appendQuestion(b []byte, r *Record) []byte {
	if r.PolicyAllow != nil {
		b = strconv.AppendBool(append(b, `,"policy_allow":`...), *r.PolicyAllow)
	}
	if r.Replayable {
		b = append(b, `,"replayable":true`...)
	}
	if r.Input != nil {
		b = appendRaw(append(b, `,"input":`...), r.Input)
	}
	for _, m := range [...]struct{ name, value string }{
		{`,"input_sealed":`, r.InputSealed}, {`,"input_key":`, r.InputKey},
	} {
		if m.value != "" {
			b = appendString(append(b, m.name...), m.value)
		}
	}
	if len(r.InputErased) > 0 {
		b = appendStrings(append(b, `,"input_erased":`...), r.InputErased)
	}
	if r.InputMissing != "" {
		b = appendString(append(b, `,"input_missing":`...), r.InputMissing)
	}
	if r.WrappedKey != "" {
		b = appendString(append(b, `,"wrapped_key":`...), r.WrappedKey)
	}
	if r.Advisory != nil {
		b = appendVerdict(append(b, `,"advisory":`...), r.Advisory)
	}
	if r.Shadow != nil {
		b = appendVerdict(append(b, `,"shadow":`...), r.Shadow)
	}
	return b
}

func appendVerdict(b []byte, v *Verdict) []byte {
	b = append(b, '{')
	if v.Revision != "" {
		b = append(appendString(append(b, `"revision":`...), v.Revision), ',')
	}
	b = strconv.AppendBool(append(b, `"allow":`...), v.Allow)
	b = appendStrings(append(b, `,"reasons":`...), v.Reasons)
	b = appendRaws(append(b, `,"obligations":`...), v.Obligations)
	b = appendStrings(append(b, `,"rules":`...), v.Rules)
	if v.Kind != "" {
		b = appendString(append(b, `,"kind":`...), v.Kind)
	}
	if v.Error != "" {
		b = appendString(append(b, `,"error":`...), v.Error)
	}
	return append(b, '}')
}

func appendRaws(b []byte, list []json.RawMessage) []byte {
	b = append(b, '[')
	for i, raw := range list {
		if i > 0 {
			b = append(b, ',')
		}
		b = appendRaw(b, raw)
	}
	return append(b, ']')
}
