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
// if it has one (ſ → s, K → k), else the least.
func foldRune(r rune) rune {
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
	byFold map[string]string
}

// NewKeySet returns the set of the given names. Two names that fold alike are a programming
// error and panic.
func NewKeySet(keys ...string) *KeySet {
	s := &KeySet{byFold: make(map[string]string, len(keys))}
	for _, k := range keys {
		if other, dup := s.byFold[Fold(k)]; dup && other != k {
			panic("strictjson: keys " + other + " and " + k + " fold alike")
		}
		s.byFold[Fold(k)] = k
	}
	return s
}

// clash returns the key that name imitates.
func (s *KeySet) clash(name []byte) (string, bool) {
	var key string
	var ok bool
	if isFolded(name) {
		key, ok = s.byFold[string(name)]
	} else {
		var scratch [64]byte
		key, ok = s.byFold[string(appendFold(scratch[:0], name))]
	}
	return key, ok && key != string(name)
}
