package invoke

import (
	"strconv"

	"github.com/hpcclab/oaas-go/odgm/record"
)

// item is a pending invocation in the queue of a shard.
type item struct {
	id string
	// object is set when the call has to wait for others of the same object.
	object string
}

// queue has the invocations that run or are to be run next, as far as they fit.
type queue struct {
	limit  int
	items  []item
	known  map[string]bool // ids that wait or run
	active map[string]bool // objects of which a call runs
}

func (q *queue) init(limit int) {
	*q = queue{limit: limit, known: map[string]bool{}, active: map[string]bool{}}
}

// size counts those that wait and those that run.
func (q *queue) size() int { return len(q.known) }

// add appends an item that is not known yet; full is true when there was no room.
func (q *queue) add(it item) (added, full bool) {
	switch {
	case q.known[it.id]:
		return false, false
	case len(q.known) >= q.limit:
		return false, true
	}
	q.known[it.id] = true
	q.items = append(q.items, it)
	return true, false
}

// take gives the first item whose object has no running call: a busy object does not keep the others waiting.
func (q *queue) take() (item, bool) {
	for i, it := range q.items {
		if it.object != "" && q.active[it.object] {
			continue
		}
		q.items = append(q.items[:i], q.items[i+1:]...)
		if it.object != "" {
			q.active[it.object] = true
		}
		return it, true
	}
	return item{}, false
}

// done forgets an item that was taken.
func (q *queue) done(it item) {
	delete(q.known, it.id)
	if it.object != "" {
		delete(q.active, it.object)
	}
}

func (a *Async) itemOf(inv *record.Invocation) item {
	it := item{id: inv.GetId(), object: inv.GetObject()}
	if m, err := a.cfg.Method(inv.GetMethod()); err == nil && (m.ReadOnly || m.Stateless) {
		it.object = ""
	}
	return it
}

// enqueue has an invocation run. If there is no room it stays on disk, to be loaded later. The lock is held.
func (a *Async) enqueue(it item) (full bool) {
	added, full := a.queue.add(it)
	if added {
		a.gauge(1)
	}
	a.more = a.more || full
	return full
}

// schedule starts as many workers as have something to do, and loads from disk when the queue gets short. The lock is held.
func (a *Async) schedule() {
	if a.closed {
		return
	}
	for a.workers < a.cfg.Workers {
		it, ok := a.queue.take()
		if !ok {
			break
		}
		a.workers++
		a.wg.Go(func() { a.work(it) })
	}
	if a.more && !a.loading && a.queue.size() <= a.queue.limit/2 {
		a.more, a.loading = false, true
		a.wg.Go(a.load)
	}
}

// work runs invocations until none is left that can run now.
func (a *Async) work(it item) {
	for ok := true; ok; {
		a.perform(it)
		a.mu.Lock()
		a.queue.done(it)
		a.gauge(-1)
		ok = !a.closed
		if ok {
			if it, ok = a.queue.take(); !ok {
				a.workers--
			}
			a.schedule()
		}
		a.mu.Unlock()
	}
}

// loadPage is how many invocations are read from disk at a time: they come with their payloads.
const loadPage = 32

// load fills the queue from disk. What does not fit stays there until the queue is short again.
func (a *Async) load() {
	full := a.loadAll()
	a.mu.Lock()
	defer a.mu.Unlock()
	a.loading = false
	a.more = a.more || full
	a.schedule()
}

func (a *Async) loadAll() (full bool) {
	after := ""
	for a.ctx.Err() == nil {
		page, err := a.cfg.Shard.PendingInvocations(a.ctx, after, loadPage)
		if err != nil {
			if a.ctx.Err() == nil {
				a.log.Warn("load pending invocations; they run after a restart", "class", a.cfg.Class, "partition", a.cfg.Partition, "err", err)
			}
			return false
		}
		a.mu.Lock()
		for _, inv := range page {
			after = inv.GetId()
			full = full || a.enqueue(a.itemOf(inv))
		}
		a.schedule()
		a.mu.Unlock()
		if full || len(page) < loadPage {
			return full
		}
	}
	return false
}

func (a *Async) gauge(by int) {
	a.cfg.Executor.metrics.pending.WithLabelValues(a.cfg.Class, strconv.FormatUint(uint64(a.cfg.Partition), 10)).Add(float64(by))
}
