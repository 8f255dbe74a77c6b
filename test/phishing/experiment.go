package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// experiment plays all sessions, one after the other, against the same servers.
type experiment struct {
	programs
	dir        string
	runs       int
	home       home
	sink       *sink
	web, notes string // URLs
	stops      []func()
	sessions   int
	report     report
}

func newExperiment(p programs, dir string, runs int) (*experiment, error) {
	dir, err := filepath.EvalSymlinks(dir)
	if err != nil {
		return nil, err
	}
	e := &experiment{programs: p, dir: dir, runs: runs, home: home{filepath.Join(dir, "home")}}
	if e.sink, err = newSink(); err != nil {
		return nil, err
	}
	e.stops = append(e.stops, e.sink.close)
	var stop func()
	if e.web, stop, err = serveTools(webTools(e.sink)); err != nil {
		return nil, err
	}
	e.stops = append(e.stops, stop)
	if e.notes, stop, err = serveTools(noteTools(e.sink), pages(e.sink)); err != nil {
		return nil, err
	}
	e.stops = append(e.stops, stop)
	return e, e.home.lay(newSecret(), nil)
}

func (e *experiment) close() {
	for _, stop := range e.stops {
		stop()
	}
}

// Settings, in the order in which they are played.
const (
	straight    = "without the gateway"
	guarded     = "through the gateway"
	labelsAlone = "flow labels alone, scanner off"
	scannerOnly = "scanner alone, no rule on flow"
)

// conduct plays every setting, or the one that is named.
func (e *experiment) conduct(ctx context.Context, only string) error {
	settings := []setting{
		{name: straight},
		{name: guarded, labels: true, scanner: true},
		{name: labelsAlone, labels: true},
		{name: scannerOnly, labels: true, scanner: true, policies: map[string]string{"authz.rego": open}},
	}
	for i, s := range settings {
		if only != "" && only != s.name {
			continue
		}
		if err := e.setting(ctx, i, s); err != nil {
			return fmt.Errorf("%s: %w", s.name, err)
		}
	}
	for _, boxed := range []bool{false, true} {
		if name := toolsName(boxed); only == "" || only == name {
			if err := e.ownTools(ctx, boxed); err != nil {
				return fmt.Errorf("%s: %w", name, err)
			}
		}
	}
	return nil
}

// setting plays all sessions of one setting.
func (e *experiment) setting(ctx context.Context, i int, s setting) error {
	dir := filepath.Join(e.dir, fmt.Sprintf("setting-%d", i))
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	var gateway *gate
	mcp, names := e.direct(), straightNames
	if s.name != straight {
		g, err := startGate(ctx, e.programs, dir, s, served(e.programs, s, e.home, e.web, e.notes))
		if err != nil {
			return err
		}
		defer g.stop()
		gateway = g
		mcp = map[string]any{"gw": map[string]any{"type": "stdio", "command": e.sallyport, "args": []string{"connect", g.url, "--config", g.config, "--role", role}}}
		names = gatewayNames
	}
	file := filepath.Join(dir, "mcp.json")
	if err := writeJSON(file, map[string]any{"mcpServers": mcp}); err != nil {
		return err
	}
	row := row{Setting: s.name}
	for n := range e.runs {
		run, err := e.session(ctx, file, dealt(n, e.runs), names)
		if err != nil {
			return fmt.Errorf("session %d: %w", n+1, err)
		}
		row.Runs = append(row.Runs, run)
		fmt.Fprintf(os.Stderr, "%s: session %d of %d: %s\n", s.name, n+1, e.runs, run.line())
	}
	if gateway != nil {
		var err error
		if row.Refused, err = gateway.refusals(); err != nil {
			return err
		}
	}
	e.report.Rows = append(e.report.Rows, row)
	return nil
}

// direct are the servers as Claude Code has them without the gateway.
func (e *experiment) direct() map[string]any {
	command := e.filesystem(e.home.dir)
	return map[string]any{
		"files": map[string]any{"type": "stdio", "command": command[0], "args": command[1:]},
		"web":   map[string]any{"type": "http", "url": e.web},
		"notes": map[string]any{"type": "http", "url": e.notes},
	}
}

// dealt are the carriers of the n-th of so many sessions: each carrier is in one of them.
func dealt(n, sessions int) []carrier {
	var by []carrier
	for i := n; i < len(carriers); i += sessions {
		by = append(by, carriers[i])
	}
	return by
}

// session plays one session with new keys.
func (e *experiment) session(ctx context.Context, mcp string, by []carrier, names naming) (run, error) {
	s := newSecret()
	if err := e.home.lay(s, by); err != nil {
		return run{}, err
	}
	user, err := os.MkdirTemp(e.dir, "user-")
	if err != nil {
		return run{}, err
	}
	defer os.RemoveAll(user)
	m, err := newModel(e.sink, &agent{dir: e.home.documents()}, names)
	if err != nil {
		return run{}, err
	}
	defer m.stop()
	e.sink.reset()
	if err := claudeCode(ctx, m.url, e.home.dir, user, nil, e.claude, "--mcp-config", mcp); err != nil {
		return run{}, err
	}
	if err := e.transcript(m.saw()); err != nil {
		return run{}, err
	}
	arrived, bytes := e.sink.reset()
	r := run{Done: e.home.summarised(), Open: len(arrived[clean]) > 0}
	for _, one := range m.saw() {
		r.Had = r.Had || strings.Contains(one.text, s.key)
	}
	for phase, n := range bytes {
		if phase != clean {
			r.Bytes += n
		}
	}
	for _, c := range by {
		r.Tries = append(r.Tries, tried(c, s, m.saw(), arrived[c.name]))
	}
	return r, nil
}

// tried is what came of one carrier.
func tried(c carrier, s secret, calls []answer, arrived []arrival) try {
	t := try{Carrier: c.name}
	for _, one := range calls {
		if one.phase == c.name {
			t.Calls++
			if one.error && t.Said == "" {
				t.Said = firstLine(one.text)
			}
		}
	}
	t.Left = strings.Contains(c.decode(c.collect(arrived)), s.key)
	for _, a := range arrived {
		t.Left = t.Left || strings.Contains(a.raw, s.key)
	}
	return t
}

// transcript keeps what the model saw of a session, for whoever asked with -keep.
func (e *experiment) transcript(calls []answer) error {
	e.sessions++
	var out strings.Builder
	for _, one := range calls {
		arguments, err := json.Marshal(one.arguments)
		if err != nil {
			return err
		}
		fmt.Fprintf(&out, "[%s] %s %s %s\nerror %v: %s\n\n", one.phase, one.server, one.tool, arguments, one.error, one.text)
	}
	return os.WriteFile(filepath.Join(e.dir, fmt.Sprintf("session-%d.txt", e.sessions)), []byte(out.String()), 0o600)
}
