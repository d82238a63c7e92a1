// Package mailbox decides who may change an object, and when: methods one at a time, writes from outside beside each other, both in the
// order in which they came. A call that comes back to an object whose turn its chain holds runs inside that turn.
//
// Guarantee: while a method has its turn, nobody changes the object but calls of its own chain; nobody is overtaken; nobody waits longer
// than its context; calls that wait for each other in a circle are refused instead of waiting; an object that nobody uses takes no memory.
//
// Locks: circles.mu before stripe.mu; registry locks are taken alone. Nothing is called back while one of them is held, except
// Config.LimitOf.
package mailbox

import (
	"context"
	"hash/maphash"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// DefaultLimit is how many may wait for one object.
const DefaultLimit = 64

// retryAfter is what the refused are told to wait: the shortest time that the Retry-After header can say.
const retryAfter = time.Second

// Config says how mailboxes behave. The zero value is usable.
type Config struct {
	// Limit is how many may wait for one object, and how many inside one turn; 0 means DefaultLimit.
	Limit int
	// LimitOf, if set, gives the limit of a class; 0 means Limit. It is asked with locks held: it must return at once.
	LimitOf func(class string) int
	// Local tells whether calls on an object run in this process, so that a call of a chain which is not running here has ended.
	// If not set, every object is local.
	Local func(object.Ref) bool
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
}

// Boxes are the mailboxes of all objects of a process.
type Boxes struct {
	limit   int
	limitOf func(string) int
	local   func(object.Ref) bool
	metrics *metrics
	seed    maphash.Seed
	stripes [stripes]stripe
	calls   registry
	circles circles
}

const stripes = 64

// stripe is a part of the objects under one lock, which guards their boxes, gates and turns.
type stripe struct {
	mu    sync.Mutex
	boxes map[object.Ref]*box
	spare []*box   // empty boxes to use again: a box lives as long as one write
	_     [32]byte // keeps the locks of neighbours on different cache lines
}

// box is the mailbox of one object that is in use.
type box struct {
	ref    object.Ref
	stripe *stripe
	root   gate
}

// New makes mailboxes.
func New(cfg Config) *Boxes {
	b := &Boxes{limit: cfg.Limit, limitOf: cfg.LimitOf, local: cfg.Local, metrics: newMetrics(cfg.Registerer), seed: maphash.MakeSeed()}
	if b.limit <= 0 {
		b.limit = DefaultLimit
	}
	if b.local == nil {
		b.local = func(object.Ref) bool { return true }
	}
	for i := range b.stripes {
		b.stripes[i].boxes = map[object.Ref]*box{}
	}
	b.calls.init()
	b.circles.byCall = map[string][]*waiter{}
	return b
}

// Write waits for a turn that is shared with other writes, for a change of the object that is not made by a method's answer. Chain has
// the running calls on whose behalf the write is made: if one of them has the object's turn, the write runs inside that turn.
//
// The caller ends the turn with Done when the write is committed or given up for certain, not before.
func (b *Boxes) Write(ctx context.Context, ref object.Ref, chain call.Chain) (*Turn, error) {
	return b.enter(ctx, &Turn{boxes: b}, ref, chain.Plain())
}

// Run waits for a turn that is alone, for a method of the object. CallID names the running call in the chains of the calls that it makes;
// it must be unique and hard to guess. If a call of chain has the object's turn, the method runs inside that turn.
func (b *Boxes) Run(ctx context.Context, ref object.Ref, method, callID string, chain call.Chain) (*Turn, error) {
	if err := checkLength(ref, method, chain); err != nil {
		b.metrics.rejected(reasonLoop)
		return nil, err
	}
	hop := call.Hop{Ref: ref, Method: method, Call: callID}
	made := &struct { // one piece of memory for both
		turn   Turn
		inside inside
	}{turn: Turn{boxes: b, hop: hop}}
	made.turn.inside = &made.inside
	t, err := b.enter(ctx, &made.turn, ref, chain.Plain())
	if err != nil {
		return nil, err
	}
	b.calls.add(t)
	return t, nil
}

// Beside begins a call that needs no turn, because it does not change the object itself (a readonly method, a stateless function, a function
// container, whose writes take turns of their own). It never waits;
// until Done, calls that have it in their chain are known to be made by a running one.
func (b *Boxes) Beside(ref object.Ref, method, callID string, chain call.Chain) (*Turn, error) {
	if err := checkLength(ref, method, chain); err != nil {
		b.metrics.rejected(reasonLoop)
		return nil, err
	}
	if _, err := b.verify(ref, chain.Plain()); err != nil {
		return nil, err
	}
	t := &Turn{boxes: b, hop: call.Hop{Ref: ref, Method: method, Call: callID}}
	b.calls.add(t)
	return t, nil
}

// enter has t admitted to the object's gate, or to that of the turn which the chain holds.
func (b *Boxes) enter(ctx context.Context, t *Turn, ref object.Ref, chain call.Chain) (*Turn, error) {
	outer, err := b.verify(ref, chain)
	if err != nil {
		return nil, err
	}
	s := b.stripe(ref)
	s.mu.Lock()
	if parent := outer.turn; parent != nil {
		if parent.over || parent.inside.sealed || parent.hop != outer.hop {
			s.mu.Unlock()
			return nil, b.stale(outer.hop)
		}
		t.parent, t.box, t.in = parent, parent.box, &parent.inside.gate
	} else {
		t.box = s.open(ref)
		t.in = &t.box.root
	}
	if t.in.first == nil && t.in.admits(t) {
		t.in.admit(t)
		s.mu.Unlock()
		return t, nil
	}
	if limit := b.limitFor(ref.Class); t.in.waiting >= limit {
		s.mu.Unlock()
		b.metrics.rejected(reasonBusy)
		busy := fault.New(fault.Busy, "object %s is busy: %d calls wait for it already; try again later", ref, limit)
		busy.RetryAfter = retryAfter
		return nil, busy
	}
	w := &waiter{turn: t, chain: chain, ready: make(chan error, 1)}
	t.in.push(w)
	s.mu.Unlock()
	return b.wait(ctx, w, ref)
}

// wait returns when w has been admitted, refused, or out of time.
func (b *Boxes) wait(ctx context.Context, w *waiter, ref object.Ref) (*Turn, error) {
	begun := time.Now()
	b.metrics.waiting.Inc()
	defer func() {
		b.metrics.waiting.Dec()
		b.metrics.seconds.Observe(time.Since(begun).Seconds())
	}()
	if len(w.chain) > 0 {
		path := b.circles.add(w)
		defer b.circles.remove(w)
		if path != nil && w.leave() {
			b.metrics.rejected(reasonLoop)
			return nil, fault.New(fault.LoopDetected, "calls wait for each other in a circle: %s", path.Path())
		}
	}
	select {
	case err := <-w.ready:
		if err != nil {
			b.metrics.rejected(reasonStale)
			return nil, err
		}
	case <-ctx.Done():
		if !w.leave() && <-w.ready == nil {
			w.turn.Done() // admitted in the same moment
		}
		b.metrics.rejected(reasonDeadline)
		return nil, outOfTime(ctx, ref)
	}
	// Who was called on behalf of a call that ended in the meantime must not begin.
	if _, err := b.verify(ref, w.chain); err != nil {
		w.turn.Done()
		return nil, err
	}
	return w.turn, nil
}

func outOfTime(ctx context.Context, ref object.Ref) error {
	code := fault.CodeOf(ctx.Err())
	return fault.Wrap(code, context.Cause(ctx), "wait for the turn of object %s", ref)
}

func (b *Boxes) limitFor(class string) int {
	if b.limitOf != nil {
		if limit := b.limitOf(class); limit > 0 {
			return limit
		}
	}
	return b.limit
}

func (b *Boxes) stripe(ref object.Ref) *stripe {
	return &b.stripes[maphash.String(b.seed, ref.ID)%stripes]
}

// open gives the box of an object, which it makes if nobody uses the object. The stripe is locked.
func (s *stripe) open(ref object.Ref) *box {
	bx := s.boxes[ref]
	if bx != nil {
		return bx
	}
	if last := len(s.spare) - 1; last >= 0 {
		bx, s.spare = s.spare[last], s.spare[:last]
	} else {
		bx = &box{stripe: s}
	}
	bx.ref = ref
	s.boxes[ref] = bx
	return bx
}

// maxSpare bounds the memory that empty boxes take.
const maxSpare = 16

// drop forgets a box that nobody uses. The stripe is locked.
func (s *stripe) drop(bx *box) {
	delete(s.boxes, bx.ref)
	if len(s.spare) < maxSpare {
		bx.ref = object.Ref{}
		s.spare = append(s.spare, bx)
	}
}

// used counts the objects that have a box; tests use it.
func (b *Boxes) used() int {
	n := 0
	for i := range b.stripes {
		s := &b.stripes[i]
		s.mu.Lock()
		n += len(s.boxes)
		s.mu.Unlock()
	}
	return n
}
