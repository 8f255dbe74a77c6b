package upstream

import (
	"context"
	"os"
	"sync/atomic"
	"testing"

	"sallyport/gateway"
)

// A call that was let through before its grant ended, and gets here after it, starts nothing.
func TestNoProcessStartsForAGrantThatIsOver(t *testing.T) {
	var started atomic.Int32
	s := ours(t, "legacy", func(c *StdioConfig) {
		inner := c.Start
		c.Start = func(ctx context.Context, env map[string]string, a, b, e *os.File) (Child, error) {
			started.Add(1)
			return inner(ctx, env, a, b, e)
		}
	})
	for i := range 20 {
		p := gateway.Party{Key: string(rune('a' + i)), Grant: "gr_" + string(rune('a'+i))}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		s.EndGrant(p)
		if _, err := talk(ctx, s, legacyPost(p, "", toolCall("1", "pid", ""))); err == nil {
			t.Error("a call under a grant that is over was answered")
		}
	}
	if n := started.Load(); n > 0 {
		t.Errorf("%d processes were started for 20 grants that were over", n)
	}
}
