package chaos

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// ledger holds what reaches a server against the record. It keeps eight bytes of a call.
type ledger struct {
	g   *gate
	key []byte // of the digests

	mu   sync.Mutex // guards what follows
	seen map[uint64]int
	n    int

	looked  atomic.Int64 // calls whose record was looked for when they came
	missing atomic.Int64 // and was not there

	allowed map[uint64]bool // by arguments, over all decisions read so far
	ids     map[uint64]bool
	last    int64           // seq of the newest record so far
	done    map[string]bool // segments read whole
	part    string          // the one that may have grown
	charged int64
}

func newLedger(t *testing.T, g *gate) *ledger {
	t.Helper()
	key, err := os.ReadFile(g.path("state", "keys", "audit-digest.key"))
	if err != nil {
		t.Fatal(err)
	}
	return &ledger{g: g, key: key, seen: map[uint64]int{}, allowed: map[uint64]bool{}, ids: map[uint64]bool{}, done: map[string]bool{}}
}

func (l *ledger) digest(arguments []byte) []byte {
	mac := hmac.New(sha256.New, l.key)
	mac.Write(arguments)
	return mac.Sum(nil)
}

// reached notes a call at the server. For one in twenty it looks into the record at once: the
// decision must be there before the server has answered, or even been asked.
func (l *ledger) reached(arguments []byte) {
	digest := l.digest(arguments)
	l.mu.Lock()
	l.seen[binary.BigEndian.Uint64(digest)]++
	l.n++
	look := l.n%20 == 0
	l.mu.Unlock()
	if !look {
		return
	}
	l.looked.Add(1)
	if !l.onDisk(hex.EncodeToString(digest)) {
		l.missing.Add(1)
	}
}

// onDisk looks for a digest at the end of the newest segments.
func (l *ledger) onDisk(digest string) bool {
	const enough = 4 << 20
	files, err := filepath.Glob(l.g.path("state", "audit", "*.jsonl"))
	if err != nil {
		return false
	}
	slices.Sort(files)
	for _, file := range files[max(0, len(files)-2):] {
		f, err := os.Open(file)
		if err != nil {
			continue
		}
		if info, err := f.Stat(); err == nil && info.Size() > enough {
			_, _ = f.Seek(-enough, io.SeekEnd) // of a file that is that long
		}
		tail, _ := io.ReadAll(f) // a part is enough, or the digest is missing
		_ = f.Close()
		if bytes.Contains(tail, []byte(digest)) {
			return true
		}
	}
	return false
}

// read takes in what is new of the record, and settles. id is the grant whose charges count.
func (l *ledger) read(t *testing.T, id string) {
	t.Helper()
	files := l.g.segments(t)
	for i, file := range files {
		name, _, _ := strings.Cut(filepath.Base(file), ".")
		if l.done[name] {
			continue
		}
		for _, r := range readSegment(t, file) {
			if name == l.part && r.Seq <= l.last {
				continue
			}
			if r.Seq <= l.last {
				t.Errorf("%s: record %d after record %d", filepath.Base(file), r.Seq, l.last)
			}
			l.last = r.Seq
			l.take(t, r, id)
		}
		l.part, l.done[name] = name, i < len(files)-1
	}
	l.settle(t)
}

func (l *ledger) take(t *testing.T, r record, id string) {
	t.Helper()
	if r.Grant == id {
		l.charged += r.Calls
	}
	if r.Phase != "decision" || r.Tool == "" {
		return
	}
	whole := sha256.Sum256([]byte(r.ID))
	if k := binary.BigEndian.Uint64(whole[:]); l.ids[k] {
		t.Errorf("record %d: a second decision %s", r.Seq, r.ID)
	} else {
		l.ids[k] = true
	}
	if r.Decision != "allow" {
		return
	}
	digest, err := hex.DecodeString(strings.TrimPrefix(r.Digest, "hmac-sha256:"))
	if err != nil || len(digest) < 8 {
		t.Fatalf("record %d: digest %q", r.Seq, r.Digest)
	}
	k := binary.BigEndian.Uint64(digest)
	if l.allowed[k] {
		t.Errorf("record %d: a second decision about the arguments of %s", r.Seq, r.ID)
	}
	l.allowed[k] = true
}

// settle holds every call that has reached the server to exactly one decision.
func (l *ledger) settle(t *testing.T) {
	t.Helper()
	l.mu.Lock()
	defer l.mu.Unlock()
	lost, twice := 0, 0
	for k, n := range l.seen {
		if !l.allowed[k] {
			lost++
		}
		if n > 1 {
			twice++
		}
	}
	if missing := l.missing.Load(); lost+twice > 0 || missing > 0 {
		t.Errorf("of %d calls at the server %d have no decision on record and %d came twice; of %d that were looked for when they came %d were not there",
			len(l.seen), lost, twice, l.looked.Load(), missing)
	}
	clear(l.seen)
}
