package config

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/admin"
	"sallyport/gateway/audit"
	"sallyport/identity/grant"
	"sallyport/identity/mint"
)

// Below the state directory as well.
const (
	grantsFile = "grants.db" // grants, and their counters as of the newest checkpoint

	measuredDir = "measured" // what operators have approved of agents' files
)

// checkpointEvery is how often the counters of grants are written out. The record is their journal,
// so that what came later is counted again at a start, and this only bounds how long that takes.
const checkpointEvery = 5 * time.Second

// Socket is where commands reach the gateway that runs in this installation.
func (c *Config) Socket() string { return filepath.Join(c.State, admin.SocketName) }

// openGrants opens the grants of this installation, which one process at a time can do, and counts
// again what the record has charged since their newest checkpoint.
func (c *Config) openGrants(ctx context.Context, log *slog.Logger) (*grants, error) {
	store, err := grant.OpenBolt(filepath.Join(c.State, grantsFile), grant.BoltOptions{Log: log})
	if err != nil {
		return nil, err
	}
	registry, err := grant.NewRegistry(ctx, store, grant.Options{Log: log})
	if err != nil {
		return nil, errors.Join(err, store.Close())
	}
	g := &grants{Registry: registry, store: store}
	if err := audit.Replay(filepath.Join(c.State, logDir), registry.JournalSeq(), g.journal); err != nil {
		log.Warn("not all charges of the record could be counted", slog.Any("error", err))
	}
	return g, nil
}

// grants are the grants of an installation, and their store.
type grants struct {
	*grant.Registry
	store grant.Store
}

// journal is an audit.Options.Journal.
func (g *grants) journal(c audit.Charge) {
	g.Journal(c.Seq, grant.Entry{Grant: c.Grant, Tool: tool(c), Calls: c.Calls, Bytes: c.Bytes, Labels: c.Labels})
}

// tool is the name under which a call is counted: the server's and its own.
func tool(c audit.Charge) string {
	if c.Tool == "" {
		return ""
	}
	return c.Server + "." + c.Tool
}

// keep writes checkpoints until ctx ends.
func (g *grants) keep(ctx context.Context, log *slog.Logger) {
	tick := time.NewTicker(checkpointEvery)
	defer tick.Stop()
	for seq := g.JournalSeq(); ; {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := g.JournalSeq()
		if now == seq {
			continue
		}
		if err := g.Checkpoint(ctx); err != nil {
			log.Warn("counters of grants not written; they are in the record", slog.Any("error", err))
			continue
		}
		seq = now
	}
}

// close writes the last checkpoint. The record must be closed before.
func (g *grants) close() error {
	err := g.Checkpoint(context.Background())
	g.Registry.Close()
	return errors.Join(err, g.store.Close())
}

// Authority makes grants and tokens in a state that no gateway has open.
type Authority struct {
	*mint.Authority
	grants *grants
}

// Close writes out what was done.
func (a *Authority) Close() error { return a.grants.close() }

// OpenAuthority opens the state for a command, where no gateway runs. The error says who may have
// it open.
func (c *Config) OpenAuthority(ctx context.Context, log *slog.Logger) (*Authority, error) {
	keys, err := c.OpenKeys()
	if err != nil {
		return nil, err
	}
	issuer, err := c.Issuer(keys)
	if err != nil {
		return nil, err
	}
	g, err := c.openGrants(ctx, log)
	if err != nil {
		return nil, err
	}
	made, err := mint.NewAuthority(mint.AuthorityConfig{Issuer: issuer, Grants: g.Registry, Constraint: gateway.CheckConstraint,
		RequireProof: c.requireProof, Record: func(ctx context.Context, a mint.Act) error { return c.RecordAct(ctx, record(a)) }})
	if err != nil {
		return nil, errors.Join(err, g.close())
	}
	return &Authority{Authority: made, grants: g}, nil
}

// CheckState opens what a gateway opens at its start, closes it, and says what would keep one from starting
// or has been lost. It is for a state that no gateway has open.
func (c *Config) CheckState(ctx context.Context) error {
	_, err := c.requestStateKey()
	err = errors.Join(err, audit.CheckKeys(filepath.Join(c.State, logDir)))
	store, open := grant.OpenBolt(filepath.Join(c.State, grantsFile), grant.BoltOptions{})
	if open != nil {
		return errors.Join(err, open)
	}
	registry, open := grant.NewRegistry(ctx, store, grant.Options{})
	if open == nil {
		registry.Close()
	}
	return errors.Join(err, open, store.Close())
}

// record is an act as a line of the record.
func record(a mint.Act) *audit.Record {
	return &audit.Record{Method: a.Method, Decision: "allow", Code: "ok", Subject: a.Subject, Client: a.Client, Grant: a.Grant,
		Task: a.Task, JTI: a.JTI, Roles: a.Roles, Source: a.Source, Detail: a.Detail}
}

func (c *Config) requireProof(roles []string) bool {
	s := gateway.Snapshot{RequireProof: c.Identity.RequireProof, RequireProofFor: c.Identity.RequireProofFor}
	return s.WantsProof(roles)
}
