package reader

import (
	"strings"
	"time"

	"sallyport/gateway/audit"
)

// Filter says which records are looked for: those that meet all that is set. A `*` stands for any
// characters.
type Filter struct {
	Subject, Client, Grant, Task, JTI string
	Role, Method, Server              string
	Tool                              string // its name, or server.tool
	Code, Decision, Rule, Revision    string
	Since, Until                      time.Time
}

// wanted is one string of the filter and what it is held against.
type wanted struct {
	want string
	has  func(r *audit.Record) []string
}

func one(get func(r *audit.Record) string) func(r *audit.Record) []string {
	return func(r *audit.Record) []string { return []string{get(r)} }
}

func (f *Filter) wanted() []wanted {
	return []wanted{
		{f.Subject, one(func(r *audit.Record) string { return r.Subject })},
		{f.Client, one(func(r *audit.Record) string { return r.Client })},
		{f.Grant, one(func(r *audit.Record) string { return r.Grant })},
		{f.Task, one(func(r *audit.Record) string { return r.Task })},
		{f.JTI, one(func(r *audit.Record) string { return r.JTI })},
		{f.Role, func(r *audit.Record) []string { return r.Roles }},
		{f.Method, one(func(r *audit.Record) string { return r.Method })},
		{f.Server, one(func(r *audit.Record) string { return r.Server })},
		{f.Tool, func(r *audit.Record) []string { return []string{r.Tool, r.Server + "." + r.Tool} }},
		{f.Code, one(func(r *audit.Record) string { return r.Code })},
		{f.Decision, one(func(r *audit.Record) string { return r.Decision })},
		{f.Rule, func(r *audit.Record) []string { return r.Rules }},
		{f.Revision, one(func(r *audit.Record) string { return r.PolicyRevision })},
	}
}

// Match reports whether the record is one that is looked for.
func (f *Filter) Match(r *audit.Record) bool {
	if !f.Since.IsZero() && r.Time.Before(f.Since) || !f.Until.IsZero() && r.Time.After(f.Until) {
		return false
	}
	for _, w := range f.wanted() {
		if w.want != "" && !matchAny(w.want, w.has(r)) {
			return false
		}
	}
	return true
}

// Options are what narrows the reading to what can match.
func (f *Filter) Options() Options {
	o := Options{Since: f.Since}
	for _, w := range f.wanted() {
		if w.want == "" || strings.Contains(w.want, "*") {
			continue
		}
		quoted := audit.Quote(w.want)
		if w.want == f.Tool { // it may be server.tool: the name is what follows some dot
			quoted = quoted[1+strings.LastIndexByte(string(quoted), '.'):]
		}
		o.Has = append(o.Has, quoted)
	}
	return o
}

func matchAny(want string, has []string) bool {
	for _, s := range has {
		if match(want, s) {
			return true
		}
	}
	return false
}

// match is equality where * stands for any characters, also none.
func match(pattern, s string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == s
	}
	s, ok := strings.CutPrefix(s, head)
	if !ok {
		return false
	}
	for {
		head, rest, star = strings.Cut(rest, "*")
		if !star {
			return strings.HasSuffix(s, head)
		}
		i := strings.Index(s, head)
		if i < 0 {
			return false
		}
		s = s[i+len(head):]
	}
}
