package workbench

import (
	"context"
	"runtime"
	"sync"
)

// batch is how many records a worker takes at once.
const batch = 128

// each hands every record of a log to one of several workers. Each worker sees records in their
// order, and they share nothing. It returns when all have ended.
func each(ctx context.Context, log Log, workers int, worker func(int) func(Entry)) error {
	if workers <= 0 {
		workers = runtime.GOMAXPROCS(0)
	}
	work := make(chan []Entry, workers)
	var all sync.WaitGroup
	for i := range workers {
		do := worker(i)
		all.Go(func() {
			for entries := range work {
				for _, entry := range entries {
					do(entry)
				}
			}
		})
	}
	err := feed(ctx, log, work)
	close(work)
	all.Wait()
	return err
}

func feed(ctx context.Context, log Log, work chan<- []Entry) error {
	entries := make([]Entry, 0, batch)
	for entry, err := range log {
		if err != nil {
			return err
		}
		if entries = append(entries, entry); len(entries) == batch {
			select {
			case work <- entries:
			case <-ctx.Done():
				return ctx.Err()
			}
			entries = make([]Entry, 0, batch)
		}
	}
	work <- entries
	return ctx.Err()
}
