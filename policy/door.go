package policy

import (
	"slices"
	"strings"
	"time"
)

// What is looked for in arguments and results.
type What uint8

// The things that can be looked for.
const (
	Secrets What = 1 << iota // keys, tokens, passwords
	Hidden                   // characters that nobody sees, or that steer a terminal
	Links                    // links and images that lead to hosts which are not allowed
)

var whats = map[string]What{"secrets": Secrets, "hidden": Hidden, "links": Links}

// looking is the body of redact and refuse.
type looking struct {
	Type      string `json:"type"`
	What      string `json:"what"`
	In        string `json:"in"`
	Unscanned string `json:"unscanned"`
}

// look reads one; in says whether the obligation may name where to look.
func (o Obligation) look(typ string, in bool) (w What, inArguments, pass bool, err error) {
	var body looking
	if err := o.read(&body); err != nil {
		return 0, false, false, err
	}
	w = whats[body.What]
	switch {
	case body.Type != typ || w == 0,
		body.In != "" && (!in || body.In != "result" && body.In != "arguments"),
		body.Unscanned != "" && (w != Secrets || body.Unscanned != "refuse" && body.Unscanned != "pass"):
		return 0, false, false, o.malformed()
	}
	return w, body.In == "arguments", body.Unscanned == "pass", nil
}

// Redact reads an obligation redact: what is found in the result is taken out. passUnscanned lets
// pass what could not be searched to its end. On an error the call must be refused.
func (o Obligation) Redact() (w What, passUnscanned bool, err error) {
	w, _, passUnscanned, err = o.look(Redact, false)
	return w, passUnscanned, err
}

// Refuse reads an obligation refuse: a result, or a call whose arguments, hold such a thing is
// refused.
func (o Obligation) Refuse() (w What, inArguments, passUnscanned bool, err error) {
	return o.look(Refuse, true)
}

// maxPointer bounds the pointer of a mask, in bytes.
const maxPointer = 1024

// Mask reads an obligation mask: the JSON pointer (RFC 6901, with * for any member or element) of
// values that are taken out of the result.
func (o Obligation) Mask() (pointer string, err error) {
	var body struct {
		Type    string `json:"type"`
		Pointer string `json:"pointer"`
	}
	if err := o.read(&body); err != nil {
		return "", err
	}
	if body.Type != Mask || !strings.HasPrefix(body.Pointer, "/") || len(body.Pointer) > maxPointer {
		return "", o.malformed()
	}
	return body.Pointer, nil
}

// MaxBytes reads an obligation max_bytes: at most n bytes, n ≥ 1, of the result, or of arguments:
// of one call, or together of all calls of the grant or of one tool under it.
func (o Obligation) MaxBytes() (n int64, of, per string, err error) {
	var body struct {
		Type string `json:"type"`
		N    int64  `json:"n"`
		Of   string `json:"of"`
		Per  string `json:"per"`
	}
	if err := o.read(&body); err != nil {
		return 0, "", "", err
	}
	if body.Of == "" {
		body.Of = "result"
	}
	if body.Per == "" {
		body.Per = "call"
	}
	switch {
	case body.Type != MaxBytes, body.N < 1, body.Of != "result" && body.Of != "arguments",
		!slices.Contains([]string{"call", "grant", "tool"}, body.Per), body.Of == "result" && body.Per != "call":
		return 0, "", "", o.malformed()
	}
	return body.N, body.Of, body.Per, nil
}

// MaxRepeats reads an obligation max_repeats: the same call, word for word, is made at most n
// times, n ≥ 1, within a duration from 1s to 24h; ever, where within is 0.
func (o Obligation) MaxRepeats() (n int64, within time.Duration, err error) {
	var body struct {
		Type   string `json:"type"`
		N      int64  `json:"n"`
		Within string `json:"within"`
	}
	if err := o.read(&body); err != nil {
		return 0, 0, err
	}
	if body.Within != "" {
		if within, err = time.ParseDuration(body.Within); err != nil || within < time.Second || within > 24*time.Hour {
			return 0, 0, o.malformed()
		}
	}
	if body.Type != MaxRepeats || body.N < 1 {
		return 0, 0, o.malformed()
	}
	return body.N, within, nil
}

// Approval reads an obligation require_approval: the role of who must agree to the call.
func (o Obligation) Approval() (by string, err error) {
	var body struct {
		Type string `json:"type"`
		By   string `json:"by"`
	}
	if err := o.read(&body); err != nil {
		return "", err
	}
	if body.Type != RequireApproval || body.By == "" || len(body.By) > maxLabelBytes {
		return "", o.malformed()
	}
	return body.By, nil
}
