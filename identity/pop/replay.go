package pop

import (
	"crypto/sha256"
	"fmt"
	"hash/maphash"
	"strconv"
	"sync"
	"sync/atomic"
)

const shards = 64

// replays remembers the proofs that were taken, by key and by the period of their nonce: when a
// nonce is no longer taken, its proofs cannot come back, and only then are they forgotten. Time
// has no other part in it. When full it refuses; dropping the oldest instead would let whoever
// can send many proofs make it forget one.
type replays struct {
	perKey, maxKeys int
	latest          atomic.Int64 // number of the newest period seen; grows only
	keys            atomic.Int64 // in all shards
	each            owned
	seed            maphash.Seed
	shard           [shards]shard
}

type shard struct {
	mu    sync.Mutex
	byKey map[string]*taken // guarded by mu, as all below it
}

// owned counts the keys of each owner that have proofs.
type owned struct {
	most int
	mu   sync.Mutex // is taken last
	keys map[Owner]int
}

func (o *owned) add(who Owner) bool {
	if who == (Owner{}) {
		return true
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys[who] >= o.most {
		return false
	}
	o.keys[who]++
	return true
}

func (o *owned) remove(who Owner) {
	if who == (Owner{}) {
		return
	}
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.keys[who]--; o.keys[who] == 0 {
		delete(o.keys, who)
	}
}

// taken are the proofs of one key in two periods.
type taken struct {
	owner     Owner // who brought the key
	period    int64 // of now
	now, last map[id]struct{}
}

// id is the start of the SHA-256 of a jti. Two of one key that collide would have the second
// refused, and only the key's own holder could make such a pair.
type id [16]byte

func (r *replays) init(perKey, maxKeys int) {
	r.perKey, r.maxKeys, r.seed = perKey, maxKeys, maphash.MakeSeed()
	r.each.most, r.each.keys = max(1, maxKeys/owners), map[Owner]int{}
	for i := range r.shard {
		r.shard[i].byKey = map[string]*taken{}
	}
}

// take remembers a proof of an owner whose nonce is of period n. The error is ErrReplay, ErrFull, or
// ErrNonce where the period has ended since the nonce was looked at.
func (r *replays) take(jkt, jti string, n int64, owner Owner) error {
	sum := sha256.Sum256([]byte(jti))
	s := &r.shard[maphash.String(r.seed, jkt)%shards]
	s.mu.Lock()
	defer s.mu.Unlock()
	// Read under the lock: whoever ended the period before clears this shard after it.
	latest := r.latest.Load()
	if n < latest-1 {
		return ErrNonce
	}
	k := s.byKey[jkt]
	if k == nil {
		if r.keys.Add(1) > int64(r.maxKeys) {
			r.keys.Add(-1)
			return fmt.Errorf("%w: %d keys have sent proofs in the last two minutes", ErrFull, r.maxKeys)
		}
		if !r.each.add(owner) {
			r.keys.Add(-1)
			return fmt.Errorf("%w: %d keys of %s have sent proofs in the last two minutes", ErrFull, r.each.most, strconv.Quote(owner.Subject))
		}
		k = &taken{owner: owner, period: latest}
		s.byKey[jkt] = k
	}
	k.advance(latest)
	return k.take(id(sum[:len(id{})]), n, r.perKey)
}

func (k *taken) take(p id, n int64, most int) error {
	set := &k.now
	if n != k.period {
		set = &k.last
	}
	if _, there := (*set)[p]; there {
		return ErrReplay
	}
	if len(k.now)+len(k.last) >= most {
		return fmt.Errorf("%w: this key has sent %d in the last two minutes", ErrFull, most)
	}
	if *set == nil {
		*set = map[id]struct{}{}
	}
	(*set)[p] = struct{}{}
	return nil
}

// advance forgets the proofs whose nonces have ended by period n.
func (k *taken) advance(n int64) {
	switch {
	case n <= k.period:
		return
	case n == k.period+1:
		k.last = k.now
	default:
		k.last = nil
	}
	k.now, k.period = nil, n
}

// begin makes n the newest period, and forgets the keys that have no proof left.
func (r *replays) begin(n int64) {
	for {
		latest := r.latest.Load()
		if n <= latest {
			return
		}
		if r.latest.CompareAndSwap(latest, n) {
			break
		}
	}
	for i := range r.shard {
		s := &r.shard[i]
		s.mu.Lock()
		for jkt, k := range s.byKey {
			if k.advance(n); len(k.now)+len(k.last) == 0 {
				delete(s.byKey, jkt)
				r.keys.Add(-1)
				r.each.remove(k.owner)
			}
		}
		s.mu.Unlock()
	}
}
