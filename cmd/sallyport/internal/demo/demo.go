package demo

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"strings"
	"sync"
	"time"
)

// Options of Run.
type Options struct {
	Listen   string       // address of the gateway, loopback; required
	Once     bool         // end after the story
	Out      io.Writer    // the page
	Colour   bool         // Out is a terminal that shows colours
	Program  string       // path of this program, for the lines that clients need
	Policies fs.FS        // a policy directory; examples/policies/phishing-defence tells the story
	Log      *slog.Logger // what the gateway says while it runs; nil: nothing
}

// ErrWrong is returned when a step of the story came out otherwise than told.
var ErrWrong = errors.New("the story did not come out as told")

// storyTime bounds the story. It takes well under a second.
const storyTime = time.Minute

// Run tells the story on o.Out. With Once it then ends; otherwise it serves until ctx ends.
// Its state is in a temporary directory that is removed when Run returns. The error wraps
// ErrWrong when a step came out otherwise, which the page then shows.
func Run(ctx context.Context, o Options) (err error) {
	dir, err := os.MkdirTemp("", "sallyport-demo-")
	if err != nil {
		return fmt.Errorf("make a directory for the demo: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	r, err := newRig(ctx, o, dir)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close()) }()
	s := &story{page: page{w: o.Out, c: palette(o.Colour)}, rig: r}
	if err := s.run(ctx); err != nil {
		return err
	}
	if o.Once {
		return nil
	}
	return s.serveOn(ctx, o)
}

// run tells the story and sums up.
func (s *story) run(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, storyTime)
	defer cancel()
	began := time.Now()
	if err := s.tell(ctx); err != nil {
		return err
	}
	s.blank()
	if len(s.wrong) > 0 {
		s.line(0, s.c.bold+s.c.red, fmt.Sprintf("%d steps came out otherwise than told:", len(s.wrong)))
		for _, w := range s.wrong {
			s.prose(2, "", "- "+w)
		}
		return fmt.Errorf("%w: %d steps", ErrWrong, len(s.wrong))
	}
	s.line(0, s.c.bold+s.c.green, fmt.Sprintf("Every step came out as told (%d calls, %d ms).", s.number, time.Since(began).Milliseconds()))
	return nil
}

// serveOn keeps serving until ctx ends.
func (s *story) serveOn(ctx context.Context, o Options) error {
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() { s.rig.service.Run(ctx) }) // policies are watched from here on
	defer running.Wait()
	defer cancel()
	s.clients(o)
	since := time.Now() // records of the story may still be on their way to the disk
	tick := time.NewTicker(lookEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case err := <-s.rig.problems:
			return err
		case <-tick.C:
			if err := s.follow(since); err != nil {
				return err
			}
		}
	}
}

// lookEvery is how often new calls are looked for. Slower than an eye would notice.
const lookEvery = 200 * time.Millisecond

// follow prints the tool calls that have been decided since then.
func (s *story) follow(since time.Time) error {
	records, err := s.rig.journal.next()
	if err != nil {
		return err
	}
	for _, rec := range records {
		if !decides(rec) || rec.Time.Before(since) {
			continue
		}
		got := outcome(rec, true)
		colour, mark := s.mark(got)
		if got == unknown && rec.ToolDigest == "" {
			mark = "UNKNOWN"
		}
		s.title(colour, mark, step{server: rec.Server, tool: rec.Tool})
		s.field(5, "role", "", strings.Join(rec.Roles, ", "))
		s.reasons(rec, got)
	}
	return nil
}
