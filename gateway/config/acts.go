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

// RecordAct writes down what an operator does by a command, and returns once it is on disk.
// On an error the act must not be done. A running gateway holds <state>/audit, so acts have a
// log of their own, <state>/audit-acts.
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
