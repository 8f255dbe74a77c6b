package gateway

import "sync/atomic"

// Counts are what has been counted since the start, for metrics and for who rolls a policy out.
type Counts struct {
	Decisions         int64 // of policies, about calls
	DecisionsCached   int64 // of these, found in the cache
	ListsCached       int64 // lists that were found as they had been made
	ListsMade         int64
	Streams           int64            // open now
	WouldDeny         int64            // let through because what refuses it is not enforced
	InputsMissing     int64            // decisions whose input was to be kept and is not
	ShadowCompared    int64            // decisions that the second policy was asked about
	ShadowDifferences map[string]int64 // of these, decided otherwise, by kind
	ShadowErrors      int64            // of these, the second policy failed; a difference as well where the first allowed
	ShadowDropped     int64            // not asked about: the second policy was too slow
}

// counts is Counts while it is counted.
type counts struct {
	decisions, decisionsCached, wouldDeny, inputsMissing, compared, failed, dropped atomic.Int64
	differences                                                                     [len(differenceKinds)]atomic.Int64
}

// Counts returns what has been counted so far.
func (g *Gateway) Counts() Counts {
	c := Counts{WouldDeny: g.counts.wouldDeny.Load(), InputsMissing: g.counts.inputsMissing.Load(), ShadowCompared: g.counts.compared.Load(),
		ShadowErrors: g.counts.failed.Load(), ShadowDropped: g.counts.dropped.Load(), ShadowDifferences: map[string]int64{}}
	c.Decisions, c.DecisionsCached = g.counts.decisions.Load(), g.counts.decisionsCached.Load()
	c.ListsCached, c.ListsMade = g.views.Use()
	c.Streams = g.streams.count()
	for i, kind := range differenceKinds {
		c.ShadowDifferences[kind] = g.counts.differences[i].Load()
	}
	return c
}
