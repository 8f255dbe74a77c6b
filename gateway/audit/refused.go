package audit

import (
	"slices"
	"strings"
	"sync"
	"time"
)

// Bounds of what a flood can take up.
const (
	maxRefusalCodes   = 64
	maxRefusalSources = 4 // named in one summary
)

// refusals counts, by code, what was refused before anybody was known.
type refusals struct {
	mu     sync.Mutex
	byCode map[string]*refusal
}

type refusal struct {
	count   int64
	sources []string
}

func (r *refusals) add(source, code string) {
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
			c = &refusal{}
			r.byCode[code] = c
		}
	}
	c.count++
	if len(c.sources) < maxRefusalSources && !slices.Contains(c.sources, source) {
		c.sources = append(c.sources, source)
	}
}

// take returns one summary for each code and begins anew.
func (r *refusals) take(now time.Time) []*Record {
	r.mu.Lock()
	byCode := r.byCode
	r.byCode = nil
	r.mu.Unlock()
	var out []*Record
	for code, c := range byCode {
		out = append(out, &Record{ID: NewID(), Time: now, Phase: PhaseSummary, Decision: "deny", Code: code,
			Count: c.count, Source: strings.Join(c.sources, " ")})
	}
	slices.SortFunc(out, func(a, b *Record) int { return strings.Compare(a.Code, b.Code) })
	return out
}
