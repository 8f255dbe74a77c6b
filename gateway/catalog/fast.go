package catalog

import "github.com/santhosh-tekuri/jsonschema/v6"

type node struct{}
type verdict int

const (
	fails verdict = iota
	matches
	exhausted
)

func program(*jsonschema.Schema) *node     { return nil }
func (n *node) check(value []byte) verdict { return fails }
func stringEnd(b []byte, i int) int {
	for i++; i < len(b); i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
	return len(b)
}
