package gateway

import (
	"testing"
	"time"
)

// A clock that is put back by hours must not hold back the refresh that news asks for.
func TestNewsAreNotHeldBackByAClockThatGoesBack(t *testing.T) {
	for _, tt := range []struct {
		name string
		last time.Duration // when news asked before, from now
		want bool
	}{{"never", -time.Hour, true}, {"just now", -time.Second, false}, {"the clock was put back", 5 * time.Hour, true}} {
		s := &Server{wake: make(chan struct{}, 1)}
		s.newest.Store(time.Now().Add(tt.last).UnixNano())
		s.news()
		if got := len(s.wake) == 1; got != tt.want {
			t.Errorf("%s: asks for a refresh %v, want %v", tt.name, got, tt.want)
		}
	}
}
