package workbench

import (
	"bytes"
	"cmp"
	"encoding/json"
	"maps"
	"slices"
)

// canonical writes JSON values as a set: members sorted, numbers as they are.
func canonical(list []json.RawMessage) map[string]bool {
	set := make(map[string]bool, len(list))
	for _, raw := range list {
		set[canonicalJSON(raw)] = true
	}
	return set
}

func canonicalJSON(raw []byte) string {
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.UseNumber()
	var v any
	if dec.Decode(&v) != nil {
		return string(raw)
	}
	out, err := json.Marshal(v)
	if err != nil {
		return string(raw)
	}
	return string(out)
}

// ByCount are the names of counts, the largest first.
func ByCount(counts map[string]int) []string {
	return slices.SortedFunc(maps.Keys(counts), func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(a, b))
	})
}
