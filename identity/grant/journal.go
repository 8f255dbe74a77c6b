package grant

import (
	"context"
	"fmt"
	"maps"
	"sync"
)

// journal is what the registry knows of the audit log. The log is the journal of the counters:
// a call is charged by the write that records it, and the store holds a checkpoint now and then.
type journal struct {
	mu     sync.Mutex
	seq    uint64 // of the last entry
	saved  uint64 // seq of the checkpoint
	dirty  map[*counter]struct{}
	marked map[*scope]struct{} // whose labels have changed

	saving sync.Mutex // held over a whole checkpoint, so that an older one never follows a newer; before mu
}

// Entry is what one record of the audit log changes in the counters of its grant.
type Entry struct {
	Grant  string
	Tool   string   // "server.tool"
	Calls  int64    // negative: given back
	Bytes  int64    // of arguments; negative: given back
	Labels []string // that the grant's tree has from now on
}

// Journal tells the registry what the log has made durable, in the order of the log. A number
// that it has been told already, or that is in the checkpoint it started from, changes nothing.
//
// Until the first Reserve, entries are taken for those of an earlier process, and count as used
// as well; after it, for calls that Reserve has counted. So the log must be replayed before the
// first call is made.
func (r *Registry) Journal(seq uint64, e Entry) {
	j := &r.journal
	j.mu.Lock()
	defer j.mu.Unlock()
	if seq <= j.seq {
		return
	}
	j.seq = seq
	n := r.load(e.Grant)
	if n == nil || e.Calls == 0 && len(e.Labels) == 0 {
		return // of a grant that is forgotten, and nobody will ask for it
	}
	if e.Calls != 0 {
		for _, c := range n.counters {
			c.kept.add(e.Tool, e.Calls, e.Bytes)
			j.dirty[c] = struct{}{}
		}
		if r.replaying.Load() {
			n.scope.mu.Lock()
			for _, c := range n.counters {
				c.take(e.Tool, e.Calls, e.Bytes)
			}
			n.scope.mu.Unlock()
		}
	}
	if len(e.Labels) > 0 {
		n.scope.add(e.Labels)
		j.marked[n.scope] = struct{}{}
	}
}

// JournalSeq returns the number of the last entry that the registry was told of: after
// NewRegistry that of the store's checkpoint, from which the log is to be replayed.
func (r *Registry) JournalSeq() uint64 {
	r.journal.mu.Lock()
	defer r.journal.mu.Unlock()
	return r.journal.seq
}

// Checkpoint writes the counters as the journal has them to the store, so that the log need not
// be replayed from further back. Where it fails nothing is lost, and the next one writes it.
func (r *Registry) Checkpoint(ctx context.Context) error {
	r.journal.saving.Lock()
	defer r.journal.saving.Unlock()
	return r.checkpoint(ctx)
}

// checkpoint is Checkpoint with journal.saving held.
func (r *Registry) checkpoint(ctx context.Context) error {
	j := &r.journal
	j.mu.Lock()
	seq, dirty, marked := j.seq, j.dirty, j.marked
	if seq == j.saved && len(dirty) == 0 && len(marked) == 0 {
		j.mu.Unlock()
		return nil
	}
	usage, labels := make(map[string]Usage, len(dirty)), make(map[string][]string, len(marked))
	for c := range dirty {
		usage[c.key] = c.kept.public()
	}
	for s := range marked {
		labels[s.key] = s.current()
	}
	j.dirty, j.marked = map[*counter]struct{}{}, map[*scope]struct{}{}
	j.mu.Unlock()

	err := r.store.Checkpoint(ctx, seq, usage, labels)

	j.mu.Lock()
	defer j.mu.Unlock()
	if err != nil {
		maps.Copy(j.dirty, dirty)
		maps.Copy(j.marked, marked)
		return fmt.Errorf("write checkpoint of the counters of grants: %w", err)
	}
	j.saved = seq
	return nil
}

// forget drops what a checkpoint would write of grants that the store is about to delete.
func (j *journal) forget(counters []*counter, scopes []*scope) {
	j.mu.Lock()
	defer j.mu.Unlock()
	for _, c := range counters {
		delete(j.dirty, c)
	}
	for _, s := range scopes {
		delete(j.marked, s)
	}
}
