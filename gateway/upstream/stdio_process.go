package upstream

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"sallyport/gateway"
)

// process is one program that runs, with the calls that wait for it.
type process struct {
	s      *Stdio
	owner  owner
	log    *slog.Logger
	child  Child
	stdin  *os.File
	out    outbox
	stderr *stderr
	began  time.Time
	idle   *time.Timer
	gone   chan struct{} // closed when it has ended

	hello  atomic.Pointer[[]byte] // the answer to initialize, once it was a result; set with shake held
	shake  gate                   // one handshake or probe at a time; guards the one below
	probed bool                   // it has been asked whether it speaks the newer protocol

	mu       sync.Mutex // guards all below
	calls    map[int64]*asking
	last     int64   // id of the newest call
	late     *asking // a probe that nobody waits for any more, or nil
	peers    map[string]*peer
	asked    map[string]question // by the id that the client sees, raw
	newest   int64               // id of the newest question
	used     time.Time
	heard    time.Time // when the newest line came
	silent   int       // calls, one after the other, that ended without a line in their time
	counted  time.Time // when the newest of those ended
	bad      int       // lines that were no message
	answered bool      // it has answered something, so it is an MCP server
	state    state
	err      error     // why it ends or has ended
	over     time.Time // since when it ends
}

// state is how far a process is.
type state uint8

const (
	running state = iota
	ending        // by our wish
	broken        // by our hand, since it does not do
	exited        // by itself
)

// start runs the program for p at a place and begins to read what it says.
func (s *Stdio) start(ctx context.Context, at *place, o owner, p gateway.Party) (*process, error) {
	var env map[string]string
	if s.cfg.Env != nil {
		var err error
		if env, err = s.cfg.Env(ctx, p); err != nil {
			return nil, fmt.Errorf("%w: %w", gateway.ErrNoCredential, err)
		}
	}
	for _, secret := range env {
		s.cfg.Secrets.Learn(secret)
	}
	in, err := newPipes()
	if err != nil {
		return nil, err
	}
	child, err := s.cfg.Start(ctx, env, in.stdin[0], in.stdout[1], in.stderr[1])
	in.closeTheirs()
	if err != nil {
		in.closeOurs()
		return nil, err
	}
	now := time.Now()
	proc := &process{s: s, owner: o, child: child, stdin: in.stdin[1], began: now, used: now, heard: now, gone: make(chan struct{}), shake: newGate(),
		log: s.cfg.Log.With(slog.Int("pid", child.Pid())), calls: map[int64]*asking{}, peers: map[string]*peer{}, asked: map[string]question{}}
	proc.out = outbox{file: proc.stdin, timeout: s.cfg.CallTimeout, most: int(4 * s.cfg.MaxMessage), failed: proc.unwritable}
	proc.stderr = &stderr{log: proc.log, secrets: s.cfg.Secrets}
	proc.idle = time.AfterFunc(time.Hour, proc.endIfIdle)
	proc.idle.Reset(s.cfg.Idle) // which sees idle set
	proc.log.Info("server started", slog.String("instance", o.String()))
	outDone, errDone := make(chan struct{}), make(chan struct{})
	go func() { defer close(errDone); proc.stderr.read(in.stderr[0]) }()
	go func() { defer close(outDone); proc.read(in.stdout[0]) }()
	s.running.Go(func() {
		proc.wait(in, outDone, errDone)
		s.ended(at, proc)
	})
	return proc, nil
}

// toExit is how long a program may take to exit when it has nothing more to do.
const toExit = 2 * time.Second

// toExitRevoked is that for a program whose grant is over: whatever it is busy with, it must not
// go on with it for a second.
const toExitRevoked = 250 * time.Millisecond

// wait ends everything that waits for the process when it has ended.
func (p *process) wait(in *pipes, outDone, errDone <-chan struct{}) {
	status := make(chan error, 1)
	go func() { status <- p.child.Wait() }()
	var err error
	select {
	case err = <-status:
	case <-outDone: // a program that has closed its output serves nobody
		select {
		case err = <-status:
		case <-time.After(toExit):
			p.breakOff(errors.New("the server has closed its output"))
			err = <-status
		}
	}
	// Programs that it has left behind may hold its output open; what it said itself is there.
	closeUnless(outDone, time.Second, in.stdout[0])
	closeUnless(errDone, time.Second/4, in.stderr[0])
	p.fail(err)
}

// closeUnless closes what is read from, where its end does not come within a time.
func closeUnless(done <-chan struct{}, within time.Duration, f *os.File) {
	select {
	case <-done:
	case <-time.After(within):
		_ = f.Close()
		<-done
	}
}

