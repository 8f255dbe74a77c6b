package grant

import (
	"context"
	"errors"
	"slices"
	"sync"
	"time"
)

var errClosed = errors.New("the store of grants is closed")

// Memory is a Store that keeps nothing beyond the process: for tests, and for what needs no
// state. Pause and Fail make it the store that tests of its users need.
type Memory struct {
	feed feed
	stop chan struct{}

	mu     sync.Mutex // guards the rest, and orders what the feed tells
	grants map[string]Grant
	seq    uint64
	usage  map[string]Usage
	labels map[string][]string
	paused bool
	fail   error
	closed bool
}

var _ Store = (*Memory)(nil)

// NewMemory returns an empty store.
func NewMemory() *Memory {
	m := &Memory{stop: make(chan struct{}), grants: map[string]Grant{}, usage: map[string]Usage{}, labels: map[string][]string{}}
	go m.beat()
	return m
}

func (m *Memory) beat() {
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	for {
		select {
		case <-m.stop:
			return
		case <-t.C:
		}
		m.mu.Lock()
		if !m.paused {
			m.feed.tell(Event{Kind: Heartbeat})
		}
		m.mu.Unlock()
	}
}

// Pause stops the heartbeats, as if the store were out of reach; false lets them go on.
func (m *Memory) Pause(paused bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.paused = paused
}

// Fail makes every later change fail with err, nil none.
func (m *Memory) Fail(err error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.fail = err
}

// broken returns why nothing can be done now. m.mu is held.
func (m *Memory) broken() error {
	if m.closed {
		return errClosed
	}
	return m.fail
}

// Create implements Store.
func (m *Memory) Create(_ context.Context, g Grant) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken(); err != nil {
		return err
	}
	if _, ok := m.grants[g.ID]; ok {
		return ErrExists
	}
	g.Rev = 1
	m.grants[g.ID] = g
	m.feed.tell(Event{Kind: Put, Grant: g})
	return nil
}

// Get implements Store.
func (m *Memory) Get(_ context.Context, id string) (Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return Grant{}, errClosed
	}
	g, ok := m.grants[id]
	if !ok {
		return Grant{}, ErrUnknown
	}
	return g, nil
}

// Update implements Store.
func (m *Memory) Update(ctx context.Context, g Grant) (Grant, error) {
	return updateOne(ctx, m, g)
}

// UpdateAll implements Store.
func (m *Memory) UpdateAll(_ context.Context, gs []Grant) ([]Grant, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken(); err != nil {
		return nil, err
	}
	out := make([]Grant, 0, len(gs))
	for _, g := range gs {
		was, ok := m.grants[g.ID]
		if !ok {
			return nil, ErrUnknown
		}
		g, err := next(&was, g)
		if err != nil {
			return nil, err
		}
		out = append(out, g)
	}
	for _, g := range out {
		m.grants[g.ID] = g
	}
	m.feed.tell(puts(out)...)
	return out, nil
}

// Delete implements Store.
func (m *Memory) Delete(_ context.Context, ids, scopes []string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken(); err != nil {
		return err
	}
	for _, id := range ids {
		if _, ok := m.grants[id]; ok {
			m.feed.tell(Event{Kind: Deleted, Grant: Grant{ID: id}})
		}
		delete(m.grants, id)
		delete(m.usage, id)
	}
	for _, key := range scopes {
		delete(m.usage, key)
		delete(m.labels, key)
	}
	return nil
}

// Watch implements Store.
func (m *Memory) Watch(ctx context.Context) (<-chan Event, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	all := make([]Grant, 0, len(m.grants))
	for _, g := range m.grants {
		all = append(all, g)
	}
	return m.feed.watch(ctx, puts(all))
}

// Checkpoint implements Store.
func (m *Memory) Checkpoint(_ context.Context, seq uint64, usage map[string]Usage, labels map[string][]string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.broken(); err != nil {
		return err
	}
	m.seq = seq
	for k, u := range usage {
		m.usage[k] = cloneUsage(u)
	}
	for k, l := range labels {
		m.labels[k] = slices.Clone(l)
	}
	return nil
}

// Restore implements Store.
func (m *Memory) Restore(context.Context) (uint64, map[string]Usage, map[string][]string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return 0, nil, nil, errClosed
	}
	usage, labels := map[string]Usage{}, map[string][]string{}
	for k, u := range m.usage {
		usage[k] = cloneUsage(u)
	}
	for k, l := range m.labels {
		labels[k] = slices.Clone(l)
	}
	return m.seq, usage, labels, nil
}

// Close implements Store.
func (m *Memory) Close() error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.closed {
		return nil
	}
	m.closed = true
	close(m.stop)
	m.feed.close()
	return nil
}
