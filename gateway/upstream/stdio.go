package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"sallyport/gateway"
)

// Child is a program that runs.
type Child interface {
	Wait() error // returns when it has ended
	Kill()
	Pid() int
}

// StartFunc starts the program with the three ends of its pipes, which stay the caller's to close.
// env is added to what the program gets anyway.
type StartFunc func(ctx context.Context, env map[string]string, stdin, stdout, stderr *os.File) (Child, error)

// Instance says who shares a process. The zero value shares the least.
type Instance uint8

// The instances.
const (
	PerGrant     Instance = iota // one for each grant of a principal
	PerPrincipal                 // one for each principal
	Shared                       // one for all
)

// StdioConfig says how an MCP server that is a program is run. Zero fields other than Start take
// the defaults.
type StdioConfig struct {
	Name     string // of the server, for the log
	Start    StartFunc
	Instance Instance
	// Env returns variables that are made when a process starts, such as credentials, on behalf of
	// whom it is for.
	Env func(ctx context.Context, p gateway.Party) (map[string]string, error)
	// Changed is called when a process says that its tools, prompts or resources are others.
	Changed func()

	CallTimeout  time.Duration // how long a process may be silent during a call; default 60 s
	StartTimeout time.Duration // from the start to the answer to the handshake; default 30 s
	Idle         time.Duration // a process that nobody uses ends after this; default 5 min
	MaxMessage   int64         // bytes of a line; default 16 MiB
	MaxProcesses int           // at the same time; default 32
	Log          *slog.Logger  // default: discard
}

func (c StdioConfig) orDefault() StdioConfig {
	if c.CallTimeout <= 0 {
		c.CallTimeout = 60 * time.Second
	}
	if c.StartTimeout <= 0 {
		c.StartTimeout = 30 * time.Second
	}
	if c.Idle <= 0 {
		c.Idle = 5 * time.Minute
	}
	if c.MaxMessage <= 0 {
		c.MaxMessage = 16 << 20
	}
	if c.MaxProcesses <= 0 {
		c.MaxProcesses = 32
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	c.Log = c.Log.With(slog.String("server", c.Name))
	return c
}

// Stdio is an MCP server that is a program and speaks over its standard input and output. To the
// gateway it looks like one that speaks streamable HTTP, with a session for each client. It is
// safe for concurrent use.
type Stdio struct {
	cfg StdioConfig

	mu        sync.Mutex // guards all below
	instances map[string]*instance
	modern    verdict // whether the program speaks the newer protocol
	closed    bool
	running   sync.WaitGroup
}

// verdict is yes, no, or not known yet.
type verdict uint8

const (
	unknown verdict = iota
	yes
	no
)

// instance is the place of one process: the one that runs, or when the next may start.
type instance struct {
	mu       sync.Mutex // held while a process starts; guards all below
	proc     *process
	failures int
	next     time.Time // no start before this
	failed   error     // why the last one ended
}

// Back-off between a process that failed and the next.
const (
	firstRestart   = 250 * time.Millisecond
	longestRestart = 30 * time.Second
	settled        = time.Minute // a process that ran this long failed for a reason of its own
)

// NewStdio returns the server that cfg describes. It starts nothing yet.
func NewStdio(cfg StdioConfig) (*Stdio, error) {
	if cfg.Start == nil {
		return nil, errors.New("stdio server: nothing to start")
	}
	return &Stdio{cfg: cfg.orDefault(), instances: map[string]*instance{}}, nil
}

// RefreshEvery is how often it is worth asking for the tools again: a process says itself when
// they change, and asking would keep one running for nobody.
func (s *Stdio) RefreshEvery() time.Duration { return 30 * time.Minute }

// StartTimeout is how long a process may take until it has answered the handshake.
func (s *Stdio) StartTimeout() time.Duration { return s.cfg.StartTimeout }

// keyOf names the process that serves p. The gateway itself has one of its own, so that no
// principal's state is in what everybody's catalogue is made from.
func (s *Stdio) keyOf(p gateway.Party) string {
	switch {
	case s.cfg.Instance == Shared:
		return "all"
	case p.Key == "":
		return "own"
	case s.cfg.Instance == PerPrincipal:
		return "for " + p.Key
	default:
		return "for " + p.Key + "\x00" + p.Grant
	}
}

// process returns the running process for p, and starts it where there is none.
func (s *Stdio) process(ctx context.Context, p gateway.Party) (*process, error) {
	key := s.keyOf(p)
	in, err := s.instance(key)
	if err != nil {
		return nil, err
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.proc != nil && in.proc.alive() {
		in.proc.touch()
		return in.proc, nil
	}
	if in.proc != nil {
		in.noteEnd()
	}
	if wait := time.Until(in.next); wait > 0 {
		return nil, fmt.Errorf("%w: %w; it is tried again in %v", gateway.ErrUnreachable, in.failed, wait.Round(10*time.Millisecond))
	}
	// A start is everybody's who waits for it, so it does not end with the one who was first.
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s.cfg.StartTimeout)
	defer cancel()
	proc, err := s.start(ctx, key, p)
	if err != nil {
		in.back(err)
		return nil, fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
	}
	in.proc = proc
	return proc, nil
}

func (s *Stdio) instance(key string) (*instance, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return nil, fmt.Errorf("%w: the server has been removed", gateway.ErrUnreachable)
	}
	in := s.instances[key]
	if in == nil {
		if err := s.makeRoom(); err != nil {
			return nil, err
		}
		in = &instance{}
		s.instances[key] = in
	}
	return in, nil
}

