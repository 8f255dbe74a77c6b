package upstream

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"

	"sallyport/gateway"
)

// process is one program that runs, with the calls that wait for it.
type process struct {
	s     *Stdio
	log   *slog.Logger
	child Child
	stdin *os.File
	out   outbox
	began time.Time
	gone  chan struct{} // closed when it has ended; err is set then

	shake  sync.Mutex // one handshake at a time; guards hello
	hello  []byte     // the result of initialize; nil before
	stderr *stderr

	mu       sync.Mutex // guards all below
	calls    map[int64]*asking
	last     int64 // id of the newest call
	peers    map[string]*peer
	used     time.Time
	bad      int   // lines that were no message
	ended    bool  // by us
	err      error // why it has ended
	idle     *time.Timer
	asked    map[string]*peer // by raw id: who has been put a question of the program's
	settling bool             // the first message has not come yet
}

// start runs the program for p and begins to read what it says.
func (s *Stdio) start(ctx context.Context, key string, p gateway.Party) (*process, error) {
	var env map[string]string
	if s.cfg.Env != nil {
		var err error
		if env, err = s.cfg.Env(ctx, p); err != nil {
			return nil, fmt.Errorf("credential of the server: %w", err)
		}
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
	proc := &process{s: s, child: child, stdin: in.stdin[1], began: time.Now(), used: time.Now(), gone: make(chan struct{}),
		log: s.cfg.Log.With(slog.Int("pid", child.Pid())), calls: map[int64]*asking{}, peers: map[string]*peer{}, asked: map[string]*peer{}, settling: true}
	proc.out.init(proc.stdin, s.cfg.CallTimeout, s.cfg.MaxMessage)
	proc.stderr = &stderr{log: proc.log}
	proc.idle = time.AfterFunc(s.cfg.Idle, proc.endIfIdle)
	proc.log.Info("server started", slog.String("instance", instanceName(key)))
	var readers sync.WaitGroup
	readers.Go(func() { proc.stderr.read(in.stderr[0]) })
	readers.Go(func() { proc.read(in.stdout[0]) })
	s.running.Go(func() { proc.wait(&readers) })
	return proc, nil
}

// instanceName is what the log may say of a key, which holds a principal's.
func instanceName(key string) string {
	name, _, _ := strings.Cut(key, " ")
	return map[string]string{"all": "shared", "own": "catalogue", "for": "principal"}[name]
}

// wait ends everything that waits for the process when its output has ended.
func (p *process) wait(readers *sync.WaitGroup) {
	status := make(chan error, 1)
	go func() { status <- p.child.Wait() }()
	readers.Wait()
	// A program that has closed its output serves nobody.
	var err error
	select {
	case err = <-status:
	case <-time.After(2 * time.Second):
		p.child.Kill()
		err = <-status
	}
	_ = p.stdin.Close()
	p.fail(p.ending(err))
}

// ending says how the process ended.
func (p *process) ending(err error) error {
	p.mu.Lock()
	ended, reason := p.ended, p.err
	p.mu.Unlock()
	switch {
	case ended && reason != nil:
		return reason
	case ended:
		return errors.New("the server was stopped")
	case err == nil:
		return fmt.Errorf("the server exited%s", p.stderr.hint())
	default:
		return fmt.Errorf("the server exited: %w%s", err, p.stderr.hint())
	}
}

// fail tells all who wait.
func (p *process) fail(err error) {
	p.mu.Lock()
	p.err = err
	calls, peers := p.calls, p.peers
	p.calls, p.peers = map[int64]*asking{}, map[string]*peer{}
	wanted := p.ended
	p.mu.Unlock()
	p.idle.Stop()
	close(p.gone)
	for _, c := range calls {
		c.fail(fmt.Errorf("%w: %w", gateway.ErrUnreachable, err))
	}
	for _, peer := range peers {
		peer.end()
	}
	if wanted {
		p.log.Info("server stopped", slog.Any("reason", err))
		return
	}
	p.log.Warn("server exited", slog.Any("reason", err), slog.Int("calls", len(calls)))
}

func (p *process) alive() bool {
	select {
	case <-p.gone:
		return false
	default:
		p.mu.Lock()
		defer p.mu.Unlock()
		return !p.ended
	}
}

// wanted reports whether we ended it.
func (p *process) wanted() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.ended
}

func (p *process) reason() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.err == nil {
		return errors.New("the server exited")
	}
	return p.err
}

// end asks the program to end, as the protocol says: its input is closed, and it is killed where
// that is not enough.
func (p *process) end(why string) {
	p.mu.Lock()
	if p.ended {
		p.mu.Unlock()
		return
	}
	p.ended, p.err = true, errors.New(why)
	p.mu.Unlock()
	_ = p.stdin.Close()
	go func() {
		select {
		case <-p.gone:
		case <-time.After(2 * time.Second):
			p.child.Kill()
		}
	}()
}

func (p *process) touch() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.used = time.Now()
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

