package credential

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"
)

// TestMain is also the command of the tests below, so that they need no shell.
func TestMain(m *testing.M) {
	if how := os.Getenv("CREDENTIAL_COMMAND"); how != "" {
		os.Exit(printCredential(how))
	}
	goleak.VerifyTestMain(m)
}

func printCredential(how string) int {
	switch how {
	case "fails":
		fmt.Fprintln(os.Stderr, "vault is sealed")
		fmt.Println("half-a-secret")
		return 3
	case "hangs":
		time.Sleep(time.Hour)
	case "floods":
		fmt.Print(strings.Repeat("x", 1<<20))
	case "empty":
	case "who":
		fmt.Println("token-of-" + os.Getenv("SALLYPORT_SUBJECT") + "-" + os.Getenv("SALLYPORT_ISSUER"))
	case "environment":
		fmt.Println(len(os.Environ()))
	default:
		fmt.Println(how)
	}
	return 0
}

func commandThat(t *testing.T, how string, log *slog.Logger) ExecConfig {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return ExecConfig{Command: []string{self}, Env: []string{"CREDENTIAL_COMMAND=" + how, "GORACE=atexit_sleep_ms=0"}, Timeout: time.Minute, Log: log}
}

func TestExecSaysWhatIsWrongWithIt(t *testing.T) {
	var logs bytes.Buffer
	log := slog.New(slog.NewTextHandler(&logs, nil))
	script := write(t, "script", "no program", 0o600)
	for name, tt := range map[string]struct {
		cfg  ExecConfig
		want string
	}{
		"fails":        {commandThat(t, "fails", log), "credential command SELF: exit status 3; what it wrote to stderr is in the log"},
		"hangs":        {commandThat(t, "hangs", log), "credential command SELF did not end within 50ms and was killed"},
		"floods":       {commandThat(t, "floods", log), "credential command SELF printed over 65536 bytes; it must print the secret and nothing else"},
		"empty":        {commandThat(t, "empty", log), "credential command SELF: what it printed is empty"},
		"two lines":    {commandThat(t, "a\nb", log), "credential command SELF: what it printed has more than one line; it must hold the secret and nothing else"},
		"broken JSON":  {commandThat(t, `{"token":"half-a-secret"`, log), "credential command SELF: what it printed is no sound JSON"},
		"twice":        {commandThat(t, `{"token":"a","token":"half-a-secret"}`, log), "credential command SELF: what it printed is no sound JSON"},
		"no token":     {commandThat(t, `{"secret":"half-a-secret"}`, log), `credential command SELF: what it printed has a "token" that is empty`},
		"odd token":    {commandThat(t, `{"token":["half-a-secret"]}`, log), `credential command SELF: what it printed is no object with a string "token", and "expires_in" (a whole number of seconds) or "expiry" (a string)`},
		"over":         {commandThat(t, `{"token":"half-a-secret","expires_in":0}`, log), `credential command SELF: what it printed has "expires_in": 0; it must be over 0`},
		"expired":      {commandThat(t, `{"token":"half-a-secret","expiry":"2001-01-01T00:00:00Z"}`, log), "credential command SELF: what it printed has expired already"},
		"odd expiry":   {commandThat(t, `{"token":"half-a-secret","expiry":"soon"}`, log), `credential command SELF: what it printed has an "expiry" that is no time such as 2026-01-02T15:04:05Z`},
		"both":         {commandThat(t, `{"token":"half-a-secret","expires_in":9,"expiry":"2001-01-01T00:00:00Z"}`, log), `credential command SELF: what it printed has both "expires_in" and "expiry"`},
		"no such file": {ExecConfig{Command: []string{script + "-not"}}, "credential command " + script + "-not: fork/exec " + script + "-not: no such file or directory; what it wrote to stderr is in the log"},
		"no program":   {ExecConfig{Command: []string{script}}, "credential command " + script + ": fork/exec " + script + ": permission denied; what it wrote to stderr is in the log"},
	} {
		if name == "hangs" {
			tt.cfg.Timeout = 50 * time.Millisecond
		}
		got := refused(t, must(t)(Exec(tt.cfg)))
		if want := strings.ReplaceAll(tt.want, "SELF", tt.cfg.Command[0]); got != want {
			t.Errorf("%s: %s\nwant %s", name, got, want)
		}
		if strings.Contains(got, "half-a-secret") {
			t.Errorf("%s: the error holds what was printed", name)
		}
	}
	if strings.Contains(logs.String(), "half-a-secret") || !strings.Contains(logs.String(), "vault is sealed") {
		t.Errorf("the log must hold stderr and no output:\n%s", logs.String())
	}
	for _, argv := range [][]string{nil, {"vault", "read"}} {
		if _, err := Exec(ExecConfig{Command: argv}); err == nil {
			t.Errorf("command %q was taken", argv)
		}
	}
}

