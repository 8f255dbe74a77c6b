package strictjson

import (
	"unicode"
	"unicode/utf8"
)

// Fold maps a name to the form under which lenient parsers compare names: NULs dropped, and
// every character replaced by the least of its simple case-fold orbit, so that "NAME",
// "name" and "paramſ"/"params" each meet.
func Fold(name string) string {
	if isFolded([]byte(name)) {
		return name
	}
	return string(appendFold(nil, []byte(name)))
}

// FoldsTo reports whether a lenient parser could take name for key although they differ.
func FoldsTo(name, key string) bool { return name != key && Fold(name) == Fold(key) }

func isFolded(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf || c == 0 || 'A' <= c && c <= 'Z' {
			return false
		}
	}
	return true
}

func appendFold(dst, name []byte) []byte {
	for i := 0; i < len(name); {
		c := name[i]
		if c < utf8.RuneSelf {
			i++
			switch {
			case c == 0:
			case 'A' <= c && c <= 'Z':
				dst = append(dst, c+'a'-'A')
			default:
				dst = append(dst, c)
			}
			continue
		}
		r, n := utf8.DecodeRune(name[i:])
		i += n
		dst = utf8.AppendRune(dst, foldRune(r))
	}
	return dst
}

// foldRune returns one representative of r's simple-fold orbit: its lower-case ASCII member
// if it has one (ſ → s, K → k), else the least. The two Turkish letters have no orbit, but
// parsers that compare upper case or lower case alone (as Java's equalsIgnoreCase) read them
// as i.
func foldRune(r rune) rune {
	if r == 'ı' || r == 'İ' {
		return 'i'
	}
	least := r
	for f := unicode.SimpleFold(r); f != r; f = unicode.SimpleFold(f) {
		if 'a' <= f && f <= 'z' {
			return f
		}
		least = min(least, f)
	}
	return least
}

// KeySet is an immutable set of names that may not be imitated.
type KeySet struct {
	byName map[string]string // each key, and the fold of each key → the key
	seen   [16]uint64        // bits of the hints of all keys: spares most other names the map
}

// NewKeySet returns the set of the given names. Two names that fold alike are a programming
// error and panic.
func NewKeySet(keys ...string) *KeySet {
	s := &KeySet{byName: make(map[string]string, 2*len(keys))}
	for _, k := range keys {
		fold := Fold(k)
		if other, dup := s.byName[fold]; dup && other != k {
			panic("strictjson: keys " + other + " and " + k + " fold alike")
		}
		s.byName[k], s.byName[fold] = k, k
		h := hint([]byte(fold))
		s.seen[h/64] |= 1 << (h % 64)
	}
	return s
}

// hint is equal for ASCII names that differ in case only.
func hint(name []byte) uint {
	if len(name) == 0 {
		return 0
	}
	first, last := uint(name[0]|0x20), uint(name[len(name)-1]|0x20)
	return (uint(len(name)) + 7*first + 61*last) % 1024
}

// clash returns the key that name imitates. A nil set has no keys.
func (s *KeySet) clash(name []byte) (string, bool) {
	if s == nil {
		return "", false
	}
	plain := isPlain(name)
	if h := hint(name); plain && s.seen[h/64]&(1<<(h%64)) == 0 {
		return "", false
	}
	if key, ok := s.byName[string(name)]; ok {
		return key, key != string(name)
	}
	if plain && isFolded(name) {
		return "", false
	}
	var scratch [64]byte
	key, ok := s.byName[string(appendFold(scratch[:0], name))]
	return key, ok && key != string(name)
}

// isPlain reports whether name is ASCII without NULs, which folds by case alone.
func isPlain(name []byte) bool {
	for _, c := range name {
		if c >= utf8.RuneSelf || c == 0 {
			return false
		}
	}
	return true
}
