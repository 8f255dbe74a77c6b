package config

import (
	"context"
	"log/slog"
	"time"
)

// Watch calls changed at once, and then each time files of the paths have changed and come to rest,
// until ctx ends: also where an editor replaces a file, or a mounted ConfigMap its links. What
// changes while changed runs counts as the next change.
func Watch(ctx context.Context, log *slog.Logger, paths []string, changed func()) {
	watchPaths(ctx, log, watchDefaults, paths, changed)
}

func watchPaths(ctx context.Context, log *slog.Logger, o watchOptions, paths []string, changed func()) {
	n := newNotifier(log, o, paths)
	defer n.close()
	poll := time.NewTicker(o.poll)
	defer poll.Stop()
	settle := time.NewTimer(o.settle)
	defer settle.Stop()
	seen, moving := digest(paths), "" // from before it is looked at, so that no change is missed
	changed()
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.events:
			settle.Reset(o.settle)
			continue
		case <-poll.C:
		case <-settle.C:
		}
		now := digest(paths)
		switch {
		case now == seen:
			moving = ""
		case now != moving: // perhaps half written: look again in a moment
			moving = now
			settle.Reset(o.settle)
		default:
			seen, moving = now, ""
			n.watch(paths)
			changed()
		}
	}
}
