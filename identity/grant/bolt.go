package grant

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"sallyport/internal/strictjson"
)

// BoltOptions are what OpenBolt needs besides a path. The zero BoltOptions are fine.
type BoltOptions struct {
	LockTimeout time.Duration // how long to wait for another process to let go; default 1 s
	Log         *slog.Logger  // says why the store died; default: none
}

// Names of buckets, and of what is in meta. A change of their meaning needs a new format.
var (
	bucketGrants = []byte("grants") // ID → Grant
	bucketUsage  = []byte("usage")  // ID or scope → Usage
	bucketLabels = []byte("labels") // scope → names
	bucketMeta   = []byte("meta")
	metaFormat   = []byte("format")
	metaSeq      = []byte("seq")
	formatNow    = []byte("1")
)

// mapped is how much of the file is mapped at least: below it, a write need not wait for readers.
const mapped = 64 << 20

// Bolt is a Store in one file, held by one process. Each change is one transaction and on disk
// when it returns.
type Bolt struct {
	db   *bbolt.DB
	path string
	was  os.FileInfo // of the file that was opened
	log  *slog.Logger

	mu   sync.Mutex // one change at a time, told in the order in which they became durable
	feed feed

	stop context.CancelFunc
	done chan struct{}
}

var _ Store = (*Bolt)(nil)

// OpenBolt opens the file at path or makes one (0600). It refuses a file that others may read,
// and one that another process holds, after o.LockTimeout; the error then says who that may be.
func OpenBolt(path string, o BoltOptions) (*Bolt, error) {
	if o.LockTimeout <= 0 {
		o.LockTimeout = time.Second
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	info, err := os.Lstat(path)
	if err == nil && (!info.Mode().IsRegular() || info.Mode().Perm()&0o077 != 0) {
		return nil, fmt.Errorf("open grants: %s must be a file that nobody else can read or write; it is %v", path, info.Mode())
	}
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: o.LockTimeout, InitialMmapSize: mapped, FreelistType: bbolt.FreelistMapType})
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open grants: another process holds %s: a server that runs with this state directory, or a command that is not done; ask it, or end it and try again", path)
	}
	if errors.Is(err, bolterrors.ErrInvalid) || errors.Is(err, bolterrors.ErrChecksum) || errors.Is(err, bolterrors.ErrVersionMismatch) {
		return nil, fmt.Errorf("open grants %s: %w: bring it back from a backup, or move it aside; then no grant is left, and each must be asked for again", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open grants %s: %w", path, err)
	}
	b := &Bolt{db: db, path: path, log: o.Log, done: make(chan struct{})}
	if err := b.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("open grants %s: %w", path, err), db.Close())
	}
	life, stop := context.WithCancel(context.Background())
	b.stop = stop
	go b.beat(life)
	return b, nil
}