func (p *process) endIfIdle() {
	since, unused := p.idleSince()
	left := p.s.cfg.Idle - time.Since(since)
	if !unused {
		left = p.s.cfg.Idle
	}
	if left <= 0 {
		p.end("nobody has used it for a while")
		return
	}
	p.idle.Reset(left)
}

// drain waits until no call is under way.
func (p *process) drain(atMost time.Duration) {
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	over := time.After(max(atMost, 0))
	for {
		if _, unused := p.idleSince(); unused {
			return
		}
		select {
		case <-tick.C:
		case <-over:
			return
		case <-p.gone:
			return
		}
	}
}

// pipes are the ends of a program's three: [0] is read, [1] is written.
type pipes struct{ stdin, stdout, stderr [2]*os.File }

func newPipes() (*pipes, error) {
	var all pipes
	for _, pair := range []*[2]*os.File{&all.stdin, &all.stdout, &all.stderr} {
		r, w, err := os.Pipe()
		if err != nil {
			all.closeTheirs()
			all.closeOurs()
			return nil, fmt.Errorf("start server: %w", err)
		}
		pair[0], pair[1] = r, w
	}
	return &all, nil
}

func (p *pipes) closeTheirs() { closeAll(p.stdin[0], p.stdout[1], p.stderr[1]) }
func (p *pipes) closeOurs()   { closeAll(p.stdin[1], p.stdout[0], p.stderr[0]) }

func closeAll(files ...*os.File) {
	for _, f := range files {
		if f != nil {
			_ = f.Close()
		}
	}
}

// errHung is returned when a program does not read what is written to it.
var errHung = errors.New("the server does not read its input")

// outbox writes lines to a program. Whoever finds nobody writing writes all that waits; the
// others only leave theirs.
type outbox struct {
	file    *os.File
	timeout time.Duration
	most    int64

	mu      sync.Mutex // guards all below
	waiting []byte
	spare   []byte
	writing bool
	err     error
}

func (o *outbox) init(f *os.File, timeout time.Duration, message int64) {
	o.file, o.timeout, o.most = f, timeout, 4*message
}

// add appends a line with f and writes it, or leaves it to who is writing.
func (o *outbox) add(f func(dst []byte) []byte) error {
	o.mu.Lock()
	if o.err != nil {
		defer o.mu.Unlock()
		return o.err
	}
	if int64(len(o.waiting)) > o.most {
		o.mu.Unlock()
		return fmt.Errorf("%w: %w", gateway.ErrTimeout, errHung)
	}
	o.waiting = f(o.waiting)
	if o.writing {
		o.mu.Unlock()
		return nil
	}
	o.writing = true
	for len(o.waiting) > 0 && o.err == nil {
		batch := o.waiting
		o.waiting = o.spare[:0]
		o.mu.Unlock()
		err := o.write(batch)
		o.mu.Lock()
		o.err = err
		if o.spare = batch[:0]; cap(o.spare) > 1<<20 {
			o.spare = nil
		}
	}
	o.writing = false
	defer o.mu.Unlock()
	return o.err
}

func (o *outbox) write(batch []byte) error {
	_ = o.file.SetWriteDeadline(time.Now().Add(o.timeout))
	_, err := o.file.Write(batch)
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", gateway.ErrTimeout, errHung)
	case err != nil:
		return fmt.Errorf("%w: the server has closed its input", gateway.ErrUnreachable)
	}
	return nil
}

// stderr passes a program's complaints to the log, and remembers the last of them.
type stderr struct {
	log *slog.Logger

	mu   sync.Mutex // guards last
	last []string
}

const (
	stderrLine   = 2 << 10 // bytes of a line that are kept
	stderrKept   = 5       // lines that are remembered
	stderrSecond = 100     // lines a second that are logged
)

func (s *stderr) read(f *os.File) {
	defer f.Close()
	lines := newLineReader(f, stderrLine)
	second, n, dropped := time.Now(), 0, 0
	for {
		line, _, err := lines.next()
		if text := strings.TrimSpace(string(bytes.ToValidUTF8(line, []byte("\uFFFD")))); text != "" {
			s.keep(text)
			if time.Since(second) > time.Second {
				if dropped > 0 {
					s.log.Warn("server wrote more to stderr than is logged", slog.Int("lines", dropped))
				}
				second, n, dropped = time.Now(), 0, 0
			}
			if n++; n <= stderrSecond {
				s.log.Info("server says", slog.String("stderr", text))
			} else {
				dropped++
			}
		}
		if err != nil {
			return
		}
	}
}

func (s *stderr) keep(text string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.last) == stderrKept {
		s.last = append(s.last[:0], s.last[1:]...)
	}
	s.last = append(s.last, text)
}

// hint is the end of what the program complained about, for the operator's eyes.
func (s *stderr) hint() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.last) == 0 {
		return " and wrote nothing to stderr"
	}
	return fmt.Sprintf("; its last words: %.300q", strings.Join(s.last, " | "))
}
