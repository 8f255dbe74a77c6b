package federation

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
)

const (
	// MaxServer is the longest name of a server, in bytes.
	MaxServer = 32
	// MaxName is the longest name that is served. Clients put a prefix of their own before a
	// tool's name, such as mcp__sallyport__, and drop a tool silently when the whole is longer
	// than 64.
	MaxName = 48

	separator = "__"
	hashed    = 8 // hex digits of a short name's digest
)

// CheckServer says what is wrong with the name of a server, or nil: it is 1 to 32 of a-z, 0-9
// and -, which leaves the underscore to the separator.
func CheckServer(name string) error {
	if name == "" || len(name) > MaxServer {
		return fmt.Errorf("a server's name has 1 to %d characters, not %d", MaxServer, len(name))
	}
	for _, c := range name {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return fmt.Errorf("a server's name consists of a-z, 0-9 and -, not %q", string(c))
		}
	}
	return nil
}

// Name returns the name under which a server's own tool or prompt is served. It is the same for
// the same two names, whatever else there is. One that would be too long keeps its beginning and
// ends in a digest of the whole.
func Name(server, own string) string {
	full := server + separator + own
	if len(full) <= MaxName {
		return full
	}
	sum := sha256.Sum256([]byte(full))
	keep := MaxName - hashed - 1
	return full[:keep] + "_" + hex.EncodeToString(sum[:])[:hashed]
}

// Skeleton maps names that a person or a model could take for each other to one text: letters of
// either case, digits that look like letters, and the three signs that join words.
func Skeleton(name string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case 'A' <= r && r <= 'Z':
			r += 'a' - 'A'
		}
		switch r {
		case '0':
			return 'o'
		case '1', 'i':
			return 'l'
		case '5':
			return 's'
		case '-', '.':
			return '_'
		}
		return r
	}, name)
}
