package policy

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"
)

// A deny only takes away: with one rule of deny more, nothing can be called that could not be before,
// nothing is seen that was hidden, and every reason of before is still given.
func TestAddingADenyNeverAllowsMore(t *testing.T) {
	refused := 0
	rapid.Check(t, func(t *rapid.T) {
		src := genPolicy(t)
		body := rapid.SliceOfNDistinct(rapid.SampledFrom(conditions), 1, 2, rapid.ID[string]).Draw(t, "deny more")
		before := loadGenerated(t, src, -1)
		after := loadGenerated(t, src+fmt.Sprintf("\ndeny contains \"more\" if {\n\t%s\n}\n", strings.Join(body, "\n\t")), -1)
		for i := range 3 {
			in := genInput(t, i)
			was, wasErr := before.Visible(context.Background(), in)
			is, err := after.Visible(context.Background(), in)
			if err == nil && is && (wasErr != nil || !was) {
				t.Fatalf("%s\nwith a deny of %q more %s is seen, and was not: %v", src, body, in.Tool.Name, wasErr)
			}
			for j := range 4 {
				full := fill(t, in, 10*i+j)
				old, oldErr := before.Decide(context.Background(), full)
				new, newErr := after.Decide(context.Background(), full)
				allowed, allows := oldErr == nil && old.Allow, newErr == nil && new.Allow
				if allows && !allowed {
					t.Fatalf("%s\nwith a deny of %q more, %+v is allowed, and was not", src, body, full)
				}
				if oldErr == nil && newErr == nil {
					for _, reason := range old.Reasons {
						if !slices.Contains(new.Reasons, reason) {
							t.Fatalf("%s\nwith a deny of %q more, %+v is refused without the reason %q", src, body, full, reason)
						}
					}
				}
				if allowed && !allows {
					refused++
				}
			}
		}
	})
	if refused == 0 {
		t.Error("no deny ever refused what was allowed: the test shows nothing")
	}
}
