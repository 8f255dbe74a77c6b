package config

import (
	"context"
	"errors"
	"log/slog"
	"sync"

	"sallyport/gateway/sandbox"
)

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
