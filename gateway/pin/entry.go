package pin

import (
	"bytes"
	"time"

	"sallyport/gateway/catalog"
	"sallyport/gateway/wire"
)

// key names a definition within its server.
type key struct {
	kind Kind
	name string
}

// version is one text of a definition. It is immutable: a review makes another of it.
type version struct {
	raw      []byte
	digest   string
	first    time.Time // when it was seen first
	reviewed *Review   // nil: by nobody
	unseen   bool      // it has text that a reader does not see
	steers   bool      // it has characters for which it is never served
	eras     [2]bool   // only while the file is read
}

func newVersion(raw []byte, digest string, now time.Time) *version {
	v := &version{raw: bytes.Clone(raw), digest: digest, first: now.UTC().Truncate(time.Second)}
	v.inspect()
	return v
}

// inspect looks once at what does not change.
func (v *version) inspect() {
	v.unseen, v.steers = unseen(v.raw) != nil, catalog.CheckSteering(v.raw) != nil
}

// is reports whether raw says the same.
func (v *version) is(raw []byte) bool {
	return v != nil && (bytes.Equal(v.raw, raw) || v.digest == catalog.Digest(raw))
}

// entry is what is known of one name. Two eras share a version where it is the same.
type entry struct {
	pin     [2]*version // what is served; by era
	pending [2]*version // what was seen last, where it is not the pin
	present [2]bool     // the newest list of the era had it; not in the file
	problem [2]string   // why what was seen could not even be kept; not in the file
}

// pinned reports that somebody, or a first sight, has pinned the name in some era.
func (e *entry) pinned() bool { return e.pin[wire.Modern] != nil || e.pin[wire.Legacy] != nil }

// waits reports that what was seen last, in some era, is not the pin.
func (e *entry) waits() bool {
	return e.pending[wire.Modern] != nil || e.pending[wire.Legacy] != nil || e.problem != [2]string{}
}

// size is what the entry keeps, in bytes.
func (e *entry) size() int {
	n := 0
	for _, v := range e.all() {
		n += len(v.raw) + overhead
	}
	return n
}

// overhead is what a definition costs beside its bytes, about.
const overhead = 256

// all returns the versions, each once.
func (e *entry) all() []*version {
	var out []*version
	for _, v := range []*version{e.pin[wire.Modern], e.pin[wire.Legacy], e.pending[wire.Modern], e.pending[wire.Legacy]} {
		known := v == nil
		for _, other := range out {
			known = known || other == v
		}
		if !known {
			out = append(out, v)
		}
	}
	return out
}

// off reports that what the era shows is not what is pinned.
func (e *entry) off(era wire.Era) bool { return e.pending[era] != nil || e.problem[era] != "" }

// serves returns what may be served of the entry in an era, or nil.
func (e *entry) serves(era wire.Era, mode Mode) *version {
	if e == nil || !e.present[era] {
		return nil
	}
	return e.wouldServe(era, mode)
}

// wouldServe is serves of an entry that the server shows.
func (e *entry) wouldServe(era wire.Era, mode Mode) *version {
	v := e.pin[era]
	if v == nil || e.off(era) {
		return nil
	}
	if v.reviewed == nil && (mode != FirstUse || v.unseen) || v.steers {
		return nil
	}
	return v
}