func (b *Bolt) prepare() error {
	err := b.db.Update(func(tx *bbolt.Tx) error {
		for _, name := range [][]byte{bucketGrants, bucketUsage, bucketLabels, bucketMeta} {
			if _, err := tx.CreateBucketIfNotExists(name); err != nil {
				return err
			}
		}
		meta := tx.Bucket(bucketMeta)
		switch f := meta.Get(metaFormat); {
		case f == nil:
			return meta.Put(metaFormat, formatNow)
		case string(f) != string(formatNow):
			return fmt.Errorf("its format is %.20q, and this version reads %q", f, formatNow)
		}
		return nil
	})
	if err != nil {
		return err
	}
	// A new file's name must survive a power cut as well as its bytes do.
	if err := syncDir(filepath.Dir(b.path)); err != nil {
		return err
	}
	b.was, err = os.Stat(b.path)
	return err
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// beat tells watchers that the store lives, as long as it can be read and its file is the one
// that was opened: what is written to a file that was replaced or removed, no restart would see.
func (b *Bolt) beat(life context.Context) {
	defer close(b.done)
	t := time.NewTicker(heartbeat)
	defer t.Stop()
	for {
		select {
		case <-life.Done():
			return
		case <-t.C:
		}
		if err := b.alive(); err != nil {
			b.log.Error("the store of grants is gone", "path", b.path, "err", err)
			b.feed.close()
			return
		}
		b.feed.tell(Event{Kind: Heartbeat})
	}
}

func (b *Bolt) alive() error {
	is, err := os.Stat(b.path)
	if err != nil {
		return err
	}
	if !os.SameFile(b.was, is) {
		return errors.New("the file was replaced by another")
	}
	return b.db.View(func(tx *bbolt.Tx) error {
		if tx.Bucket(bucketMeta).Get(metaFormat) == nil {
			return errors.New("it has no format any more")
		}
		return nil
	})
}

// change runs f in one write transaction and tells watchers what f returns.
func (b *Bolt) change(ctx context.Context, f func(*bbolt.Tx) ([]Event, error)) error {
	if err := context.Cause(ctx); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	var events []Event
	err := b.db.Update(func(tx *bbolt.Tx) (err error) {
		events, err = f(tx)
		return err
	})
	if err != nil {
		return err
	}
	b.feed.tell(events...)
	return nil
}

// Create implements Store.
func (b *Bolt) Create(ctx context.Context, g Grant) error {
	g.Rev = 1
	return b.change(ctx, func(tx *bbolt.Tx) ([]Event, error) {
		grants := tx.Bucket(bucketGrants)
		if grants.Get([]byte(g.ID)) != nil {
			return nil, ErrExists
		}
		return puts([]Grant{g}), put(grants, g.ID, g)
	})
}

// Get implements Store.
func (b *Bolt) Get(_ context.Context, id string) (g Grant, err error) {
	err = b.db.View(func(tx *bbolt.Tx) error {
		v := tx.Bucket(bucketGrants).Get([]byte(id))
		if v == nil {
			return ErrUnknown
		}
		g, err = read[Grant](v)
		return err
	})
	return g, err
}

// Update implements Store.
func (b *Bolt) Update(ctx context.Context, g Grant) (Grant, error) { return updateOne(ctx, b, g) }

// UpdateAll implements Store.
func (b *Bolt) UpdateAll(ctx context.Context, gs []Grant) (out []Grant, err error) {
	err = b.change(ctx, func(tx *bbolt.Tx) ([]Event, error) {
		grants := tx.Bucket(bucketGrants)
		out = make([]Grant, 0, len(gs))
		for _, g := range gs {
			v := grants.Get([]byte(g.ID))
			if v == nil {
				return nil, ErrUnknown
			}
			was, err := read[Grant](v)
			if err != nil {
				return nil, err
			}
			if g, err = next(&was, g); err != nil {
				return nil, err
			}
			if err := put(grants, g.ID, g); err != nil {
				return nil, err
			}
			out = append(out, g)
		}
		return puts(out), nil
	})
	if err != nil {
		return nil, err
	}
	return out, nil
}

// Delete implements Store.
func (b *Bolt) Delete(ctx context.Context, ids, scopes []string) error {
	if len(ids)+len(scopes) == 0 {
		return nil
	}
	return b.change(ctx, func(tx *bbolt.Tx) (events []Event, err error) {
		grants, usage, labels := tx.Bucket(bucketGrants), tx.Bucket(bucketUsage), tx.Bucket(bucketLabels)
		for _, id := range ids {
			if grants.Get([]byte(id)) != nil {
				events = append(events, Event{Kind: Deleted, Grant: Grant{ID: id}})
			}
			if err := errors.Join(grants.Delete([]byte(id)), usage.Delete([]byte(id))); err != nil {
				return nil, err
			}
		}
		for _, key := range scopes {
			if err := errors.Join(usage.Delete(scopeName(key)), labels.Delete(scopeName(key))); err != nil {
				return nil, err
			}
		}
		return events, nil
	})
}

// Watch implements Store.
func (b *Bolt) Watch(ctx context.Context) (<-chan Event, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	var all []Grant
	err := b.db.View(func(tx *bbolt.Tx) error {
		return tx.Bucket(bucketGrants).ForEach(func(_, v []byte) error {
			g, err := read[Grant](v)
			all = append(all, g)
			return err
		})
	})
	if err != nil {
		return nil, err
	}
	return b.feed.watch(ctx, puts(all))
}

// Close implements Store.
func (b *Bolt) Close() error {
	b.stop()
	<-b.done
	b.feed.close()
	return b.db.Close()
}

func put(bucket *bbolt.Bucket, key string, value any) error {
	v, err := json.Marshal(value)
	if err != nil {
		return err
	}
	return bucket.Put([]byte(key), v)
}

// read takes a value of the store. It has been written by us, but a file can be damaged, and
// then it is better not to be read than to be read as something else.
func read[T any](v []byte) (T, error) {
	var out T
	if err := strictjson.Check(v, strictjson.Limits{}); err != nil {
		return out, fmt.Errorf("damaged: %w", err)
	}
	if err := json.Unmarshal(v, &out); err != nil {
		return out, errors.New("damaged: a value of another type")
	}
	return out, nil
}

func number(v []byte) uint64 {
	if len(v) != 8 {
		return 0
	}
	return binary.BigEndian.Uint64(v)
}
