package audit

import (
	"crypto/rand"
	"encoding/binary"
	"time"
)

// idDigits is Crockford's base 32: no letters that read as digits, and bytes that sort as the
// numbers do.
const idDigits = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"

// NewID returns a decision id of 26 characters: milliseconds since 1970 and 80 random bits, so
// that ids sort by time and cannot be guessed.
func NewID() string {
	var b [16]byte
	_, _ = rand.Read(b[6:])                           // never fails
	ms := uint64(time.Now().UnixMilli())              // not before 1970
	binary.BigEndian.PutUint16(b[0:], uint16(ms>>32)) // 48 bits are used
	binary.BigEndian.PutUint32(b[2:], uint32(ms))     // the lower half
	hi, lo := binary.BigEndian.Uint64(b[:8]), binary.BigEndian.Uint64(b[8:])
	var id [26]byte
	for i := len(id) - 1; i >= 0; i-- {
		id[i] = idDigits[lo&31]
		lo = lo>>5 | hi<<59
		hi >>= 5
	}
	return string(id[:])
}
