package config

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"sallyport/gateway/sandbox"
	"sallyport/identity/federate"
)

// ProbeIssuers reads the keys of every outside issuer anew, and says per rule what went wrong; nil
// for nothing, also where the configuration has no rule.
func (c *Config) ProbeIssuers(ctx context.Context) error {
	f, err := federate.New(c.rules(), federate.Options{})
	if err != nil {
		return err
	}
	defer f.Close()
	return f.Probe(ctx)
}

// Probe asks each server for its catalogue once, and says per name what went wrong.
func (c *Config) Probe(ctx context.Context) map[string]error {
	var mu sync.Mutex
	var asked sync.WaitGroup
	var sandboxes sandbox.Launcher
	defer sandboxes.Close()
	found := make(map[string]error, len(c.Servers))
	for name := range c.Servers {
		asked.Go(func() {
			b, err := c.behind(name, shared{&sandboxes, nobody, slog.New(slog.DiscardHandler)})
			if err == nil {
				if failed := b.server.Refresh(ctx); failed != nil {
					err = errors.New(oneLine(failed))
				}
				b.close()
			}
			mu.Lock()
			defer mu.Unlock()
			found[name] = err
		})
	}
	asked.Wait()
	return found
}