func TestExecRunsWithNothingButWhatItIsGiven(t *testing.T) {
	t.Setenv("SALLYPORT_TEST_SECRET", "x")
	if got := get(t, must(t)(Exec(commandThat(t, "environment", nil)))); got != "2" {
		t.Errorf("the command saw %s variables; want the two it was given", got)
	}
}

func TestExecForEachPrincipal(t *testing.T) {
	cfg := commandThat(t, "who", nil)
	cfg.PerPrincipal = true
	s := must(t)(Exec(cfg))
	for who, want := range map[Who]string{{"ann", "us"}: "token-of-ann-us", {"bob", "us"}: "token-of-bob-us", {}: "token-of--"} {
		if secret, err := s.Get(t.Context(), who); err != nil || secret.Value != want {
			t.Errorf("%v: got %q, %v; want %q", who, secret.Value, err, want)
		}
	}
}

// A command that is killed takes with it what it has started, and does not leave the caller
// waiting for a pipe that a child holds.
func TestExecEndsWithWhatItHasStarted(t *testing.T) {
	dir := t.TempDir()
	script := filepath.Join(dir, "command")
	if err := os.WriteFile(script, []byte("#!/bin/sh\nsleep 600 &\necho secret-of-mine\nwait\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	s := must(t)(Exec(ExecConfig{Command: []string{script}, Env: []string{"PATH=/usr/bin:/bin"}, Timeout: 100 * time.Millisecond}))
	if got := refused(t, s); !strings.Contains(got, "did not end within 100ms") {
		t.Error(got)
	}
	if took := time.Since(began); took > time.Minute {
		t.Errorf("took %v", took)
	}
}

// fakeFetch counts fetches and can be told to fail.
type fakeFetch struct {
	n    atomic.Int64
	fail atomic.Bool
	life time.Duration
	took time.Duration
}

func (f *fakeFetch) fetch(context.Context, Who) (Secret, error) {
	n := f.n.Add(1)
	time.Sleep(f.took)
	if f.fail.Load() {
		return Secret{}, errors.New("the endpoint is down")
	}
	return Secret{Value: fmt.Sprintf("secret-%d", n), Expires: time.Now().Add(f.life)}, nil
}

func TestASecretIsFetchedOnceForAllWhoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFetch{life: time.Hour, took: time.Second}
		k := newKept(f.fetch, time.Minute, nil)
		var all sync.WaitGroup
		for range 100 {
			all.Go(func() {
				if secret, err := k.get(t.Context(), Who{}); err != nil || secret.Value != "secret-1" {
					t.Errorf("got %q, %v", secret.Value, err)
				}
			})
		}
		// One who gives up does not take it from the others.
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := k.get(ctx, Who{}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("error %v", err)
		}
		all.Wait()
		if n := f.n.Load(); n != 1 {
			t.Errorf("fetched %d times", n)
		}
	})
}

func TestASecretIsRefreshedBeforeItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for life, at := range map[time.Duration]time.Duration{time.Hour: 48 * time.Minute, time.Minute: 30 * time.Second, 20 * time.Second: 10 * time.Second} {
			f := &fakeFetch{life: life}
			k := newKept(f.fetch, time.Minute, nil)
			want := func(value string) {
				t.Helper()
				if secret, err := k.get(t.Context(), Who{}); err != nil || secret.Value != value {
					t.Errorf("life %v: got %q, %v; want %q", life, secret.Value, err, value)
				}
				synctest.Wait()
			}
			want("secret-1")
			time.Sleep(at - time.Second)
			want("secret-1")
			if n := f.n.Load(); n != 1 {
				t.Errorf("life %v: fetched again before %v", life, at)
			}
			time.Sleep(time.Second)
			want("secret-1") // at once, while the next is fetched
			want("secret-2")
		}
	})
}

