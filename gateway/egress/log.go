package egress

import (
	"context"
	"log/slog"
	"sync"
	"time"
)

// maxLines bounds the refusals that are logged in one second. A server that asks in a loop
// must not fill the disk.
const maxLines = 10

// refusals logs what was refused, up to maxLines a second, and counts the rest.
type refusals struct {
	to *slog.Logger

	mu      sync.Mutex // guards all below
	since   time.Time
	lines   int
	omitted int
}

// refused logs a refusal. The target has been read, so it has no characters that a log could
// mistake; reason is ours.
func (l *refusals) refused(a authority, reason string) {
	l.line("egress refused", slog.String("target", a.String()), slog.String("reason", reason))
}

// failed logs that an allowed host was not reached, and why.
func (l *refusals) failed(a authority, err error) {
	l.line("egress failed", slog.String("target", a.String()), slog.Any("error", err))
}

// misused logs a request that is none.
func (l *refusals) misused(reason string) {
	l.line("egress refused", slog.String("reason", reason))
}

func (l *refusals) line(message string, attrs ...slog.Attr) {
	l.mu.Lock()
	if now := time.Now(); now.Sub(l.since) >= time.Second {
		if l.omitted > 0 {
			attrs = append(attrs, slog.Int("omitted_before", l.omitted))
		}
		l.since, l.lines, l.omitted = now, 0, 0
	}
	l.lines++
	full := l.lines > maxLines
	if full {
		l.omitted++
	}
	l.mu.Unlock()
	if !full {
		l.to.LogAttrs(context.Background(), slog.LevelWarn, message, attrs...)
	}
}
