package bridge

import (
	"context"
	"fmt"
	"testing"

	"sallyport/gateway"
	"sallyport/gateway/wire"
)

// BenchmarkCall is a call through the whole line to a server in memory, in each pair of revisions.
func BenchmarkCall(b *testing.B) {
	made := makeOutside(b, allowAll)
	for _, server := range []string{"newer", "older"} {
		for _, client := range []string{"newer", "older"} {
			b.Run(fmt.Sprintf("client=%s/server=%s", client, server), func(b *testing.B) {
				var up gateway.Upstream = &olderServer{whole: true, answer: func(k *talk) { k.result(`{"content":[]}`) }}
				if server == "newer" {
					up = &newerServer{answer: func(_ context.Context, _ gateway.Outbound, msg *wire.Message) (*gateway.Reply, error) {
						return replied(msg, `{"resultType":"complete","content":[]}`)
					}}
				}
				r := newRoom(b, made, up, Options{})
				defer r.link.Close()
				c := r.newer("ann", `{}`)
				if client == "older" {
					c = r.older("ann", `{}`)
				}
				c.token = r.issuer.Mint(c.subject)
				b.ReportAllocs()
				for b.Loop() {
					c.call(`1`, "echo", `{"a":"b"}`, "", "").wait()
				}
			})
		}
	}
}