// fail tells all who wait that the process has ended; status is the exit status.
func (p *process) fail(status error) {
	p.mu.Lock()
	if p.state == running {
		p.state, p.over = exited, time.Now()
		p.err = fmt.Errorf("the server exited%s", p.stderr.hint())
		if status != nil {
			p.err = fmt.Errorf("the server exited: %w%s", status, p.stderr.hint())
		}
	}
	calls, peers, err, wanted := p.calls, p.peers, p.err, p.state == ending
	p.calls, p.peers = map[int64]*asking{}, map[string]*peer{}
	p.mu.Unlock()
	p.idle.Stop()
	_ = p.stdin.Close()
	close(p.gone)
	for _, c := range calls {
		c.fail(upstreamErr(err))
	}
	for _, peer := range peers {
		peer.end()
	}
	if wanted {
		p.log.Info("server stopped", slog.Any("reason", err))
		return
	}
	p.log.Warn("server failed", slog.Any("reason", err), slog.Int("calls", len(calls)))
}

// upstreamErr is err as one of the gateway's errors, where it is none yet.
func upstreamErr(err error) error {
	if errors.Is(err, gateway.ErrTimeout) || errors.Is(err, gateway.ErrUnreachable) {
		return err
	}
	return fmt.Errorf("%w: %w", gateway.ErrUnreachable, err)
}

// use notes that the process is about to be used; false where it cannot be any more.
func (p *process) use() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
	return p.state == running
}

func (p *process) alive() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == running
}

// wanted reports whether the process ended by our wish.
func (p *process) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state == ending
}

func (p *process) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.err
}

// endedAt is since when the process is no more of use.
func (p *process) endedAt() time.Time {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.over
}

// end asks the program to end, as the protocol says: its input is closed, and it is killed where
// that is not enough within a time.
func (p *process) end(why error, within time.Duration) {
	p.mu.Lock()
	ours := p.stopping(ending, why)
	p.mu.Unlock()
	if ours {
		p.close(within)
	}
}

// stopping notes the first reason why the process ends, and reports whether this is it. It must be
// called with mu held.
func (p *process) stopping(how state, why error) bool {
	if p.state != running {
		return false
	}
	p.state, p.err, p.over = how, why, time.Now()
	return true
}

func (p *process) close(within time.Duration) {
	_ = p.stdin.Close()
	go func() {
		select {
		case <-p.gone:
		case <-time.After(within):
			p.child.Kill()
		}
	}()
}

// breakOff kills a program that does not do. It counts as a failure.
func (p *process) breakOff(why error) {
	p.mu.Lock()
	ours := p.stopping(broken, why)
	p.mu.Unlock()
	if ours {
		p.child.Kill()
	}
}

// unwritable is told that nothing more can be written. A program that has closed its input is
// about to exit, most of the time, and its status says more.
func (p *process) unwritable(err error) {
	if errors.Is(err, errHung) {
		p.breakOff(err)
		return
	}
	go func() {
		select {
		case <-p.gone:
		case <-time.After(toExit):
			p.breakOff(err)
		}
	}()
}

// mostSilent is how many calls, one after the other, may hear nothing in their whole time before
// the program is taken for one that hangs. Of those at the same time one counts: they may be slow.
const mostSilent = 3

// wasSilent is told that a call which began at a time was given up, since it heard nothing.
func (p *process) wasSilent(began time.Time) {
	p.mu.Lock()
	if p.heard.Before(began) && began.After(p.counted) {
		p.silent++
		p.counted = time.Now()
	}
	hangs := p.silent >= mostSilent
	p.mu.Unlock()
	if hangs {
		p.breakOff(fmt.Errorf("%w: the server said nothing during %d calls", gateway.ErrTimeout, mostSilent))
	}
}

// idleSince is when the process was last used, and whether nobody uses it now.
func (p *process) idleSince() (time.Time, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used, p.unused()
}

// unused must be called with mu held.
func (p *process) unused() bool {
	if len(p.calls) > 0 {
		return false
	}
	for _, peer := range p.peers {
		if peer.listening() {
			return false
		}
	}
	return true
}

// endIfUnused ends the process where nobody has used it for a time.
func (p *process) endIfUnused(atLeast time.Duration, why error) bool {
	p.mu.Lock()
	ours := p.unused() && time.Since(p.used) >= atLeast && p.stopping(ending, why)
	p.mu.Unlock()
	if ours {
		p.close(toExit)
	}
	return ours
}

var errIdle = errors.New("nobody has used it for a while")

func (p *process) endIfIdle() {
	if p.endIfUnused(p.s.cfg.Idle, errIdle) || !p.alive() {
		return
	}
	since, unused := p.idleSince()
	left := p.s.cfg.Idle
	if unused {
		left -= time.Since(since)
	}
	p.idle.Reset(max(left, time.Millisecond))
}

// drain waits until no call is under way but those that have no end of their own.
func (p *process) drain(atMost time.Duration) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.After(max(atMost, 0))
	for p.busy() {
		select {
		case <-tick.C:
		case <-over:
			return
		case <-p.gone:
			return
		}
	}
}

func (p *process) busy() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range p.calls {
		if !c.endless() {
			return true
		}
	}
	return false
}
