package mailbox

import (
	"hash/maphash"
	"sync"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// holder is a running method that has the turn of an object, with the name that the chain has for it.
type holder struct {
	turn *Turn // nil: none
	hop  call.Hop
}

// verify checks that the calls of a chain are running, and gives the innermost one that has the turn of ref.
func (b *Boxes) verify(ref object.Ref, chain call.Chain) (holder, error) {
	var found holder
	for _, hop := range chain {
		t := b.calls.find(hop)
		switch {
		case t == nil && b.local(hop.Ref):
			return holder{}, b.stale(hop)
		case t != nil && t.inside != nil && hop.Ref == ref:
			found = holder{t, hop}
		}
	}
	return found, nil
}

// Running gives a StaleCall fault for a call of this process that is not running.
func (b *Boxes) Running(hop call.Hop) error {
	hop.Proof = ""
	if b.calls.find(hop) == nil && b.local(hop.Ref) {
		return b.stale(hop)
	}
	return nil
}

func (b *Boxes) stale(hop call.Hop) error {
	b.metrics.rejected(reasonStale)
	return staleCall(hop)
}

func staleCall(hop call.Hop) error {
	return fault.New(fault.StaleCall, "the call of %s/%s that this call was made for has ended", hop.Ref, hop.Method)
}

func checkLength(ref object.Ref, method string, chain call.Chain) error {
	if len(chain) < call.MaxChain {
		return nil
	}
	path := chain.With(call.Hop{Ref: ref, Method: method}).Path()
	return fault.New(fault.LoopDetected, "a chain of calls may have %d calls, this one has more: %s", call.MaxChain, path)
}

// registry finds running calls by their id. Ids are meant to be unique; should two calls have the same, both are found.
type registry struct {
	seed  maphash.Seed
	parts [stripes]registryPart
}

// registryPart has some of the ids under one lock; turns with the same id are linked by Turn.same.
type registryPart struct {
	mu    sync.Mutex
	turns map[string]*Turn
	_     [48]byte // keeps the locks of neighbours on different cache lines
}

func (r *registry) init() {
	r.seed = maphash.MakeSeed()
	for i := range r.parts {
		r.parts[i].turns = map[string]*Turn{}
	}
}

func (r *registry) part(callID string) *registryPart {
	return &r.parts[maphash.String(r.seed, callID)%stripes]
}

func (r *registry) add(t *Turn) {
	p := r.part(t.hop.Call)
	p.mu.Lock()
	defer p.mu.Unlock()
	t.same = p.turns[t.hop.Call]
	p.turns[t.hop.Call] = t
}

// remove does nothing when t is not registered.
func (r *registry) remove(t *Turn) {
	p := r.part(t.hop.Call)
	p.mu.Lock()
	defer p.mu.Unlock()
	head := p.turns[t.hop.Call]
	if head == t {
		if t.same == nil {
			delete(p.turns, t.hop.Call)
		} else {
			p.turns[t.hop.Call] = t.same
		}
		return
	}
	for ; head != nil; head = head.same {
		if head.same == t {
			head.same = t.same
			return
		}
	}
}

func (r *registry) find(hop call.Hop) *Turn {
	p := r.part(hop.Call)
	p.mu.Lock()
	defer p.mu.Unlock()
	for t := p.turns[hop.Call]; t != nil; t = t.same {
		if t.hop == hop {
			return t
		}
	}
	return nil
}
