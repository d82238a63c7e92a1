package mailbox

import "github.com/hpcclab/oaas-go/odgm/call"

// gate admits turns in the order in which they came: any number that share, or one that is alone. An object has one; so has each turn of a
// method, for the calls that come back into it. The lock of the object's stripe guards it.
type gate struct {
	alone       *Turn // the turn that is alone, or nil
	shared      int   // turns that share
	first, last *waiter
	waiting     int
}

// waiter is a turn that is not admitted yet.
type waiter struct {
	turn       *Turn
	chain      call.Chain
	next, prev *waiter
	queued     bool
	ready      chan error // gets nil on admission, or the reason of a refusal; holds one
}

// admits reports whether the holders of the gate leave room for t. Who waits comes first: the caller looks at that.
func (g *gate) admits(t *Turn) bool {
	return g.alone == nil && (g.shared == 0 || t.inside == nil)
}

func (g *gate) admit(t *Turn) {
	if t.inside == nil {
		g.shared++
	} else {
		g.alone = t
	}
}

// held reports whether a turn holds the gate.
func (g *gate) held() bool { return g.alone != nil || g.shared > 0 }

func (g *gate) push(w *waiter) {
	w.queued = true
	w.prev = g.last
	if g.last == nil {
		g.first = w
	} else {
		g.last.next = w
	}
	g.last = w
	g.waiting++
}

func (g *gate) remove(w *waiter) {
	if w.prev == nil {
		g.first = w.next
	} else {
		w.prev.next = w.next
	}
	if w.next == nil {
		g.last = w.prev
	} else {
		w.next.prev = w.prev
	}
	w.next, w.prev, w.queued = nil, nil, false
	g.waiting--
}

// next admits as many of those who wait as there is room for, first come first served.
func (g *gate) next() {
	for w := g.first; w != nil && g.admits(w.turn); w = g.first {
		g.remove(w)
		g.admit(w.turn)
		w.ready <- nil
	}
}

// refuse sends everybody who waits away.
func (g *gate) refuse(reason func() error) {
	for w := g.first; w != nil; w = g.first {
		g.remove(w)
		w.ready <- reason()
	}
}

// leave takes w out of the queue. It gives false when w has been admitted or refused before: then ready has the answer.
func (w *waiter) leave() bool {
	s := w.turn.box.stripe
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.queued {
		return false
	}
	w.turn.in.remove(w)
	w.turn.settle() // those behind w may fit where w did not
	return true
}

// blocker gives the running method that w waits for; found is false when w waits for none (any more).
func (w *waiter) blocker() (hop call.Hop, found bool) {
	s := w.turn.box.stripe
	s.mu.Lock()
	defer s.mu.Unlock()
	if !w.queued || w.turn.in.alone == nil {
		return call.Hop{}, false
	}
	return w.turn.in.alone.hop, true
}
