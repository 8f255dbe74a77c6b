package upstream

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"
)

func newOutbox(t *testing.T, timeout time.Duration, most int) (*outbox, *os.File, chan error) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { closeAll(r, w) })
	failed := make(chan error, 2)
	return &outbox{file: w, timeout: timeout, most: most, failed: func(err error) { failed <- err }}, r, failed
}

// Lines of many callers arrive whole, each once, and each caller's in his order, also when the
// reader takes its time and when a line is larger than a pipe.
func TestOutboxKeepsLinesWholeAndInOrder(t *testing.T) {
	o, r, _ := newOutbox(t, 20*time.Second, 100_000)
	const callers, each = 20, 30
	var all sync.WaitGroup
	for caller := range callers {
		all.Go(func() {
			for i := range each {
				pad := strings.Repeat("x", (caller*i%7)*20_000)
				if err := o.add(t.Context(), func(dst []byte) []byte { return fmt.Appendf(dst, "%d %d %d %s\n", caller, i, len(pad), pad) }); err != nil {
					t.Errorf("add: %v", err)
				}
			}
		})
	}
	in := bufio.NewReader(r)
	var next [callers]int
	for range callers * each {
		var caller, i, size int
		line, err := in.ReadString('\n')
		if _, scan := fmt.Sscan(line, &caller, &i, &size); err != nil || scan != nil {
			t.Fatalf("line %.40q: %v, %v", line, err, scan)
		}
		if want := fmt.Sprintf("%d %d %d %s\n", caller, next[caller], size, strings.Repeat("x", size)); line != want {
			t.Fatalf("got %.40q, want %.40q (%d and %d bytes)", line, want, len(line), len(want))
		}
		next[caller]++
	}
	all.Wait()
}

// Who finds no room waits for it, but not when nobody wants the answer any more; and a program that
// does not read in time fails all, once.
func TestOutboxIsBounded(t *testing.T) {
	o, _, failed := newOutbox(t, time.Second, 1000)
	long := func(dst []byte) []byte { return append(dst, strings.Repeat("x", 200_000)...) }
	if err := errors.Join(o.add(t.Context(), long), o.add(t.Context(), long)); err != nil { // in the pipe; waiting
		t.Fatal(err)
	}
	gone, leave := context.WithCancel(t.Context())
	leave()
	if err := o.add(gone, long); !errors.Is(err, context.Canceled) {
		t.Errorf("no room, and the caller gone: %v", err)
	}
	if err := o.addNow(long); !errors.Is(err, errFull) {
		t.Errorf("no room, and nobody to wait: %v", err)
	}
	if err := o.add(t.Context(), long); !errors.Is(err, errHung) {
		t.Errorf("who waits when the time is over: %v", err)
	}
	if err := <-failed; !errors.Is(err, errHung) {
		t.Errorf("failed with %v", err)
	}
	if err := o.add(t.Context(), long); !errors.Is(err, errHung) {
		t.Errorf("who comes later: %v", err)
	}
	select {
	case err := <-failed:
		t.Errorf("failed twice: %v", err)
	default:
	}
}