// makeRoom ends the process unused longest when there are as many as there may be. It must be
// called with mu held.
func (s *Stdio) makeRoom() error {
	if len(s.instances) < s.cfg.MaxProcesses {
		return nil
	}
	var oldest string
	var since time.Time
	for key, in := range s.instances {
		if !in.mu.TryLock() {
			continue // starting
		}
		at, idle := time.Time{}, true
		if in.proc != nil && in.proc.alive() {
			at, idle = in.proc.idleSince()
		}
		in.mu.Unlock()
		if idle && (oldest == "" || at.Before(since)) {
			oldest, since = key, at
		}
	}
	if oldest == "" {
		return fmt.Errorf("%w: %d processes of it run already and none is idle", gateway.ErrUnreachable, len(s.instances))
	}
	in := s.instances[oldest]
	delete(s.instances, oldest)
	if in.proc != nil {
		in.proc.end("to make room for another")
	}
	return nil
}

// noteEnd counts a process that has ended by itself. It must be called with mu held.
func (in *instance) noteEnd() {
	p := in.proc
	in.proc = nil
	if p.wanted() {
		return
	}
	if time.Since(p.began) > settled {
		in.failures = 0
	}
	in.back(p.reason())
}

// back puts the next start off. It must be called with mu held.
func (in *instance) back(err error) {
	wait := min(firstRestart<<min(in.failures, 10), longestRestart)
	in.failures++
	in.next, in.failed = time.Now().Add(wait), err
}

// Close takes no more calls, waits at most 10 s for those under way, and ends all processes.
func (s *Stdio) Close() {
	s.mu.Lock()
	s.closed = true
	var all []*process
	for _, in := range s.instances {
		in.mu.Lock() // waits for a start under way
		if in.proc != nil {
			all = append(all, in.proc)
		}
		in.mu.Unlock()
	}
	s.mu.Unlock()
	const patience = 10 * time.Second
	deadline := time.Now().Add(patience)
	for _, p := range all {
		p.drain(time.Until(deadline))
		p.end("the server is no longer configured, or the gateway is stopping")
	}
	s.running.Wait()
}

// Running is how many processes run.
func (s *Stdio) Running() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := 0
	for _, in := range s.instances {
		if in.mu.TryLock() {
			if in.proc != nil && in.proc.alive() {
				n++
			}
			in.mu.Unlock()
		}
	}
	return n
}
