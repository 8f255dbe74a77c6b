package upstream

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sallyport/gateway/credential"
)

// stderr passes a program's complaints to the log, and remembers the last of them.
type stderr struct {
	log     *slog.Logger
	secrets *credential.Scrubber

	mu   sync.Mutex // guards last
	last []string
}

const (
	stderrRead   = 64 << 10 // bytes of a line that are read
	stderrLine   = 2 << 10  // and that are logged
	stderrKept   = 5        // lines that are remembered
	stderrSecond = 100      // lines a second that are logged
)

func (s *stderr) read(f io.ReadCloser) {
	defer func() { _ = f.Close() }()
	lines := newLineReader(f, stderrRead)
	second, n, dropped := time.Now(), 0, 0
	report := func() {
		if dropped > 0 {
			s.log.Warn("server wrote more to stderr than is logged", slog.Int("lines", dropped))
		}
	}
	defer func() { report() }()
	for {
		line, whole, err := lines.next()
		if !whole {
			line = []byte("(a line of over 64 KiB)") // its ends could hold a part of a secret
		}
		if text := strings.TrimSpace(string(bytes.ToValidUTF8(line, []byte("\uFFFD")))); text != "" {
			text = s.secrets.ScrubText(text) // before anything is cut off, a part of a secret with it
			if len(text) > stderrLine {
				text = strings.ToValidUTF8(text[:stderrLine], "") + "…"
			}
			s.keep(text)
			if time.Since(second) > time.Second {
				report()
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
