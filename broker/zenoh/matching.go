package zenoh

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// MatchingStatus tells whether there is somebody for a publisher or querier.
type MatchingStatus struct{ Matching bool }

// matcher is what publishers and queriers share: the interest in who there is for them.
type matcher struct {
	s           *Session
	id          uint32 // of the interest
	key         KeyExpr
	kind        wire.InterestOptions // subscribers or queryables
	complete    bool                 // only complete queryables count
	destination Locality
	ended       atomic.Bool

	mu        sync.Mutex // taken before Session.mu
	listeners []*MatchingListener
	last      bool
}

func (m *matcher) entity() (uint32, KeyExpr) { return m.id, m.key }

// declare makes the matcher known.
func (m *matcher) declare(ctx context.Context) error {
	s := m.s
	s.mu.Lock()
	if err := s.declarable(m.key); err != nil {
		s.mu.Unlock()
		return err
	}
	s.matchers.add(m)
	faces := *s.faces.Load()
	s.mu.Unlock()
	interest := m.interest()
	if interest == nil {
		return nil
	}
	if err := ask(ctx, faces, interest); err != nil {
		_ = m.undeclare(context.WithoutCancel(ctx)) // the error is why it never was
		return err
	}
	return nil
}

// interest is what those who have to be asked are asked, or nil.
func (m *matcher) interest() wire.Network {
	if m.destination == LocalitySessionLocal {
		return nil
	}
	return &wire.Interest{
		ID: m.id, Mode: wire.InterestCurrentFuture, Options: m.kind | wire.InterestAggregate, Restricted: true,
		Key: wire.WireExpr{Suffix: bytesOf(m.key.String())}, QoS: wire.QoSDeclare,
	}
}

func (m *matcher) undeclare(ctx context.Context) error {
	s := m.s
	s.mu.Lock()
	found := s.matchers.remove(m)
	faces := *s.faces.Load()
	if found {
		for _, f := range faces {
			f.forgetInterest(m)
		}
		s.version.Add(1)
	}
	s.mu.Unlock()
	m.closeListeners()
	if !found || m.destination == LocalitySessionLocal {
		return nil
	}
	return ask(ctx, faces, &wire.Interest{ID: m.id, QoS: wire.QoSDeclare})
}

// forgetInterest forgets what was declared only because of an interest: nobody will tell when it ends. It is called with the lock of the
// session held.
func (f *face) forgetInterest(m *matcher) {
	delete(f.finals, m.id)
	if !f.asks {
		return
	}
	table := &f.subscribers
	if m.kind == wire.InterestQueryables {
		table = &f.queryables
	}
	for r := range table.matching(m.key) {
		others := slices.ContainsFunc(slices.Collect(f.s.matchers.matching(r.key)), func(o *matcher) bool { return o.kind == m.kind })
		if !others {
			defer table.remove(r) // not while ranging over the table
		}
	}
}

// wants tells whether something for the key is to be sent to the node: it has somebody who matches, or it may have. It is called with the
// lock of the session held.
func (f *face) wants(table *entities[*remote], m *matcher, key KeyExpr) bool {
	known := f.initial
	if f.asks {
		known = false
		if m != nil {
			_, known = f.finals[m.id]
		}
	}
	return !known || table.any(key)
}

// MatchingStatus tells whether there is somebody now, in this session or behind a node that told of it.
func (m *matcher) MatchingStatus() MatchingStatus {
	m.s.mu.RLock()
	defer m.s.mu.RUnlock()
	return MatchingStatus{m.matches()}
}

// matches is called with the lock of the session held.
func (m *matcher) matches() bool {
	if m.kind == wire.InterestQueryables {
		return m.matchesQueryable()
	}
	if m.destination != LocalityRemote && len(m.s.subscribersOf(m.key, true)) > 0 {
		return true
	}
	return m.destination != LocalitySessionLocal && slices.ContainsFunc(*m.s.faces.Load(), func(f *face) bool { return f.subscribers.any(m.key) })
}

func (m *matcher) matchesQueryable() bool {
	counts := func(complete bool, key KeyExpr) bool { return !m.complete || complete && key.Includes(m.key) }
	if m.destination != LocalityRemote {
		for q := range m.s.queryables.matching(m.key) {
			if q.o.AllowedOrigin.from(true) && counts(q.o.Complete, q.key) {
				return true
			}
		}
	}
	if m.destination == LocalitySessionLocal {
		return false
	}
	for _, f := range *m.s.faces.Load() {
		for r := range f.queryables.matching(m.key) {
			if counts(r.info.Complete, r.key) {
				return true
			}
		}
	}
	return false
}

// MatchingListener hears when the matching status changes.
type MatchingListener struct {
	m       *matcher
	sink    sink[MatchingStatus]
	channel <-chan MatchingStatus
}

// DeclareMatchingListener makes the handler get the status when it changes, and at once if somebody is there already.
func (m *matcher) DeclareMatchingListener(handler Handler[MatchingStatus]) (*MatchingListener, error) {
	l := &MatchingListener{m: m}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.s.mu.RLock()
	_, declared := m.s.matchers.byID[m.id]
	now := declared && m.matches()
	m.s.mu.RUnlock()
	if !declared {
		return nil, ErrUndeclared
	}
	m.update(now)
	l.sink, l.channel = open(m.s, handler, sinkOptions[MatchingStatus]{})
	m.listeners = append(m.listeners, l)
	if now {
		l.sink.push(&MatchingStatus{true})
	}
	return l, nil
}

// Handler gives the channel of the handler, or nil for a closure.
func (l *MatchingListener) Handler() <-chan MatchingStatus { return l.channel }

// Undeclare ends the listener. It may be called again.
func (l *MatchingListener) Undeclare() error {
	l.m.mu.Lock()
	l.m.listeners = slices.DeleteFunc(l.m.listeners, func(o *MatchingListener) bool { return o == l })
	l.m.mu.Unlock()
	l.sink.close(true)
	return nil
}

func (m *matcher) closeListeners() {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, l := range m.listeners {
		l.sink.close(true)
	}
	m.listeners = nil
}

// notify tells the listeners, if the status has changed.
func (m *matcher) notify() {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.listeners) > 0 {
		m.update(m.MatchingStatus().Matching)
	}
}

// update is called with m.mu held.
func (m *matcher) update(now bool) {
	if now == m.last {
		return
	}
	m.last = now
	for _, l := range m.listeners {
		l.sink.push(&MatchingStatus{now})
	}
}

// rematch tells the listeners for whom something under a key may have changed; all for the zero key.
func (s *Session) rematch(key KeyExpr) {
	var list []*matcher
	s.mu.RLock()
	if key.IsZero() {
		for _, m := range s.matchers.byID {
			list = append(list, m)
		}
	} else {
		list = slices.Collect(s.matchers.matching(key))
	}
	s.mu.RUnlock()
	for _, m := range list {
		m.notify()
	}
}
