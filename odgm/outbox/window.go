package outbox

import (
	"container/heap"
	"time"

	"github.com/hpcclab/oaas-go/odgm/record"
)

// unit is the amount of data that counts as one more event in a window.
const unit = 4 << 10

// share is the part of the free room that one lane may fill (1/share), so that a lane that is stuck leaves room for others, however many
// events it has.
const share = 8

// laneKey is a source object and a target within a group (whose class and method are the same for all).
type laneKey struct {
	source    string
	object    string
	partition uint32
	byHash    bool
}

func keyOf(e *record.Event) laneKey {
	t := e.GetTarget()
	if t.GetSink() != "" {
		return laneKey{source: e.GetObject()}
	}
	return laneKey{source: e.GetObject(), object: t.GetObject(), partition: t.GetPartition(), byHash: t.GetByHash()}
}

func costOf(e *record.Event) int { return 1 + len(e.GetData())/unit }

type laneState int

const (
	idle    laneState = iota // nothing loaded
	ready                    // the head can be tried
	running                  // a worker has the head
	waiting                  // the head failed, and is tried again when due
)

// lane has events that must be delivered one after the other.
type lane struct {
	key      laneKey
	state    laneState
	queue    []*record.Event
	cost     int // of the queue
	attempts int // of the head
	due      time.Time

	// skipped is the number from which on events of the lane were left in the outbox, 0 if none were; left counts them.
	skipped uint64
	left    int
	// refilling is true while those are being fetched.
	refilling bool
}

// window has the events of a group that are in memory, by lanes. It is plain data under the lock of its group.
//
// Invariants: a lane has loaded or skipped events, or a running head. All events of a lane below skipped were loaded, and none from skipped up
// to the cursor of the pump. Room that an event takes is given back when its end is recorded.
type window struct {
	limit  int
	used   int
	loaded int // events in queues
	lanes  map[laneKey]*lane

	ready     []*lane
	waiting   dueHeap
	refilling []*lane
}

func newWindow(limit int) window { return window{limit: limit, lanes: map[laneKey]*lane{}} }

func (w *window) full() bool { return w.used >= w.limit }

// offer takes an event at the cursor, or notes that it was left in the outbox. It is false, and nothing has happened, when the window is full.
func (w *window) offer(e *record.Event) bool {
	if w.full() {
		return false
	}
	key := keyOf(e)
	l := w.lanes[key]
	if l == nil {
		l = &lane{key: key}
		w.lanes[key] = l
	}
	switch {
	case l.skipped != 0:
		l.left++
	case w.fits(l, e):
		w.load(l, e)
	default:
		l.skipped, l.left = e.GetSeq(), 1
	}
	return true
}

// fits reports whether a lane may load one more event: always one, and beyond that an eighth of the room that is left.
func (w *window) fits(l *lane, e *record.Event) bool {
	return len(l.queue) == 0 || l.cost+costOf(e) <= (w.limit-w.used)/share
}

func (w *window) load(l *lane, e *record.Event) {
	cost := costOf(e)
	l.queue = append(l.queue, e)
	l.cost += cost
	w.used += cost
	w.loaded++
	if l.state == idle {
		w.makeReady(l)
	}
}

func (w *window) makeReady(l *lane) {
	l.state = ready
	w.ready = append(w.ready, l)
}

// take gives the lane that has been ready for the longest time.
func (w *window) take() *lane {
	if len(w.ready) == 0 {
		return nil
	}
	l := w.ready[0]
	w.ready[0] = nil
	w.ready = w.ready[1:]
	l.state = running
	return l
}

// advance drops the head of a running lane, whose delivery has ended.
func (w *window) advance(l *lane) {
	l.cost -= costOf(l.queue[0])
	l.queue[0] = nil
	l.queue = l.queue[1:]
	l.attempts = 0
	w.loaded--
	if l.skipped != 0 && !l.refilling && 2*l.cost <= (w.limit-w.used)/share {
		l.refilling = true
		w.refilling = append(w.refilling, l)
	}
	switch {
	case len(l.queue) > 0:
		w.makeReady(l)
	case l.skipped != 0:
		l.state = idle
	default:
		delete(w.lanes, l.key)
	}
}

// postpone makes a running lane wait until its head is due again.
func (w *window) postpone(l *lane, due time.Time) {
	l.state, l.due = waiting, due
	heap.Push(&w.waiting, l)
}

// promote makes the lanes ready that are due, and gives the time of the next one, zero if there is none.
func (w *window) promote(now time.Time) time.Time {
	for len(w.waiting) > 0 {
		l := w.waiting[0]
		if l.due.After(now) {
			return l.due
		}
		heap.Pop(&w.waiting)
		w.makeReady(l)
	}
	return time.Time{}
}

// refillFrom gives the first number that a refilling lane wants; ok is false when none does.
func (w *window) refillFrom() (seq uint64, ok bool) {
	for _, l := range w.refilling {
		if !ok || l.skipped < seq {
			seq, ok = l.skipped, true
		}
	}
	return seq, ok
}

// refill loads skipped events that were read again, from the number that refillFrom gave. The lanes of others, lanes that have come to want
// earlier events during the read, and events beyond the cursor are not touched. more is false when the read reached the end of the outbox.
func (w *window) refill(from uint64, events []*record.Event, cursor uint64, more bool) {
	last := cursor
	if more {
		last = min(cursor, events[len(events)-1].GetSeq())
	}
	for _, e := range events {
		if e.GetSeq() > cursor {
			break
		}
		l := w.lanes[keyOf(e)]
		if l == nil || !l.refilling || l.skipped < from || l.skipped > e.GetSeq() {
			continue
		}
		if w.full() {
			last = e.GetSeq() - 1
			break
		}
		if !w.fits(l, e) {
			l.skipped, l.refilling = e.GetSeq(), false
			continue
		}
		w.load(l, e)
		l.left--
		l.skipped = e.GetSeq() + 1
	}
	w.endRefill(from, last, cursor)
}

// endRefill notes that everything between from and last was looked at, and lets go of the lanes that are done.
func (w *window) endRefill(from, last, cursor uint64) {
	rest := w.refilling[:0]
	for _, l := range w.refilling {
		if !l.refilling {
			continue
		}
		if l.skipped >= from {
			l.skipped = max(l.skipped, last+1)
		}
		if l.left > 0 && l.skipped <= cursor {
			rest = append(rest, l)
			continue
		}
		l.refilling, l.skipped, l.left = false, 0, 0
		if l.state == idle {
			delete(w.lanes, l.key)
		}
	}
	clear(w.refilling[len(rest):])
	w.refilling = rest
}

// oldest gives the time of the oldest event that has not been delivered, 0 if there is none.
func (w *window) oldest() int64 {
	oldest := int64(0)
	for _, l := range w.lanes {
		if len(l.queue) > 0 && (oldest == 0 || l.queue[0].GetTime() < oldest) {
			oldest = l.queue[0].GetTime()
		}
	}
	return oldest
}

// dueHeap has the waiting lanes, the next due one first.
type dueHeap []*lane

func (h dueHeap) Len() int           { return len(h) }
func (h dueHeap) Less(i, j int) bool { return h[i].due.Before(h[j].due) }
func (h dueHeap) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }

// Push implements heap.Interface.
func (h *dueHeap) Push(x any) { *h = append(*h, x.(*lane)) }

// Pop implements heap.Interface.
func (h *dueHeap) Pop() any {
	last := len(*h) - 1
	l := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return l
}
