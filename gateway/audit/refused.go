package audit

import (
	"cmp"
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what a flood can take up, in memory and in the record.
const (
	maxRefusalCodes   = 64
	maxRefusalSources = 4  // named in one summary
	maxRefusalName    = 64 // bytes of a source or a code
)

// refusals counts, by code, what was refused before anybody was known.
type refusals struct {
	mu     sync.Mutex // held for a few instructions, never while anything waits
	byCode map[string]*refusal
}

type refusal struct {
	count   int64
	since   time.Time
	sources []string
}

func (r *refusals) add(source, code string, now func() time.Time) {
	source, code = clip(source), clip(code)
	r.mu.Lock()
	defer r.mu.Unlock()
	c := r.byCode[code]
	if c == nil {
		if r.byCode == nil {
			r.byCode = make(map[string]*refusal)
		}
		if len(r.byCode) >= maxRefusalCodes {
			code = "other"
		}
		if c = r.byCode[code]; c == nil {
			c = &refusal{since: now()}
			r.byCode[strings.Clone(code)] = c
		}
	}
	c.count++
	if len(c.sources) < maxRefusalSources && !slices.Contains(c.sources, source) {
		c.sources = append(c.sources, strings.Clone(source)) // not what it is a part of
	}
}

func clip(s string) string { return s[:min(len(s), maxRefusalName)] }

// take returns one summary for each code and begins anew.
func (r *refusals) take(now time.Time) []*Record {
	r.mu.Lock()
	byCode := r.byCode
	r.byCode = nil
	r.mu.Unlock()
	var out []*Record
	for code, c := range byCode {
		out = append(out, &Record{ID: NewID(), Time: now, Phase: PhaseSummary, Decision: "deny", Code: code,
			Count: c.count, Source: strings.Join(c.sources, " "),
			Detail: "refused before authentication since " + c.since.UTC().Format(time.RFC3339)})
	}
	slices.SortFunc(out, func(a, b *Record) int { return cmp.Compare(a.Code, b.Code) })
	return out
}
