package config

import (
	"context"
	"log/slog"
	"runtime/debug"
	"time"

	"sallyport/gateway"
	"sallyport/gateway/observe"
)

// facts are the numbers that are read when somebody asks. No label has a value that comes from outside.
func (s *Service) facts() []observe.Fact {
	one := func(name, help string, read func() float64) observe.Fact {
		return observe.Fact{Name: name, Help: help, Measure: func(put func(float64, string)) { put(read(), "") }}
	}
	count := func(name, help string, read func(gateway.Counts) int64) observe.Fact {
		f := one(name, help, func() float64 { return float64(read(s.gateway.Counts())) })
		f.Count = true
		return f
	}
	truth := map[bool]float64{true: 1}
	total := func(f observe.Fact, unit string) observe.Fact {
		f.Count, f.Unit = true, unit
		return f
	}
	return append([]observe.Fact{
		one("sallyport.ready", "1 where requests can be decided.", func() float64 { ready, _ := s.Ready(); return truth[ready] }),
		one("sallyport.stale", "1 where the newest configuration or policy is not installed and the one before serves on.", func() float64 {
			_, _, stale := s.health.get()
			return truth[stale != nil]
		}),
		one("sallyport.enforce", "1 where policies are enforced, 0 where they are only recorded.", func() float64 {
			g := s.serving.Load()
			return truth[g != nil && g.cfg.Enforce]
		}),
		one("sallyport.shadow.policy", "1 where a second policy is asked beside the first.", func() float64 {
			g := s.serving.Load()
			return truth[g != nil && g.shadow != nil]
		}),
		{Name: "sallyport.policy.info", Help: "1, with the revision of the policy that serves.", Label: "revision", Measure: func(put func(float64, string)) {
			if g := s.serving.Load(); g != nil {
				put(1, g.policy.Revision())
			}
		}},
		{Name: "sallyport.server.up", Help: "1 where the server's newest catalogue was fetched.", Label: "server", Measure: func(put func(float64, string)) {
			if g := s.serving.Load(); g != nil {
				for name, b := range g.servers {
					put(truth[b.server.Err() == nil], name)
				}
			}
		}},
		one("sallyport.grants.live", "Grants that can be used now.", func() float64 { return float64(s.grants.Live()) }),
		one("sallyport.streams.open", "Streams that clients have open.", func() float64 { return float64(s.gateway.Counts().Streams) }),
		one("sallyport.audit.waiting", "Records that are not on disk yet.", func() float64 { return float64(s.recorder.Use().Waiting) }),
		one("sallyport.audit.dropped", "Outcomes and refusals that found no room, and are not in the record yet, not even as a number.", func() float64 { return float64(s.recorder.Use().Dropped) }),
		one("sallyport.audit.healthy", "1 where decisions can be recorded; at 0 every call is refused.", func() float64 { return truth[s.recorder.Healthy() == nil] }),
		total(one("sallyport.audit.syncs", "Batches of records that the disk has taken.", func() float64 { return float64(s.recorder.Use().Syncs) }), ""),
		total(one("sallyport.audit.sync.time", "Time that the disk took for them.", func() float64 { return s.recorder.Use().SyncTime.Seconds() }), "s"),
		total(one("sallyport.revocations", "Grants that have ended, however.", func() float64 { return float64(s.revocations.Load()) }), ""),
		total(one("sallyport.revocation.time", "Time until all sessions, processes and credentials under them were closed, of all together.", func() float64 {
			return time.Duration(s.revocationTime.Load()).Seconds()
		}), "s"),
		total(one("sallyport.reloads", "Changes of configuration or policy that were tried.", func() float64 { return float64(s.reloads.Load()) }), ""),
		total(one("sallyport.reloads.failed", "Of these, not installed.", func() float64 { return float64(s.reloadsFailed.Load()) }), ""),
		s.cache("hits", func(token, decision, list [2]int64) (a, b, c int64) { return token[0], decision[0], list[0] }),
		s.cache("misses", func(token, decision, list [2]int64) (a, b, c int64) { return token[1], decision[1], list[1] }),
	}, s.rollout(count)...)
}

// cache counts one side of what the three caches were asked.
func (s *Service) cache(side string, of func(token, decision, list [2]int64) (a, b, c int64)) observe.Fact {
	return observe.Fact{Name: "sallyport.cache." + side, Help: "What caches were asked, by cache.", Count: true, Label: "cache", Measure: func(put func(float64, string)) {
		c := s.gateway.Counts()
		hits, misses := s.verifier.CacheUse()
		token, decision, list := of([2]int64{hits, misses}, [2]int64{c.DecisionsCached, c.Decisions - c.DecisionsCached}, [2]int64{c.ListsCached, c.ListsMade})
		put(float64(token), "token")
		put(float64(decision), "decision")
		put(float64(list), "list")
	}}
}

// rollout is what changed nothing, for who rolls a policy out.
func (s *Service) rollout(count func(string, string, func(gateway.Counts) int64) observe.Fact) []observe.Fact {
	return []observe.Fact{
		count("sallyport.would_deny", "Messages let through because what refuses them is not enforced.", func(c gateway.Counts) int64 { return c.WouldDeny }),
		count("sallyport.inputs.missing", "Decisions whose input was to be recorded and is not.", func(c gateway.Counts) int64 { return c.InputsMissing }),
		count("sallyport.shadow.compared", "Decisions that the second policy was asked about.", func(c gateway.Counts) int64 { return c.ShadowCompared }),
		count("sallyport.shadow.errors", "Decisions that the second policy could not make.", func(c gateway.Counts) int64 { return c.ShadowErrors }),
		count("sallyport.shadow.dropped", "Decisions that the second policy was not asked about, because it was too slow.", func(c gateway.Counts) int64 { return c.ShadowDropped }),
		{Name: "sallyport.shadow.differences", Help: "Decisions that the second policy would have made otherwise.", Count: true, Label: "kind", Measure: func(put func(float64, string)) {
			for kind, n := range s.gateway.Counts().ShadowDifferences {
				put(float64(n), kind)
			}
		}},
	}
}

// unsent notes that traces or metrics have not reached their collector. Nothing waits for them.
func (s *Service) unsent(err error) {
	s.log.Warn("traces or metrics were not sent", slog.Any("error", err))
}

// endTelemetry sends what waits. A collector that does not answer must not hold up the end.
func (s *Service) endTelemetry() {
	if s.telemetry == nil {
		return
	}
	const patience = 2 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.telemetry.Close(ctx); err != nil {
		s.log.Warn("what was measured last could not be sent", slog.Any("error", err))
	}
}

// version of the program, as far as the build knows.
func version() string {
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "dev"
}
