package audit

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
)

// dump shows a directory for a failure.
func dump(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	list, err := readLayout(dir)
	if err != nil {
		return err.Error()
	}
	index, _ := readIndex(dir)
	fmt.Fprintln(&b, "index", index)
	for _, p := range list {
		fmt.Fprintf(&b, "%s size %d lost %d\n", p.name, p.size, p.lost)
		x, err := p.each(func(line []byte) {
			var r Record
			_ = json.Unmarshal(line, &r)
			fmt.Fprintf(&b, "   %d %s %s %v %s\n", r.Seq, r.Phase, r.ID, r.Lost, r.Detail)
		})
		fmt.Fprintf(&b, "   %+v %v\n", x, err)
	}
	return b.String()
}
