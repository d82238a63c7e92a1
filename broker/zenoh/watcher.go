package zenoh

import (
	"context"
	"fmt"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// LivelinessSubscriberOptions are what a liveliness subscriber may want; nil is the defaults.
type LivelinessSubscriberOptions struct {
	History bool // get the tokens that are there already
}

// LivelinessSubscriber gets a put for each token that appears, and a delete for each that is gone. What happened while there was no
// connection is told after it is back.
type LivelinessSubscriber struct {
	w       *watcher
	channel <-chan Sample
}

// watcher is the state of a liveliness subscriber. All but the sink is under Session.mu.
//
// It always asks for what is there already, as it has to know what it was not told: only then does it know what is new after a connection
// was lost, and which tokens can end.
type watcher struct {
	s       *Session
	id      uint32 // of the interest
	key     KeyExpr
	history bool
	sink    sink[Sample]
	seen    map[KeyExpr]bool // tokens that are there, as far as was told; false if not said again since the connection was lost
	resync  bool             // a connection was lost, and what is there now is not known yet
}

func (w *watcher) entity() (uint32, KeyExpr) { return w.id, w.key }

// notice is something for a watcher, to be handed over without a lock held.
type notice struct {
	w    *watcher
	key  KeyExpr
	kind SampleKind
}

// tell hands notices over.
func (s *Session) tell(list []notice) {
	for _, n := range list {
		n.w.sink.push(&Sample{key: n.key, kind: n.kind})
	}
}

// DeclareSubscriber makes the handler get tokens whose key expression intersects.
func (l Liveliness) DeclareSubscriber(
	ctx context.Context, key KeyExpr, handler Handler[Sample], o *LivelinessSubscriberOptions,
) (*LivelinessSubscriber, error) {
	s := l.s
	w := &watcher{s: s, id: s.newID(), key: key, history: o != nil && o.History, seen: make(map[KeyExpr]bool)}
	b := &LivelinessSubscriber{w: w}
	s.mu.Lock()
	if err := s.declarable(key); err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("declare liveliness subscriber on %s: %w", key, err)
	}
	w.sink, b.channel = open(s, handler, sinkOptions[Sample]{})
	s.watchers.add(w)
	var known []notice
	for token := range s.alive {
		if token.Intersects(key) {
			w.seen[token] = true
			known = append(known, notice{w: w, key: token})
		}
	}
	faces := *s.faces.Load()
	s.mu.Unlock()
	if w.history {
		s.tell(known)
	}
	if err := ask(ctx, faces, w.interest()); err != nil {
		_ = b.Undeclare(context.WithoutCancel(ctx)) // the error is why it never was
		return nil, fmt.Errorf("declare liveliness subscriber on %s: %w", key, err)
	}
	return b, nil
}

func (w *watcher) interest() wire.Network {
	return &wire.Interest{
		ID: w.id, Mode: wire.InterestCurrentFuture, Options: wire.InterestTokens, Restricted: true, QoS: wire.QoSDeclare,
		Key: wire.WireExpr{Suffix: bytesOf(w.key.String())},
	}
}

// KeyExpr gives the key expression.
func (b *LivelinessSubscriber) KeyExpr() KeyExpr { return b.w.key }

// Handler gives the channel of the handler, which is closed at the end, or nil for a closure.
func (b *LivelinessSubscriber) Handler() <-chan Sample { return b.channel }

// Dropped gives the number of samples that were discarded because the handler was too slow.
func (b *LivelinessSubscriber) Dropped() uint64 { return b.w.sink.dropped() }

// Undeclare ends the subscriber. It may be called again.
func (b *LivelinessSubscriber) Undeclare(ctx context.Context) error {
	w, s := b.w, b.w.s
	s.mu.Lock()
	found := s.watchers.remove(w)
	faces := *s.faces.Load()
	if found {
		for _, f := range faces {
			f.forgetTokens(w)
		}
	}
	s.mu.Unlock()
	w.sink.close(true)
	if !found {
		return nil
	}
	return ask(ctx, faces, &wire.Interest{ID: w.id, QoS: wire.QoSDeclare})
}

// Drop is Undeclare that waits for nobody.
func (b *LivelinessSubscriber) Drop() { _ = b.Undeclare(b.w.s.ctx) }

