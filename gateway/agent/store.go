package agent

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// Approval is a manifest that an operator has approved.
type Approval struct {
	Manifest
	By string    `json:"by"`
	At time.Time `json:"at"`
}

// ManifestsConfig says where approvals are kept. Dir and Key are required.
type ManifestsConfig struct {
	Dir string // <state>/measured; made with mode 0700
	Key *Key   // signs them
	// Record writes the act down before it counts; nil: it is not recorded.
	Record func(ctx context.Context, by string, m *Manifest) error
	Now    func() time.Time // default time.Now
}

// Manifests keeps approved manifests. Of one folder and one list of patterns the newest approval
// counts and none before it, so that files which were approved once and replaced for a reason do
// not come back. It is safe for concurrent use. A nil Manifests approves of nothing.
type Manifests struct {
	cfg ManifestsConfig

	mu   sync.RWMutex        // guards what follows
	kept map[string]Approval // by the name of its file
}

const (
	maxApprovals = 1000
	suffix       = ".jws"
)

// OpenManifests reads what is kept. A file that is not whole, or that another key signed, is an
// error that names it: approvals are not guessed at.
func OpenManifests(cfg ManifestsConfig) (*Manifests, error) {
	if cfg.Key == nil {
		return nil, errors.New("approved manifests need a key")
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if err := os.MkdirAll(cfg.Dir, 0o700); err != nil {
		return nil, fmt.Errorf("open approved manifests: %w", err)
	}
	entries, err := os.ReadDir(cfg.Dir)
	if err != nil {
		return nil, fmt.Errorf("open approved manifests: %w", err)
	}
	m := &Manifests{cfg: cfg, kept: map[string]Approval{}}
	for _, e := range entries {
		if !strings.HasSuffix(e.Name(), suffix) {
			continue
		}
		a, err := m.read(e.Name())
		if err != nil {
			return nil, fmt.Errorf("approved manifest %s: %w; delete it and approve again with `sallyport measure approve`",
				filepath.Join(cfg.Dir, e.Name()), err)
		}
		m.kept[e.Name()] = *a
	}
	return m, nil
}

func (m *Manifests) read(name string) (*Approval, error) {
	file := filepath.Join(m.cfg.Dir, name)
	info, err := os.Stat(file)
	if err != nil {
		return nil, err
	}
	if info.Size() > 2*maxManifest {
		return nil, errors.New("it is larger than any approval")
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	payload, err := m.cfg.Key.open(string(raw))
	if err != nil {
		return nil, err
	}
	var a Approval
	if err := json.Unmarshal(payload, &a); err != nil { // our own words
		return nil, err
	}
	if name != a.file() { // an older one under another name would count again
		return nil, errors.New("it is not the file in which this approval belongs")
	}
	return &a, a.check()
}

// file is the name of the file that holds the newest approval of its folder and patterns.
func (a *Approval) file() string {
	id := sha256.Sum256([]byte(a.Folder + "\x00" + strings.Join(a.Patterns, "\x00")))
	return hex.EncodeToString(id[:16]) + suffix
}

// Approve keeps a manifest that by, an operator, approves, once that is recorded. The error is
// for by to read.
func (m *Manifests) Approve(ctx context.Context, by string, raw json.RawMessage) error {
	manifest, err := ParseManifest(raw)
	if err != nil {
		return err
	}
	a := Approval{Manifest: *manifest, By: by, At: m.cfg.Now().UTC()}
	payload, err := json.Marshal(a)
	if err != nil {
		return fmt.Errorf("approve: %w", err)
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if _, ok := m.kept[a.file()]; !ok && len(m.kept) >= maxApprovals {
		return fmt.Errorf("%d folders have approved files; delete files below %s that nobody needs, and start the gateway again", maxApprovals, m.cfg.Dir)
	}
	if m.cfg.Record != nil {
		if err := m.cfg.Record(ctx, by, manifest); err != nil {
			return fmt.Errorf("not approved, since it cannot be recorded: %w", err)
		}
	}
	if err := writeWhole(filepath.Join(m.cfg.Dir, a.file()), []byte(m.cfg.Key.sign(payload))); err != nil {
		return fmt.Errorf("keep the approval: %w", err)
	}
	m.kept[a.file()] = a
	return nil
}

// Approved reports whether an operator has approved files with this digest.
func (m *Manifests) Approved(digest string) bool {
	if m == nil || digest == "" {
		return false
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	for _, a := range m.kept {
		if a.Digest == digest {
			return true
		}
	}
	return false
}

// Current returns the approvals that count, newest first, as a JSON array of [Approval].
func (m *Manifests) Current(context.Context) (json.RawMessage, error) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	all := slices.SortedFunc(maps.Values(m.kept), func(a, b Approval) int { return b.At.Compare(a.At) })
	if all == nil {
		all = []Approval{}
	}
	return json.Marshal(all)
}

// writeWhole writes a file of mode 0600 that is there whole or not at all.
func writeWhole(file string, data []byte) error {
	f, err := os.CreateTemp(filepath.Dir(file), ".new-*")
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone after the renaming
	_, err = f.Write(data)
	if err = errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), file)
}
