package mint

import (
	"strings"
	"testing"

	"sallyport/identity/grant"
)

// One who may ask cannot fill the memory of the gateway with grants; who ends them makes no room at
// once, since they are known for a day.
func TestSubjectHasSoManyGrantsADay(t *testing.T) {
	d := newDesk(t)
	for i := range maxHeld {
		g := d.grant(dev(), Ask{})
		if i%2 == 0 {
			d.end(g.ID)
		}
	}
	_, err := d.Grant(t.Context(), dev(), Ask{})
	if r := refusal(t, err); r.Status != 429 || !strings.HasPrefix(r.Message, "dev has 2000 grants of today already, and may have 2000 of 8 MiB together; renew one") {
		t.Errorf("one more: %d %s", r.Status, r.Message)
	}
	if _, err := d.Grant(t.Context(), ci(), Ask{}); err != nil {
		t.Errorf("another subject: %v", err)
	}
	if _, err := d.Grant(t.Context(), operator(), Ask{Subject: "dev", Roles: []string{"reader"}}); err != nil {
		t.Errorf("an operator, for the same: %v", err)
	}
}

func TestSubjectsGrantsAreSoLargeTogether(t *testing.T) {
	d := newDesk(t)
	schema := []byte(`{"description":"` + strings.Repeat("x", 60<<10) + `"}`)
	var err error
	made := 0
	for ; err == nil && made < maxHeld; made++ {
		_, err = d.Grant(t.Context(), dev(), Ask{Args: []grant.Constraint{{Tools: "files.*", Schema: schema}}})
	}
	if r := refusal(t, err); r.Status != 429 || made > 200 {
		t.Errorf("after %d grants of 60 KiB: %d %s; want an end before 200", made, r.Status, r.Message)
	}
}
