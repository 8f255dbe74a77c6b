package grant

import (
	"errors"
	"testing"
	"time"
)

func TestCheckSaysWhatCreateWouldAndMakesNothing(t *testing.T) {
	s := memory(t)
	r := open(t, s)
	parent := create(t, r, func(g *Grant) { g.Tools = []string{"files.read_*"} })
	for _, g := range []Grant{
		ask(func(g *Grant) { g.Subject = "" }),
		ask(func(g *Grant) { g.Expires = time.Now().Add(-time.Hour) }),
		ask(childOf(parent, func(g *Grant) { g.Tools = []string{"*.*"} })),
		ask(func(g *Grant) { g.Parent = NewID() }),
		ask(func(g *Grant) { g.ID = parent.Grant().ID }),
	} {
		said := r.Check(g)
		_, err := r.Create(t.Context(), g)
		if err == nil || said == nil || said.Error() != err.Error() {
			t.Errorf("Check = %v, Create = %v; want one error", said, err)
		}
	}
	good := ask(childOf(parent, nil))
	good.ID = NewID()
	if err := r.Check(good); err != nil {
		t.Errorf("Check of a good grant = %v", err)
	}
	if _, err := r.Find(good.ID); !errors.Is(err, ErrUnknown) || len(r.List(Filter{All: true})) != 1 {
		t.Errorf("Find after Check = %v; want ErrUnknown", err)
	}
	if _, err := r.Create(t.Context(), good); err != nil {
		t.Errorf("Create after Check = %v", err)
	}
}
