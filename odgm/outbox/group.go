package outbox

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/odgm/record"
)

// Sizes of one read of the outbox: it begins small, doubles while there is more, and shrinks when events are large.
const (
	firstBatch = 16
	maxBatch   = 256
	batchBytes = 4 << 20
)

// group delivers the events of one group of targets. Its pump reads the outbox and wakes lanes that are due; its workers, which exist only
// while a lane is ready, make the attempts.
type group struct {
	o    *Outbox
	name string
	kind string // "sink" or "method", for metrics

	// more is true when the outbox may have events beyond the cursor.
	more atomic.Bool
	wake chan struct{}

	// Of the pump alone.
	cursor   uint64 // the last event that was offered to the window
	batch    int
	failures int // reads that failed in a row

	mu      sync.Mutex
	window  window
	workers int
	closing bool
	buried  burials
}

func newGroup(o *Outbox, name string) *group {
	kind, _, _ := strings.Cut(name, " ")
	return &group{o: o, name: name, kind: kind, wake: make(chan struct{}, 1), batch: firstBatch, window: newWindow(o.cfg.Window)}
}

// poke wakes the pump; it never blocks.
func (g *group) poke() {
	select {
	case g.wake <- struct{}{}:
	default:
	}
}

// pump runs until the deliverer closes or the group has been idle for long enough.
func (g *group) pump() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	idleSince := time.Now()
	for g.o.reading.Err() == nil {
		retry := g.fill()
		next, busy := g.promote()
		now := time.Now()
		switch {
		case retry > 0:
			if next == 0 || retry < next {
				next = retry
			}
		case busy:
			idleSince = now
		case now.Sub(idleSince) >= g.o.cfg.Idle && g.o.forget(g):
			return
		}
		if next == 0 {
			next = g.o.cfg.Idle
		}
		timer.Reset(next)
		select {
		case <-g.wake:
		case <-timer.C:
		case <-g.o.reading.Done():
		}
	}
}

// promote wakes the lanes that are due, and tells how long it is until the next one is (0: none waits) and whether the group has any events.
func (g *group) promote() (next time.Duration, busy bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	now := time.Now()
	if due := g.window.promote(now); !due.IsZero() {
		next = max(due.Sub(now), 1)
	}
	g.startWorkers()
	return next, len(g.window.lanes) > 0 || g.window.used > 0
}

// fill reads the outbox until the window is full or there is nothing more, what was skipped before going first. When a read fails it gives
// the time to wait.
func (g *group) fill() (retry time.Duration) {
	for g.o.reading.Err() == nil {
		g.mu.Lock()
		full := g.window.full()
		skipped, refill := g.window.refillFrom()
		limit := min(g.batch, max(g.window.limit-g.window.used, firstBatch))
		g.mu.Unlock()
		var err error
		switch {
		case full:
			return 0
		case refill:
			err = g.read(skipped-1, limit, func(events []*record.Event, more bool) { g.window.refill(skipped, events, g.cursor, more) })
		case g.more.Swap(false):
			if err = g.read(g.cursor, limit, g.scan); err != nil {
				g.more.Store(true)
			}
		default:
			return 0
		}
		if err == nil {
			g.failures = 0
			continue
		}
		if g.o.reading.Err() != nil {
			return 0
		}
		g.failures++
		g.o.cfg.Logger.Error("read outbox", "shard", g.o.cfg.Name, "group", g.name, "error", err)
		return g.o.cfg.delay(g.failures)
	}
	return 0
}

// read reads events above after and hands them to use, under the lock.
func (g *group) read(after uint64, limit int, use func(events []*record.Event, more bool)) error {
	events, err := g.o.cfg.Shard.Outbox(g.o.reading, g.name, after, limit)
	if err != nil {
		return fmt.Errorf("events after %d: %w", after, err)
	}
	g.resize(events, limit)
	g.mu.Lock()
	defer g.mu.Unlock()
	use(events, len(events) >= limit)
	g.startWorkers()
	return nil
}

