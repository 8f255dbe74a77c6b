package upstream

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"sync"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/credential"
	"sallyport/gateway/wire"
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
	// Forget drops what Env has leased for a party whose grant is over. Nil for nothing.
	Forget func(p gateway.Party)
	// Secrets is what is taken out of what the program says. It learns all that Env returns; who
	// gives the program secrets in other ways makes it learn those. Default: an empty one.
	Secrets *credential.Scrubber
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
	if c.Secrets == nil {
		c.Secrets = new(credential.Scrubber)
	}
	c.Log = c.Log.With(slog.String("server", c.Name))
	return c
}

// Stdio is an MCP server that is a program and speaks over its standard input and output. To the
// gateway it looks like one that speaks streamable HTTP, with a session for each client. It is
// safe for concurrent use.
type Stdio struct {
	cfg     StdioConfig
	base    context.Context // ends with the server: no start outlives it
	stop    context.CancelFunc
	running sync.WaitGroup // processes; added to only while their place is held

	mu     sync.Mutex // guards all below
	places map[key]*place
	eras   eras
	health Health
	closed bool
}

// Health is what there is to say of a server that is a program.
type Health struct {
	Running   int       // processes now
	Failures  int       // processes that could not start, or ended otherwise than by our wish
	BadLines  int       // lines of output that were no message
	LastError error     // of the newest failure; nil where there was none
	At        time.Time // of LastError
}

// NewStdio returns the server that cfg describes. It starts nothing yet.
func NewStdio(cfg StdioConfig) (*Stdio, error) {
	if cfg.Start == nil {
		return nil, errors.New("stdio server: nothing to start")
	}
	s := &Stdio{cfg: cfg.orDefault(), places: map[key]*place{}}
	s.base, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// RefreshEvery is how often it is worth asking for the tools again: a process says itself when
// they change, and asking would keep one running for nobody.
func (s *Stdio) RefreshEvery() time.Duration { return 30 * time.Minute }

// StartTimeout is how long a process may take until it has answered the handshake.
func (s *Stdio) StartTimeout() time.Duration { return s.cfg.StartTimeout }

// Health says how the server's processes are.
func (s *Stdio) Health() Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	h := s.health
	for _, at := range s.places {
		if p := at.proc.Load(); p != nil && p.alive() {
			h.Running++
		}
	}
	return h
}

// failed notes for [Stdio.Health] that a process did not do.
func (s *Stdio) failed(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.health.Failures++
	s.health.LastError, s.health.At = err, time.Now()
}

// EndGrant ends the processes that are a grant's own, with what is under way in them, and drops what
// was leased for its subject: the grant is over.
func (s *Stdio) EndGrant(p gateway.Party) {
	if s.cfg.Forget != nil {
		s.cfg.Forget(p)
	}
	grant := p.Grant
	s.mu.Lock()
	var over []*place
	for k, at := range s.places {
		if grant != "" && k.grant == grant {
			over = append(over, at)
			delete(s.places, k)
		}
	}
	s.mu.Unlock()
	for _, at := range over {
		go at.leave(errGrantOver, toExitRevoked) // one that is starting must not keep the others waiting
	}
}

var (
	errGrantOver = errors.New("the grant that it was for is over")
	errRemoved   = errors.New("the server is no longer configured, or the gateway is stopping")
)

// Scrub takes the secrets that the program was given out of what it answered.
func (s *Stdio) Scrub(doc []byte) ([]byte, int) { return s.cfg.Secrets.Scrub(doc) }

// Close takes no more calls, waits at most 10 s for those under way, and ends all processes.
func (s *Stdio) Close() {
	s.mu.Lock()
	s.closed = true
	places := s.places
	s.places = map[key]*place{}
	s.mu.Unlock()
	s.stop()
	const patience = 10 * time.Second
	deadline := time.Now().Add(patience)
	var drained sync.WaitGroup
	for _, at := range places {
		drained.Go(func() {
			if p := at.proc.Load(); p != nil {
				p.drain(time.Until(deadline))
			}
			at.leave(errRemoved, toExit)
		})
	}
	drained.Wait()
	s.running.Wait()
}

// key says what a process is for. One process speaks one of the protocol's eras: a program that
// speaks both may take the first message for its choice.
type key struct {
	owner     owner
	principal string
	grant     string
	era       wire.Era
}

// owner is the kind of whom a process is for.
type owner uint8

const (
	ofNobody owner = iota
	ofAll
	ofGateway
	ofPrincipal
)

// String is what the log may say of an owner.
func (o owner) String() string {
	return [...]string{"nobody", "shared", "catalogue", "principal"}[o]
}

// keyOf names the process that serves p. The gateway itself has one of its own, so that no
// principal's state is in what everybody's catalogue is made from.
func (s *Stdio) keyOf(p gateway.Party, era wire.Era) key {
	switch {
	case s.cfg.Instance == Shared:
		return key{owner: ofAll, era: era}
	case p.Key == "":
		return key{owner: ofGateway, era: era}
	case s.cfg.Instance == PerPrincipal:
		return key{owner: ofPrincipal, principal: p.Key, era: era}
	default:
		return key{owner: ofPrincipal, principal: p.Key, grant: p.Grant, era: era}
	}
}
