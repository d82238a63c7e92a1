package mailbox

import (
	"context"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// Turn is the permission to change an object, until Done. Its methods may be called by several goroutines.
type Turn struct {
	boxes  *Boxes
	box    *box     // nil for a call beside the mailbox
	in     *gate    // the gate that the turn holds
	parent *Turn    // the turn that this one runs inside of, or nil
	hop    call.Hop // zero for a write
	inside *inside  // nil for turns that share, and beside the mailbox
	over   bool

	same *Turn // next turn with the same call id in the registry
}

// inside is what happens within the turn of a method: calls of its chain that came back.
type inside struct {
	gate    gate
	sealed  bool            // nobody else may come in
	drained chan struct{}   // closed when the last one has left; nil if nobody waits for that
	wrote   map[string]bool // entries that were committed within
	deleted bool            // the object was deleted within
}

// Inner reports whether the turn runs inside another one.
func (t *Turn) Inner() bool { return t.parent != nil }

// Seal ends the time in which calls may come back into the turn: those who wait are refused as stale, like those who come later, and those who
// run are waited for. After it, Conflicts has the final word. A turn of a write has no inside: nothing happens.
func (t *Turn) Seal(ctx context.Context) error {
	if t.inside == nil {
		return nil
	}
	s := t.box.stripe
	s.mu.Lock()
	t.seal()
	if !t.inside.gate.held() {
		s.mu.Unlock()
		return nil
	}
	if t.inside.drained == nil {
		t.inside.drained = make(chan struct{})
	}
	drained := t.inside.drained
	s.mu.Unlock()
	select {
	case <-drained:
		return nil
	case <-ctx.Done():
		return fault.Wrap(fault.CodeOf(ctx.Err()), context.Cause(ctx), "wait for calls that came back to object %s", t.hop.Ref)
	}
}

func (t *Turn) seal() {
	t.inside.sealed = true
	t.inside.gate.refuse(func() error { return staleCall(t.hop) })
}

// Renew prepares the turn of a method for another attempt, which sees what was committed within the former one: it waits until calls that came
// back have left, forgets what they wrote, and lets calls in again that name callID. Those that name the former id are stale.
func (t *Turn) Renew(ctx context.Context, callID string) error {
	if t.inside != nil {
		if err := t.Seal(ctx); err != nil {
			return err
		}
	}
	t.boxes.calls.remove(t)
	if t.inside == nil {
		t.hop.Call = callID
	} else {
		s := t.box.stripe
		s.mu.Lock()
		t.hop.Call = callID
		*t.inside = inside{sealed: t.over}
		s.mu.Unlock()
	}
	t.boxes.calls.add(t)
	return nil
}

// Wrote records that this turn has committed a change of these entries, or has deleted the object: the methods inside whose turns it runs have
// not seen that.
func (t *Turn) Wrote(keys []string, deletedObject bool) {
	if t.parent == nil {
		return
	}
	s := t.box.stripe
	s.mu.Lock()
	defer s.mu.Unlock()
	for outer := t.parent; outer != nil; outer = outer.parent {
		in := outer.inside
		in.deleted = in.deleted || deletedObject
		if in.wrote == nil {
			in.wrote = make(map[string]bool, len(keys))
		}
		for _, key := range keys {
			in.wrote[key] = true
		}
	}
}

// Conflicts gives a Conflict fault when a call that came back into this turn has committed a change of one of these entries, or has deleted the
// object. Seal the turn first.
func (t *Turn) Conflicts(keys []string) error {
	if t.inside == nil || len(keys) == 0 {
		return nil
	}
	s := t.box.stripe
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.inside.deleted {
		return fault.New(fault.Conflict, "%s/%s: a call that it made has deleted the object, which it writes itself; nothing of it was changed",
			t.hop.Ref, t.hop.Method)
	}
	for _, key := range keys {
		if t.inside.wrote[key] {
			return fault.New(fault.Conflict,
				"%s/%s: a call that it made has changed entry %q, which it writes itself without having seen that; nothing of it was changed",
				t.hop.Ref, t.hop.Method, key)
		}
	}
	return nil
}

// Done ends the turn; those who wait come next. Calls that run inside it are not stopped: the next turn begins when they have ended too.
// Calling it again does nothing.
func (t *Turn) Done() {
	if t.hop.Call != "" {
		t.boxes.calls.remove(t)
	}
	if t.box == nil {
		return
	}
	s := t.box.stripe
	s.mu.Lock()
	defer s.mu.Unlock()
	if t.over {
		return
	}
	t.over = true
	if t.inside != nil {
		t.seal()
		if t.inside.gate.held() {
			return // the last call inside releases the turn
		}
	}
	t.release()
}

// release gives the gate back.
func (t *Turn) release() {
	if t.inside == nil {
		t.in.shared--
	} else {
		t.in.alone = nil
	}
	t.settle()
}

// settle admits who comes next at the gate of t. A gate that nobody uses any more ends what it belongs to: the box of the object, or a turn that
// was over but for the calls inside it.
func (t *Turn) settle() {
	t.in.next()
	if t.in.held() || t.in.first != nil {
		return
	}
	if t.parent == nil {
		t.box.stripe.drop(t.box)
		return
	}
	if drained := t.parent.inside.drained; drained != nil {
		close(drained)
		t.parent.inside.drained = nil
	}
	if t.parent.over {
		t.parent.release()
	}
}