// scan offers events at the cursor.
func (g *group) scan(events []*record.Event, more bool) {
	for _, e := range events {
		if !g.window.offer(e) {
			more = true
			break
		}
		g.cursor = e.GetSeq()
	}
	if more {
		g.more.Store(true)
	}
}

// resize fits the size of the next read to the events of this one.
func (g *group) resize(events []*record.Event, limit int) {
	size := 0
	for _, e := range events {
		size += len(e.GetData())
	}
	switch {
	case size > batchBytes:
		g.batch = max(len(events)*batchBytes/size, 1)
	case len(events) == limit && 2*size <= batchBytes:
		g.batch = min(2*g.batch, maxBatch)
	}
}

// startWorkers starts workers for the lanes that are ready. The caller has the lock.
func (g *group) startWorkers() {
	if g.closing {
		return
	}
	for range min(len(g.window.ready), g.o.cfg.Workers-g.workers) {
		g.workers++
		g.o.running.Go(g.work)
	}
}

// work tries the heads of lanes until none is ready.
func (g *group) work() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for !g.closing {
		l := g.window.take()
		if l == nil {
			break
		}
		event := l.queue[0]
		g.mu.Unlock()
		err := g.attempt(event)
		g.mu.Lock()
		g.settle(l, event, err)
	}
	g.workers--
	g.pokeIfUseful()
}

func (g *group) attempt(event *record.Event) error {
	ctx, cancel := context.WithTimeout(g.o.attempting, g.o.cfg.Timeout)
	defer cancel()
	return g.o.cfg.Dispatch(ctx, event)
}

// settle decides what follows from an attempt. The caller has the lock.
func (g *group) settle(l *lane, event *record.Event, err error) {
	end := ending{group: g, seq: event.GetSeq(), cost: costOf(event)}
	switch {
	case err == nil:
		g.o.metrics.delivered(g.kind)
	case g.o.attempting.Err() != nil:
		l.state = idle // cut off by Close: nothing is known, so nothing is counted
		return
	default:
		l.attempts++
		if !IsFinal(err) && l.attempts < g.o.cfg.MaxAttempts {
			g.o.metrics.retried()
			wait := g.o.cfg.retryDelay(l.attempts, err)
			g.o.cfg.Logger.Debug("attempt failed", "shard", g.o.cfg.Name, "group", g.name, "event", event.GetId(), "attempts", l.attempts,
				"wait", wait, "error", err)
			g.window.postpone(l, time.Now().Add(wait))
			g.poke()
			return
		}
		end.bury, end.reason, end.attempts = true, shorten(err.Error()), l.attempts
		g.o.metrics.buried()
		g.buried.log(g, event, err)
	}
	g.window.advance(l)
	g.o.settler.add(end)
	g.pokeIfUseful()
}

// shorten bounds a reason, which may quote whatever the target answered.
func shorten(reason string) string {
	const limit = 2 << 10
	if len(reason) > limit {
		reason = reason[:limit] + "…"
	}
	return strings.ToValidUTF8(reason, "")
}

// release gives back the room of events whose end is recorded.
func (g *group) release(cost int) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.window.used -= cost
	g.pokeIfUseful()
}

// pokeIfUseful wakes the pump when it could load events and that is worth a read: there is room for many, or a worker to spare. The caller
// has the lock.
func (g *group) pokeIfUseful() {
	room := g.window.limit - g.window.used
	if room <= 0 || !(g.more.Load() || len(g.window.refilling) > 0) {
		return
	}
	if room >= g.window.limit/64 || g.workers < g.o.cfg.Workers {
		g.poke()
	}
}

// burials keeps the log readable when a target refuses everything: one line at once, then at most one in ten seconds.
type burials struct {
	last   time.Time
	silent int
}

func (b *burials) log(g *group, event *record.Event, err error) {
	now := time.Now()
	if !b.last.IsZero() && now.Sub(b.last) < 10*time.Second {
		b.silent++
		return
	}
	g.o.cfg.Logger.Warn("event moved to dead letters", "shard", g.o.cfg.Name, "group", g.name, "event", event.GetId(), "object", event.GetObject(),
		"others", b.silent, "error", err)
	b.last, b.silent = now, 0
}
