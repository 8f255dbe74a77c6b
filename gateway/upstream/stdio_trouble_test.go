package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"sallyport/gateway"
)

// until polls for what a program does in its own time.
func until(t testing.TB, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("never: %s", what)
		}
	}
}

// untilQuick makes an attempt that has to come within [firstRestart] of what went before, which a busy machine
// may let pass: then it makes it again.
func untilQuick(t *testing.T, attempt func() bool, trouble func() string) {
	t.Helper()
	for range 5 {
		if attempt() {
			return
		}
	}
	t.Errorf("five times: %s", trouble())
}

// counting makes the starts of a server's program visible.
func counting(starts *atomic.Int64) func(*StdioConfig) {
	return func(c *StdioConfig) {
		start := c.Start
		c.Start = func(ctx context.Context, env map[string]string, in, out, err *os.File) (Child, error) {
			starts.Add(1)
			return start(ctx, env, in, out, err)
		}
	}
}

// A program that cannot work is not started again by each call.
func TestStdioProgramThatFailsAtOnceIsLeftAlone(t *testing.T) {
	for _, how := range []string{"banner", "exit"} {
		var starts atomic.Int64
		var s *Stdio
		var one, two error
		untilQuick(t, func() bool {
			starts.Store(0)
			s = ours(t, how, counting(&starts))
			call := legacyPost(who("ann"), "", toolCall("1", "echo", ""))
			_, one = talk(t.Context(), s, call)
			_, two = talk(t.Context(), s, call)
			return one != nil && two != nil && strings.Contains(two.Error(), "; it is tried again in ") && starts.Load() == 1
		}, func() string {
			return fmt.Sprintf("%s: %d starts\nfirst  %v\nsecond %v; want when it is tried again", how, starts.Load(), one, two)
		})
		until(t, "the failure is counted", func() bool { return s.Health().Failures == 1 })
		if h := s.Health(); h.LastError == nil || !strings.Contains(one.Error(), h.LastError.Error()) || h.Running != 0 {
			t.Errorf("%s: health %+v; want the failure that callers were told", how, h)
		}
	}
}

// The pause counts from the failure: who comes long after it need not wait.
func TestStdioPauseCountsFromTheFailure(t *testing.T) {
	at := &place{turn: newGate()}
	for i, c := range []struct{ ran, ago, want time.Duration }{
		{time.Second, time.Hour, firstRestart},
		{time.Second, time.Hour, 2 * firstRestart},
		{time.Second, time.Hour, 4 * firstRestart},
		{time.Hour, time.Hour, firstRestart},
	} {
		over := time.Now().Add(-c.ago)
		at.noteEnd(&process{state: exited, began: over.Add(-c.ran), over: over, err: errors.New("x")})
		if got := at.next.Sub(over); got != c.want {
			t.Errorf("failure %d: next start %v after it; want %v", i, got, c.want)
		}
	}
	for range 20 {
		at.back(errors.New("x"), time.Time{})
	}
	if got := at.next.Sub(time.Time{}); got != longestRestart {
		t.Errorf("after many failures: %v; want %v", got, longestRestart)
	}
}

// A program that stops reading holds nobody longer than the timeout, nor one who goes away.
func TestStdioProgramThatReadsNoMore(t *testing.T) {
	var log safeBuffer
	s := ours(t, "legacy", func(c *StdioConfig) {
		c.CallTimeout, c.Log = 2*time.Second, slog.New(slog.NewTextHandler(&log, nil))
	})
	if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", ""))); err != nil {
		t.Fatal(err)
	}
	long := legacyPost(who("ann"), "", toolCall("1", "echo", strings.Repeat("x", 90_000)))
	var all sync.WaitGroup
	all.Go(func() { _, _ = talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "deaf", ""))) })
	until(t, "deaf", func() bool { return strings.Contains(log.String(), "reads no more") })
	gone, leave := context.WithCancel(t.Context())
	leave()
	if _, err := talk(gone, s, long); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: %v", err)
	}
	for range 20 {
		all.Go(func() {
			if _, err := talk(t.Context(), s, long); !errors.Is(err, gateway.ErrTimeout) && !errors.Is(err, gateway.ErrUnreachable) {
				t.Errorf("error %v; want a timeout, or what follows from it", err)
			}
		})
	}
	all.Wait()
	until(t, "it is ended", func() bool { return s.Health().Failures == 1 })
	if err := s.Health().LastError; !errors.Is(err, errHung) {
		t.Errorf("last error %v; want %v", err, errHung)
	}
}

