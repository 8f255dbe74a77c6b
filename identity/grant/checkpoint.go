package grant

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"go.etcd.io/bbolt"
)

// kept is a value of the buckets usage and labels. The key is in it, since that of a scope of
// implicit grants is longer than a file's keys may be and is hashed for the file.
type kept struct {
	Key    string   `json:"key"`
	Usage  *Usage   `json:"usage,omitempty"`
	Labels []string `json:"labels,omitempty"`
}

// scopeName returns the key of a grant or a scope in the file.
func scopeName(key string) []byte {
	if idForm.MatchString(key) {
		return []byte(key)
	}
	sum := sha256.Sum256([]byte(key))
	return []byte("sc_" + hex.EncodeToString(sum[:]))
}

// Checkpoint implements Store.
func (b *Bolt) Checkpoint(ctx context.Context, seq uint64, usage map[string]Usage, labels map[string][]string) error {
	return b.change(ctx, func(tx *bbolt.Tx) ([]Event, error) {
		used, marked := tx.Bucket(bucketUsage), tx.Bucket(bucketLabels)
		for key, u := range usage {
			if err := put(used, string(scopeName(key)), kept{Key: key, Usage: &u}); err != nil {
				return nil, err
			}
		}
		for key, l := range labels {
			if err := put(marked, string(scopeName(key)), kept{Key: key, Labels: l}); err != nil {
				return nil, err
			}
		}
		return nil, tx.Bucket(bucketMeta).Put(metaSeq, binary.BigEndian.AppendUint64(nil, seq))
	})
}

// Restore implements Store.
func (b *Bolt) Restore(context.Context) (seq uint64, usage map[string]Usage, labels map[string][]string, err error) {
	usage, labels = map[string]Usage{}, map[string][]string{}
	each := func(take func(kept)) func(k, v []byte) error {
		return func(k, v []byte) error {
			c, err := read[kept](v)
			if err != nil || string(scopeName(c.Key)) != string(k) {
				return fmt.Errorf("counters of %.80q are damaged", k)
			}
			take(c)
			return nil
		}
	}
	err = b.db.View(func(tx *bbolt.Tx) error {
		seq = number(tx.Bucket(bucketMeta).Get(metaSeq))
		err := tx.Bucket(bucketUsage).ForEach(each(func(c kept) {
			if c.Usage != nil {
				usage[c.Key] = *c.Usage
			}
		}))
		if err != nil {
			return err
		}
		return tx.Bucket(bucketLabels).ForEach(each(func(c kept) { labels[c.Key] = c.Labels }))
	})
	if err != nil {
		return 0, nil, nil, err
	}
	return seq, usage, labels, nil
}
