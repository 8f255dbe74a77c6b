package mint

import (
	"testing"

	"sallyport/identity/federate"
	"sallyport/identity/pop"
)

// One holder of a token that is bound to no key does not take the room for everybody's keys: not by
// requests that are refused, not by giving the token back again and again, and not with good ones.
func TestOneHolderDoesNotTakeTheRoomOfAllKeys(t *testing.T) {
	const room = 64
	for how, ask := range map[string]func(b *booth, token string, k *pop.Key){
		"refused": func(b *booth, token string, k *pop.Key) {
			b.post(TokenPath, exchangeOf(token, typeAccess, ""), b.proof(k))
		},
		"given back": func(b *booth, token string, k *pop.Key) { b.post(RevokePath, []string{"token", token}, b.proof(k)) },
		"good": func(b *booth, token string, k *pop.Key) {
			b.post(TokenPath, exchangeOf(token, typeAccess, `[{"type":"mcp_grant","roles":["reader"]}]`), b.proof(k))
		},
	} {
		t.Run(how, func(t *testing.T) {
			b := newBooth(t)
			small := pop.NewChecker(pop.CheckerOptions{Now: b.clock.now, MaxKeys: room})
			cfg := b.h.(*endpoints).cfg
			cfg.Proofs, b.proofs = small, small
			b.h = Endpoints(cfg)
			other := b.others[federate.SubjectToken]["subject-strict"]
			other.Subject = "ci:2"
			b.others[federate.SubjectToken]["subject-strict"] = other
			weak := b.exchange("subject", `[{"type":"mcp_grant","roles":["reader"]}]`)
			if weak.status != 200 {
				t.Fatal(weak.body)
			}
			for range 2 * room {
				ask(b, weak.Token, newKey(t))
			}
			if a := b.exchange("subject-strict", "", b.proof(newKey(t))); a.status != 200 {
				t.Errorf("another client with a key of its own: %d %s; want a token", a.status, a.body)
			}
		})
	}
}
