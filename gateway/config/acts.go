package config

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"sallyport/gateway/audit"
)

// How long a command waits for another that is writing its act down.
const (
	actsWait  = 5 * time.Second
	actsRetry = 20 * time.Millisecond
)

// RecordAct writes down what an operator does by a command where no gateway runs to do it for him,
// and returns once it is on disk. On an error the act must not be done. It is another log than a
// gateway's, <state>/audit-acts, since one may start meanwhile and take <state>/audit.
func (c *Config) RecordAct(ctx context.Context, r *audit.Record) error {
	ctx, cancel := context.WithTimeout(ctx, actsWait)
	defer cancel()
	log, err := c.openActs(ctx)
	if err != nil {
		return fmt.Errorf("open the record of acts: %w", err)
	}
	r.ID, r.Time, r.Phase = audit.NewID(), time.Now(), audit.PhaseDecision
	return errors.Join(log.Decide(ctx, r), log.Close())
}

func (c *Config) openActs(ctx context.Context) (*audit.Log, error) {
	for {
		log, err := audit.Open(filepath.Join(c.State, actsDir), audit.Options{Continue: true})
		if !errors.Is(err, audit.ErrLocked) {
			return log, err
		}
		select {
		case <-ctx.Done():
			return nil, err
		case <-time.After(actsRetry):
		}
	}
}
