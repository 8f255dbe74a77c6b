package config

import (
	"context"
	"fmt"
	"log/slog"
	"path/filepath"
	"time"

	"sallyport/gateway/audit"
	"sallyport/gateway/pin"
)

// PinFile is the file that holds the pinned definitions.
func (c *Config) PinFile() string { return filepath.Join(c.State, pin.FileName) }

// openPins opens the pinned definitions. Reviews and changes are in the record like any decision.
func (s *Service) openPins(cfg *Config) error {
	mode, err := pin.ParseMode(cfg.Pins)
	if err != nil {
		return err
	}
	s.pins, err = pin.Open(cfg.PinFile(), pin.Options{Mode: mode, Log: s.log, Event: s.pinEvent, Changed: s.pinsChanged,
		Record: func(ctx context.Context, a pin.Act) error { return s.write(ctx, PinAct(a)) }})
	return err
}

// PinAct is a review of a definition as a line of the record.
func PinAct(a pin.Act) *audit.Record {
	detail := fmt.Sprintf("%s %s", a.Kind, a.Digest)
	if a.Instead != "" {
		detail += " instead of " + a.Instead
	}
	return &audit.Record{Method: a.Method, Decision: "allow", Code: "ok", Server: a.Server, Tool: a.Name, ToolDigest: a.Digest,
		Source: a.By, Detail: detail}
}

// pinEvent writes down that a definition has left its pin or come back. It is off, or back,
// whether or not that can be written.
func (s *Service) pinEvent(e pin.Event) {
	const patience = 5 * time.Second
	ctx, cancel := context.WithTimeout(context.WithoutCancel(s.lifetime), patience)
	defer cancel()
	r := &audit.Record{Method: e.Method, Decision: "deny", Code: "changed", Server: e.Server, Tool: e.Name, ToolDigest: e.Seen,
		Detail: fmt.Sprintf("%s pinned as %s", e.Kind, e.Pinned)}
	if e.Method == pin.EventRestored {
		r.Decision, r.Code = "allow", "ok"
	}
	if e.Why != "" {
		r.Detail += ": " + e.Why
	}
	if err := s.write(ctx, r); err != nil {
		s.log.Error("a changed definition is not in the record", slog.String("server", e.Server), slog.String("name", e.Name), slog.Any("error", err))
	}
}

// write puts a line into the record and returns once it is on disk.
func (s *Service) write(ctx context.Context, r *audit.Record) error {
	r.ID, r.Time, r.Phase = audit.NewID(), time.Now(), audit.PhaseDecision
	return s.recorder.Decide(ctx, r)
}

// pinsChanged has a server's catalogue fetched again, whose pins are others now.
func (s *Service) pinsChanged(server string) {
	if g := s.serving.Load(); g != nil && g.servers[server] != nil {
		g.servers[server].server.RefreshSoon()
	}
}
