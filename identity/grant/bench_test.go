package grant

import (
	"context"
	"fmt"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"
)

// crowd is a registry of n live grants.
func crowd(b *testing.B, n int) (*Registry, []string) {
	r := open(b, memory(b))
	ids := make([]string, n)
	for i := range ids {
		g, err := r.Create(context.Background(), Grant{
			Subject: fmt.Sprintf("user-%d", i%1000), Task: fmt.Sprintf("T-%d", i), Expires: time.Now().Add(time.Hour),
			Tools: []string{"files.read_*", "tickets.*"}, MaxCalls: maxCount,
		})
		if err != nil {
			b.Fatal(err)
		}
		ids[i] = g.ID
	}
	return r, ids
}

func BenchmarkFind(b *testing.B) {
	r, ids := crowd(b, 100_000)
	var at atomic.Uint64
	b.ReportAllocs()
	for b.Loop() {
		if _, err := r.Find(ids[at.Add(7919)%uint64(len(ids))]); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFindParallel(b *testing.B) {
	r, ids := crowd(b, 100_000)
	var at atomic.Uint64
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		for i := at.Add(1 << 20); pb.Next(); i += 7919 {
			if _, err := r.Find(ids[i%uint64(len(ids))]); err != nil {
				b.Error(err)
				return
			}
		}
	})
}

func BenchmarkReserve(b *testing.B) {
	r, ids := crowd(b, 1)
	root, err := r.Find(ids[0])
	if err != nil {
		b.Fatal(err)
	}
	for _, depth := range []int{1, 4} {
		l := root
		for l.Grant().Depth < depth {
			l = create(b, r, func(g *Grant) {
				g.Parent, g.Subject, g.Roles, g.Expires = l.Grant().ID, "user-0", nil, l.Grant().Expires
			})
		}
		b.Run(fmt.Sprintf("depth=%d", depth), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := l.Reserve("files", "read_file", Cost{}, Bound{N: maxCount}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkRevoke is the time from the call to the end of all contexts, and to durability.
func BenchmarkRevoke(b *testing.B) {
	const bound = 10_000
	for _, shape := range []struct {
		name   string
		grants int
	}{{"one grant", 1}, {"as many grants", bound}} {
		b.Run(fmt.Sprintf("%d contexts of %s", bound, shape.name), func(b *testing.B) {
			var cancelled time.Duration
			for b.Loop() {
				b.StopTimer()
				store := bolt(b, filepath.Join(b.TempDir(), "grants.db"))
				store.db.NoSync = true // while the grants are made
				r := open(b, store)
				var lives []*Live
				for len(lives) < shape.grants {
					lives = append(lives, create(b, r, nil))
				}
				store.db.NoSync = false
				contexts := make([]context.Context, bound)
				for i := range contexts {
					ctx, done := lives[i%len(lives)].Bind(context.Background())
					defer done()
					contexts[i] = ctx
				}
				start := time.Now()
				r.OnEnd(func([]string) { cancelled += time.Since(start) })
				b.StartTimer()
				if _, err := r.Revoke(context.Background(), Filter{All: true}, Revoked, "", ""); err != nil {
					b.Fatal(err)
				}
				b.StopTimer()
				for _, ctx := range contexts {
					if ctx.Err() == nil {
						b.Fatal("a context goes on")
					}
				}
				_ = r.Close()
				_ = store.Close()
				b.StartTimer()
			}
			b.ReportMetric(float64(cancelled.Microseconds())/float64(b.N)/1000, "ms-to-cancel")
		})
	}
}
