package approval

import (
	"fmt"
	"testing"
	"time"
)

// Whatever is asked, decided, ended and left to lapse, in whatever order: a call passes only on a yes that
// somebody else with the role gave to exactly this call, once, within its time, and while its grant and
// its policy were there.
func FuzzDesk(f *testing.F) {
	f.Add([]byte{0, 0x80, 0})
	f.Add([]byte{0, 0x80, 0, 0, 0x40, 0})
	f.Add([]byte{0, 1, 0x81, 2, 0x82, 1, 2, 1, 2})
	f.Add([]byte{3, 0x83, 0xe0, 3, 0, 0x80, 0xf0, 0, 0, 0x80, 0xf8, 0})
	f.Fuzz(func(t *testing.T, ops []byte) {
		d, clock := desk(Options{PerRoot: 3, PerSubject: 4, Most: 6})
		type yes struct {
			until time.Time
			call  Call
		}
		agreed := map[string]yes{} // by ticket
		var tickets []string
		for i, op := range ops {
			c := deploy
			c.Digest, c.Grant, c.Subject = fmt.Sprint("d", op&1), fmt.Sprint("gr_", op>>1&1), fmt.Sprint("s", op>>2&1)
			switch op >> 6 {
			case 0: // asks
				ticket, ok, err := d.Ask(c)
				if err != nil {
					continue
				}
				tickets = append(tickets, ticket.ID)
				if !ok {
					continue
				}
				y, was := agreed[ticket.ID]
				if !was || y.call.key() != c.key() || !clock.now.Before(y.until) {
					t.Fatalf("operation %d: %+v passes with the ticket %s; agreed were %+v", i, c, ticket.ID, agreed)
				}
				delete(agreed, ticket.ID) // it counts once
			case 1, 2: // decides: no, yes
				if len(tickets) == 0 {
					continue
				}
				by := []Approver{bob, {Name: "s0", Subject: "s0", Roles: bob.Roles}, {Name: "eve", Subject: "eve", Roles: []string{"reader"}}, {Name: "op", Subject: "op", Operator: true}}[op>>3&3]
				ticket, err := d.Decide(tickets[int(op&7)%len(tickets)], by, op>>6 == 2, "")
				if err != nil {
					continue
				}
				if by.Subject == ticket.Subject || by.Name == "eve" {
					t.Fatalf("operation %d: %s decided about %+v", i, by.Name, ticket)
				}
				if op>>6 == 2 {
					agreed[ticket.ID] = yes{clock.now.Add(15 * time.Minute), ticket.Call}
				}
			case 3: // time passes, a grant ends, the policy changes
				switch op >> 4 & 3 {
				case 2:
					clock.now = clock.now.Add(time.Duration(op&15) * time.Minute)
				case 3:
					d.EndGrants([]string{c.Grant})
					for id, y := range agreed {
						if y.call.Grant == c.Grant {
							delete(agreed, id)
						}
					}
				default:
					d.EndPolicies("r2")
					clear(agreed)
				}
			}
		}
	})
}
