package session

import (
	"errors"
	"testing"
	"time"
)

func TestSessionBelongsToOneOwner(t *testing.T) {
	s := NewSessions(2)
	if err := s.Bind("a", "1", "alice"); err != nil {
		t.Fatal(err)
	}
	if err := s.Bind("a", "1", "bob"); !errors.Is(err, ErrTaken) {
		t.Errorf("second owner: %v; want ErrTaken", err)
	}
	if err := s.Bind("b", "1", "bob"); err != nil {
		t.Errorf("same id on another server: %v", err)
	}
	for _, tt := range []struct {
		server, id, owner string
		want              bool
	}{{"a", "1", "alice", true}, {"a", "1", "bob", false}, {"b", "1", "alice", false}, {"a", "2", "alice", false}, {"a", "1", "", false}} {
		if got := s.Owned(tt.server, tt.id, tt.owner); got != tt.want {
			t.Errorf("Owned(%v) = %v", tt, got)
		}
	}
	s.End("a", "1")
	if s.Owned("a", "1", "alice") {
		t.Error("an ended session is still owned")
	}
}

func TestQuestionIsAnsweredOnceByWhomItWasAsked(t *testing.T) {
	q := NewOwed[string](10)
	q.Add("a", "s", "alice", "7", "elicitation/create")
	if _, ok := q.Take("a", "s", "bob", "7"); ok {
		t.Error("bob answered alice's question")
	}
	if m, ok := q.Take("a", "s", "alice", "7"); !ok || m != "elicitation/create" {
		t.Errorf("Take = %q, %v", m, ok)
	}
	if _, ok := q.Take("a", "s", "alice", "7"); ok {
		t.Error("a question was answered twice")
	}
}

func TestHandleKeepsItsFirstOwner(t *testing.T) {
	h := NewHandles(10)
	if err := errors.Join(h.Bind("a", "t1", "alice", "build"), h.Bind("a", "t1", "alice", "build")); err != nil {
		t.Fatal(err)
	}
	if err := h.Bind("a", "t1", "bob", "build"); !errors.Is(err, ErrTaken) {
		t.Errorf("Bind = %v; want ErrTaken", err)
	}
	if _, ok := h.Tool("a", "t1", "bob"); ok {
		t.Error("bob reads alice's task")
	}
	if tool, ok := h.Tool("a", "t1", "alice"); !ok || tool != "build" {
		t.Errorf("Tool = %q, %v", tool, ok)
	}
}

func TestSealedStateComesBackOnlyForTheSameCall(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	key, err := NewKey()
	if err != nil {
		t.Fatal(err)
	}
	s, err := NewSealer(key, func() time.Time { return now })
	if err != nil {
		t.Fatal(err)
	}
	b := Binding{"alice", "files", "tools/call", "read"}
	sealed := s.Seal(b, "state ✓")
	if got, err := s.Open(b, sealed); err != nil || got != "state ✓" {
		t.Errorf("Open = %q, %v", got, err)
	}
	others := []Binding{{"bob", "files", "tools/call", "read"}, {"alice", "mail", "tools/call", "read"}, {"alice", "files", "tools/call", "write"}, {"alicefiles", "", "tools/call", "read"}}
	for _, o := range others {
		if _, err := s.Open(o, sealed); !errors.Is(err, ErrSeal) {
			t.Errorf("Open for %v = %v; want ErrSeal", o, err)
		}
	}
	for _, bad := range []string{"", "state ✓", sealed[:len(sealed)-2], sealPrefix + "AAAA", "sp2." + sealed[4:]} {
		if _, err := s.Open(b, bad); !errors.Is(err, ErrSeal) {
			t.Errorf("Open(%q) = %v; want ErrSeal", bad, err)
		}
	}
	now = now.Add(StateLife)
	if _, err := s.Open(b, sealed); !errors.Is(err, ErrSeal) {
		t.Errorf("after its life: %v; want ErrSeal", err)
	}
}

func TestFlightIsCancelledByItsOwner(t *testing.T) {
	f := NewFlights()
	n := 0
	end := f.Start("a", "s", "alice", "1", func() { n++ })
	f.Cancel("a", "s", "bob", "1")
	f.Cancel("a", "s", "alice", "2")
	f.Cancel("a", "", "alice", "1")
	if n != 0 {
		t.Errorf("cancelled %d times by others", n)
	}
	f.Cancel("a", "s", "alice", "1")
	end.End()
	f.Cancel("a", "s", "alice", "1")
	if n != 1 {
		t.Errorf("cancelled %d times; want 1", n)
	}
}

// Two clients of one principal may use the same id: one's notification must not end the
// other's call.
func TestAmbiguousCancellationEndsNothing(t *testing.T) {
	f := NewFlights()
	var ended []string
	first := f.Start("a", "", "alice", "1", func() { ended = append(ended, "first") })
	second := f.Start("a", "", "alice", "1", func() { ended = append(ended, "second") })
	f.Cancel("a", "", "alice", "1")
	if len(ended) != 0 {
		t.Errorf("ended %v; want none", ended)
	}
	first.End()
	first.End()
	f.Cancel("a", "", "alice", "1")
	if len(ended) != 1 || ended[0] != "second" {
		t.Errorf("ended %v; want the one that is left", ended)
	}
	second.End()
	if len(f.byID) != 0 {
		t.Errorf("%d flights left", len(f.byID))
	}
}

// The calls of one key are a chain: each may be the one that ends.
func TestFlightsOfOneKeyEndInAnyOrder(t *testing.T) {
	for _, order := range [][]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		f := NewFlights()
		ended := -1
		var flights []*Flight
		for i := range 3 {
			flights = append(flights, f.Start("a", "", "alice", "1", func() { ended = i }))
		}
		flights[order[0]].End()
		f.Cancel("a", "", "alice", "1")
		if ended != -1 {
			t.Errorf("order %v: with two in flight %d was cancelled; want none", order, ended)
		}
		flights[order[1]].End()
		f.Cancel("a", "", "alice", "1")
		if ended != order[2] {
			t.Errorf("order %v: cancelled %d; want the one that is left, %d", order, ended, order[2])
		}
		flights[order[2]].End()
		if len(f.byID) != 0 {
			t.Errorf("order %v: %d flights left; want none", order, len(f.byID))
		}
	}
}

func TestOwedAnswerIsTakenOnceByItsOwner(t *testing.T) {
	o := NewOwed[string](2)
	o.Add("a", "s", "alice", "1", "x")
	if _, ok := o.Take("a", "s", "bob", "1"); ok {
		t.Error("another principal took it")
	}
	if what, ok := o.Take("a", "s", "alice", "1"); !ok || what != "x" {
		t.Errorf("Take = %q, %v", what, ok)
	}
	if _, ok := o.Take("a", "s", "alice", "1"); ok {
		t.Error("it was taken twice")
	}
}
