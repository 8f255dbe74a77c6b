package audit

import (
	"fmt"
	"time"
)

// Report is what [Verify] has found. It verifies where Problems is empty.
type Report struct {
	Origin      string    `json:"origin"`      // of the log
	Records     int64     `json:"records"`     // lines that are leaves, with those that were pruned
	Size        int64     `json:"size"`        // lines under the newest checkpoint that agrees
	Root        string    `json:"root"`        // of that checkpoint
	After       int64     `json:"after"`       // lines after it: whole, and proved by nothing yet
	Segments    int       `json:"segments"`    // files that were read
	Checkpoints int       `json:"checkpoints"` // that were compared
	Pruned      []Range   `json:"pruned"`      // lines that are gone by a signed act; their hashes are in the tree
	Witnessed   []Witness `json:"witnessed"`   // the newest checkpoint of each witness asked for
	Notes       []string  `json:"notes"`       // what is no sign of a change, and should be known
	Problems    []Problem `json:"problems"`
	More        int       `json:"more"` // problems beyond maxProblems
}

// Range is leaves of a segment that was pruned.
type Range struct {
	Segment string `json:"segment"`
	From    int64  `json:"from"` // index of the first leaf
	To      int64  `json:"to"`   // index after the last
}

func (r Range) String() string {
	return fmt.Sprintf("records %d–%d (%s) are pruned; their hashes are in the tree", r.From+1, r.To, r.Segment)
}

// Witness says which checkpoint a witness has signed.
type Witness struct {
	Name string    `json:"name"`
	Size int64     `json:"size"`
	Time time.Time `json:"time"`
}

// Problem is a sign that the record is not what was written, or cannot be proved to be.
type Problem struct {
	File string `json:"file"`
	Line int64  `json:"line,omitempty"` // from 1; 0 where it is about the file
	What string `json:"what"`
}

func (p Problem) String() string {
	if p.Line == 0 {
		return p.File + ": " + p.What
	}
	return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.What)
}

// maxProblems bounds what is told: who changed a thousand lines is found by the first.
const maxProblems = 50

func (r *Report) problem(file string, line int64, what string, args ...any) {
	if len(r.Problems) == maxProblems {
		r.More++
		return
	}
	r.Problems = append(r.Problems, Problem{file, line, fmt.Sprintf(what, args...)})
}

func (r *Report) note(what string, args ...any) {
	r.Notes = append(r.Notes, fmt.Sprintf(what, args...))
}
