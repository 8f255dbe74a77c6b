package chaos

import (
	"bufio"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// record is what these tests read of one.
type record struct {
	Seq          int64
	ID           string
	Phase        string
	Method       string
	Tool         string
	Decision     string
	Code         string
	Grant        string
	Detail       string
	Calls        int64
	Count        int64
	Digest       string   `json:"arguments_digest"`
	LabelsBefore []string `json:"labels_before"`
	LabelsAfter  []string `json:"labels_after"`
}

// records reads the record from its files, in order. A last line without an end is what a kill may
// leave, and is none.
func (g *gate) records(t *testing.T) (all []record) {
	t.Helper()
	for _, file := range g.segments(t) {
		all = append(all, readSegment(t, file)...)
	}
	return all
}

// segments are the files of the record in order. One that is being compressed is there twice and
// is named once, without its ".gz".
func (g *gate) segments(t *testing.T) (plain []string) {
	t.Helper()
	for _, pattern := range []string{"*.jsonl", "*.jsonl.gz"} {
		files, err := filepath.Glob(g.path("state", "audit", pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, file := range files {
			plain = append(plain, strings.TrimSuffix(file, ".gz"))
		}
	}
	slices.Sort(plain)
	return slices.Compact(plain)
}

func readSegment(t *testing.T, file string) (all []record) {
	t.Helper()
	f, err := os.Open(file)
	packed := errors.Is(err, fs.ErrNotExist)
	if packed {
		f, err = os.Open(file + ".gz")
	}
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var from io.Reader = f
	if packed {
		if from, err = gzip.NewReader(f); err != nil {
			t.Fatal(err)
		}
	}
	in := bufio.NewReader(from)
	for {
		line, err := in.ReadString('\n')
		if err != nil {
			return all
		}
		var r record
		if json.Unmarshal([]byte(line), &r) == nil && r.Phase != "" {
			all = append(all, r)
		}
	}
}

// outcomes holds the record to one outcome for each decision that let a call through, and returns
// them in order. Outcomes are written behind the answer.
func (g *gate) outcomes(t *testing.T, tool string) (all []record) {
	t.Helper()
	eventually(t, "each call has its outcome", func() error {
		all = nil
		open := map[string]bool{}
		for _, r := range g.records(t) {
			switch {
			case r.Tool != tool:
			case r.Phase == "decision" && r.Decision == "allow":
				open[r.ID] = true
			case r.Phase == "outcome":
				if !open[r.ID] {
					t.Fatalf("record %d: an outcome of %s, which was not allowed or has one already", r.Seq, r.ID)
				}
				delete(open, r.ID)
				all = append(all, r)
			}
		}
		if len(open) > 0 {
			return fmt.Errorf("%d calls have none yet", len(open))
		}
		return nil
	})
	return all
}
