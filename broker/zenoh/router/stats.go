package router

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync/atomic"
)

// counters count since the router was opened.
type counters struct {
	received, sent               atomic.Uint64
	queries, replies, timeouts   atomic.Uint64
	congested, unresponsive      atomic.Uint64
	ended, badKeys, late, denied atomic.Uint64
	refused                      atomic.Uint64
}

// Statistics tell what a router has and did.
type Statistics struct {
	Sessions    int // open now
	Upstreams   int // routers that this one dialled, connected now
	Subscribers int // different keys of subscribers, queryables and tokens that are declared now
	Queryables  int
	Tokens      int
	Interests   int // now
	Pending     int // queries that wait for replies now

	Received, Sent             uint64 // publications
	Queries, Replies, Timeouts uint64
	Refused                    uint64 // sessions that were not opened
	// Dropped has messages that were not handed on, by reason: "congested" (may be dropped and the session's queue was full), "unresponsive"
	// (its session was closed because it took nothing), "ended" (its session had ended), "key" (no valid key), "late" (a reply to no pending
	// query), "denied" (by access control).
	Dropped map[string]uint64
}

// Statistics gives the state of the router now.
func (r *Router) Statistics() Statistics {
	c := &r.counters
	s := Statistics{
		Received: c.received.Load(), Sent: c.sent.Load(), Queries: c.queries.Load(), Replies: c.replies.Load(), Timeouts: c.timeouts.Load(),
		Refused: c.refused.Load(),
		Dropped: map[string]uint64{
			"congested": c.congested.Load(), "unresponsive": c.unresponsive.Load(), "ended": c.ended.Load(), "key": c.badKeys.Load(),
			"late": c.late.Load(), "denied": c.denied.Load(),
		},
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for f := range r.faces {
		switch f.kind {
		case session:
			s.Sessions++
		case upstream:
			s.Upstreams++
		}
		s.Interests += len(f.interests)
		s.Pending += len(f.asked)
	}
	s.Subscribers, s.Queryables, s.Tokens = r.declared[subscribers].Len(), r.declared[queryables].Len(), r.declared[tokens].Len()
	return s
}

// Metrics gives the statistics in the text format of Prometheus, under names that begin with zenoh_router_.
func (s Statistics) Metrics() string {
	var out strings.Builder
	write := func(name, kind, help string, value uint64) {
		fmt.Fprintf(&out, "# HELP zenoh_router_%s %s\n# TYPE zenoh_router_%s %s\nzenoh_router_%s %d\n", name, help, name, kind, name, value)
	}
	gauges := []struct {
		name, help string
		value      int
	}{
		{"sessions", "Open sessions.", s.Sessions},
		{"upstreams", "Connected routers that this one dialled.", s.Upstreams},
		{"subscribers", "Different keys of subscribers.", s.Subscribers},
		{"queryables", "Different keys of queryables.", s.Queryables},
		{"tokens", "Different keys of liveliness tokens.", s.Tokens},
		{"interests", "Interests of sessions.", s.Interests},
		{"pending_queries", "Queries that wait for replies.", s.Pending},
	}
	for _, g := range gauges {
		write(g.name, "gauge", g.help, uint64(g.value))
	}
	write("received_total", "counter", "Publications received.", s.Received)
	write("sent_total", "counter", "Publications sent.", s.Sent)
	write("queries_total", "counter", "Queries received.", s.Queries)
	write("replies_total", "counter", "Replies handed on.", s.Replies)
	write("query_timeouts_total", "counter", "Queries that were not answered in time.", s.Timeouts)
	write("sessions_refused_total", "counter", "Sessions that were not opened.", s.Refused)
	out.WriteString("# HELP zenoh_router_dropped_total Messages that were not handed on.\n# TYPE zenoh_router_dropped_total counter\n")
	for _, reason := range slices.Sorted(maps.Keys(s.Dropped)) {
		fmt.Fprintf(&out, "zenoh_router_dropped_total{reason=%q} %d\n", reason, s.Dropped[reason])
	}
	return out.String()
}
