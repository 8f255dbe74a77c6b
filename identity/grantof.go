package identity

import "strings"

// GrantOf returns the grant that a [Principal.Key] is of, or "".
func GrantOf(key string) string {
	// The grant is the last part, after its length; it holds no colon.
	return key[strings.LastIndexByte(key, ':')+1:]
}