// While the endpoint is down the last secret serves on until it expires, and not after.
func TestAFailedRefreshLeavesTheOldSecretUntilItExpires(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFetch{life: 10 * time.Minute}
		k := newKept(f.fetch, time.Minute, nil)
		if _, err := k.get(t.Context(), Who{}); err != nil {
			t.Fatal(err)
		}
		f.fail.Store(true)
		began := time.Now()
		for time.Since(began) < 10*time.Minute-closeToEnd {
			if secret, err := k.get(t.Context(), Who{}); err != nil || secret.Value != "secret-1" {
				t.Fatalf("after %v: %q, %v", time.Since(began), secret.Value, err)
			}
			time.Sleep(time.Second)
		}
		if n := f.n.Load(); n > 12 {
			t.Errorf("fetched %d times in the last two minutes; want a back-off", n)
		}
		secret, err := k.get(t.Context(), Who{})
		if err == nil || !strings.HasPrefix(err.Error(), "the endpoint is down; it is tried again in ") {
			t.Errorf("an expired secret: %q, %v", secret.Value, err)
		}
		f.fail.Store(false)
		time.Sleep(longestRetry)
		if secret, err := k.get(t.Context(), Who{}); err != nil || secret.Value == "secret-1" {
			t.Errorf("after it came back: %q, %v", secret.Value, err)
		}
	})
}

func TestARefusedSecretIsFetchedAnewOnceItIsNotYoung(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &fakeFetch{life: time.Hour}
		k := newKept(f.fetch, time.Minute, nil)
		value := func() string {
			secret, err := k.get(t.Context(), Who{})
			if err != nil {
				t.Fatal(err)
			}
			return secret.Value
		}
		value()
		k.refused(Who{}, Secret{Value: "secret-1"})
		if got := value(); got != "secret-1" {
			t.Errorf("a young one that was refused: %q; every call would fetch another", got)
		}
		time.Sleep(tooYoung)
		k.refused(Who{}, Secret{Value: "another"})
		if got := value(); got != "secret-1" {
			t.Errorf("got %q; the one that was refused was another", got)
		}
		k.refused(Who{}, Secret{Value: "secret-1"})
		if got := value(); got != "secret-2" {
			t.Errorf("got %q", got)
		}
	})
}

func TestKeptSecretsAreBounded(t *testing.T) {
	f := &fakeFetch{life: time.Hour}
	k := newKept(f.fetch, time.Minute, nil)
	for i := range maxKept + 10 {
		if _, err := k.get(t.Context(), Who{Subject: fmt.Sprint(i)}); err != nil {
			t.Fatal(err)
		}
	}
	if len(k.of) != maxKept || k.order.Len() != maxKept {
		t.Errorf("%d are kept, %d in order; want %d", len(k.of), k.order.Len(), maxKept)
	}
}

// A lease ends with the grant that it was for; what is the gateway's own is nobody's lease.
func TestALeaseThatIsForgottenIsFetchedAnew(t *testing.T) {
	f := &fakeFetch{life: time.Hour}
	k := newKept(f.fetch, time.Minute, nil)
	value := func(who Who) string {
		secret, err := k.get(t.Context(), who)
		if err != nil {
			t.Fatal(err)
		}
		return secret.Value
	}
	ann, own := Who{Subject: "ann"}, Who{}
	first, kept := value(ann), value(own)
	k.forget(own)
	k.forget(Who{Subject: "bob"})
	if got := value(ann); got != first {
		t.Errorf("ann has %q; want %q: another's lease was forgotten", got, first)
	}
	k.forget(ann)
	if got := value(ann); got == first {
		t.Errorf("ann still has %q", got)
	}
	if got := value(own); got != kept {
		t.Errorf("the gateway's own is %q; want %q", got, kept)
	}
}