// One that answers nothing at all is ended after three calls, so that a fresh one can be tried.
func TestStdioProgramThatHangsIsEnded(t *testing.T) {
	s := ours(t, "legacy", func(c *StdioConfig) { c.CallTimeout = 100 * time.Millisecond })
	for range mostSilent {
		if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "hang", ""))); !errors.Is(err, gateway.ErrTimeout) {
			t.Fatalf("a call that hangs: %v", err)
		}
	}
	until(t, "it is ended", func() bool { return s.Health().Failures == 1 })
	if err := s.Health().LastError; err == nil || !strings.HasSuffix(err.Error(), "the server said nothing during 3 calls") {
		t.Errorf("last error: %v", err)
	}
}

// Calls that take their time, while others are answered or side by side, are no sign of anything.
func TestStdioSlowCallsEndNothing(t *testing.T) {
	t.Parallel() // it waits, most of the time
	s := ours(t, "legacy", func(c *StdioConfig) { c.CallTimeout = 3 * time.Second })
	for range mostSilent {
		_, slow := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "hang", "")))
		_, quick := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", "")))
		if !errors.Is(slow, gateway.ErrTimeout) || quick != nil {
			t.Fatalf("slow: %v; quick: %v", slow, quick)
		}
	}
	var all sync.WaitGroup
	for range mostSilent {
		all.Go(func() { _, _ = talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "hang", ""))) })
	}
	all.Wait()
	if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "echo", ""))); err != nil || s.Health().Failures != 0 {
		t.Errorf("after slow calls: %v; health %+v", err, s.Health())
	}
}

// What a crashed program leaves behind may hold its pipes open; the calls end all the same.
func TestStdioCrashIsSeenPastWhatItLeavesBehind(t *testing.T) {
	t.Parallel() // it waits, most of the time
	s := ours(t, "legacy", nil)
	_, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "orphan", "")))
	if !errors.Is(err, gateway.ErrUnreachable) || !strings.Contains(fmt.Sprint(err), "exit status 8") {
		t.Errorf("error %v; want the exit status", err)
	}
}

func TestStdioProgramThatWritesOnlyGarbageIsEnded(t *testing.T) {
	s := ours(t, "legacy", nil)
	if _, err := talk(t.Context(), s, legacyPost(who("ann"), "", toolCall("1", "much garbage", ""))); !errors.Is(err, gateway.ErrGarbage) {
		t.Errorf("the only call: %v", err)
	}
	until(t, "it is ended", func() bool { return s.Health().Failures == 1 })
	want := `the server wrote "this is not JSON" to stdout, where only MCP messages may be (not one strict JSON message: `
	if h := s.Health(); h.BadLines != mostBad+1 || !strings.HasPrefix(fmt.Sprint(h.LastError), want) {
		t.Errorf("health %+v", h)
	}
}

// Nothing runs on after Close, whatever was going on: not in a place that had just been given up,
// and not for a caller who was about to start it.
func TestStdioCloseLeavesNothingBehind(t *testing.T) {
	var running, most atomic.Int64
	s := ours(t, "legacy", func(c *StdioConfig) {
		c.MaxProcesses = 2
		start := c.Start
		c.Start = func(ctx context.Context, env map[string]string, in, out, err *os.File) (Child, error) {
			child, failed := start(ctx, env, in, out, err)
			if failed == nil {
				most.Store(max(most.Load(), running.Add(1)))
				child = &counted{Child: child, running: &running}
			}
			return child, failed
		}
	})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var callers sync.WaitGroup
	var answered atomic.Int64
	for i := range 6 {
		callers.Go(func() {
			for ctx.Err() == nil {
				p := who(fmt.Sprint("p", i%5))
				a, err := talk(ctx, s, legacyPost(p, "", toolCall("1", "echo", p.Key)))
				if err == nil && !strings.Contains(a.Body, `"text":"`+p.Key+`"`) {
					t.Errorf("%s got %s", p.Key, a.Body)
				}
				if err == nil {
					answered.Add(1)
				}
			}
		})
	}
	until(t, "several have been served", func() bool { return answered.Load() > 20 })
	s.Close()
	if n := running.Load(); n != 0 {
		t.Errorf("%d processes run after Close", n)
	}
	stop()
	callers.Wait()
	if n := running.Load(); n != 0 {
		t.Errorf("%d processes were started after Close", n)
	}
	if most.Load() < 2 {
		t.Error("there were never two processes: the test has shown nothing")
	}
}

type counted struct {
	Child
	running *atomic.Int64
}

func (c *counted) Wait() error {
	defer c.running.Add(-1)
	return c.Child.Wait()
}
