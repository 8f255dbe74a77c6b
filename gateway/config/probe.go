package config

import (
	"context"
	"errors"
	"sync"

	"sallyport/gateway"
)

// Probe asks each server for its catalogue once, and says per name what went wrong.
func (c *Config) Probe(ctx context.Context) map[string]error {
	var mu sync.Mutex
	var asked sync.WaitGroup
	found := make(map[string]error, len(c.Servers))
	for name, s := range c.Servers {
		asked.Go(func() {
			up, err := s.upstream(c.Limits.CallTimeout.Std())
			if err == nil {
				if failed := gateway.NewServer(name, up, nil).Refresh(ctx); failed != nil {
					err = errors.New(oneLine(failed))
				}
				up.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			found[name] = err
		})
	}
	asked.Wait()
	return found
}

// Address is the server's URL without what may be secret in it.
func (s *Server) Address() string { return maskQuery(s.URL) }