// forgetTokens forgets those of which nobody will tell the end, as nobody watches. It is called with the lock held.
func (f *face) forgetTokens(w *watcher) {
	delete(f.finals, w.id)
	if !f.asks {
		return
	}
	for id, key := range f.tokens {
		if key.Intersects(w.key) && !f.s.watchers.any(key) {
			delete(f.tokens, id)
			f.s.countToken(key, -1)
		}
	}
}

// tokenUp takes note of a token of another node: the answer to a get, or to the interest of a watcher, or a new one.
func (f *face) tokenUp(m *wire.Declare, key KeyExpr) error {
	s := f.s
	if m.Answer {
		if q := s.queries.findInterest(m.InterestID); q != nil {
			q.reply(&Reply{sample: Sample{key: key}})
			return nil
		}
	}
	s.mu.Lock()
	var news []notice
	if f.tokens[m.ID] != key {
		if len(f.tokens) >= maxRemote {
			s.mu.Unlock()
			return fmt.Errorf("%w: more than %d tokens", ErrTooMany, maxRemote)
		}
		if old := f.tokens[m.ID]; !old.IsZero() {
			news = s.countToken(old, -1)
		}
		f.tokens[m.ID] = key
		s.alive[key]++
	}
	if w := s.watchers.byID[m.InterestID]; m.Answer && m.InterestID != 0 {
		if w != nil {
			news = append(news, w.up(key, w.history || w.resync)...)
		}
	} else {
		for w := range s.watchers.matching(key) {
			news = append(news, w.up(key, true)...)
		}
	}
	s.mu.Unlock()
	s.tell(news)
	return nil
}

// up takes note of a token, and gives what is to be told.
func (w *watcher) up(key KeyExpr, tell bool) []notice {
	_, known := w.seen[key]
	w.seen[key] = true
	if known || !tell {
		return nil
	}
	return []notice{{w, key, SampleKindPut}}
}

// tokenDown takes note of the end of a token. One that was told of before this session asked has the key with it.
func (f *face) tokenDown(id uint32, key KeyExpr) {
	s := f.s
	s.mu.Lock()
	var news []notice
	if known := f.tokens[id]; known.IsZero() {
		for other, k := range f.tokens {
			if k == key {
				id = other
			}
		}
	}
	if known := f.tokens[id]; !known.IsZero() {
		delete(f.tokens, id)
		news = s.countToken(known, -1)
	} else if s.alive[key] == 0 {
		for w := range s.watchers.matching(key) {
			delete(w.seen, key)
			news = append(news, notice{w, key, SampleKindDelete})
		}
	}
	s.mu.Unlock()
	s.tell(news)
}

// countToken takes note that one more, or one less, has declared a token, and gives what watchers are to be told. It is called with the lock
// of the session held.
func (s *Session) countToken(key KeyExpr, change int) (news []notice) {
	s.alive[key] += change
	if s.alive[key] > 0 {
		if change > 0 {
			for w := range s.watchers.matching(key) {
				news = append(news, w.up(key, true)...)
			}
		}
		return news
	}
	delete(s.alive, key)
	for w := range s.watchers.matching(key) {
		if _, seen := w.seen[key]; seen {
			delete(w.seen, key)
			news = append(news, notice{w, key, SampleKindDelete})
		}
	}
	return news
}

// doubt takes note that a connection on which tokens are asked for was lost: nobody tells what happens from now on. It is called with the
// lock of the session held.
func (s *Session) doubt(f *face) {
	for _, key := range f.tokens {
		if s.alive[key]--; s.alive[key] > 0 {
			continue
		}
		delete(s.alive, key)
		for w := range s.watchers.matching(key) {
			if _, seen := w.seen[key]; seen {
				w.seen[key] = false
			}
		}
	}
	for _, w := range s.watchers.byID {
		w.resync = true
	}
}

// resynced is called when all tokens that are there were told. What was not among them is gone.
func (w *watcher) resynced() {
	w.s.mu.Lock()
	var news []notice
	for key, sure := range w.seen {
		if w.resync && !sure {
			delete(w.seen, key)
			news = append(news, notice{w, key, SampleKindDelete})
		}
	}
	w.resync = false
	w.s.mu.Unlock()
	w.s.tell(news)
}
