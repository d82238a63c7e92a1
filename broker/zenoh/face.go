package zenoh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// face is one connected node, as the session sees it.
type face struct {
	s    *Session
	t    *transport.Transport
	peer transport.Peer
	log  *slog.Logger
	// asks tells that the other side declares only what it is asked for, so what is not known may be there. Among peers each tells all.
	asks bool
	// guest is not nil for a client of this session, which is a peer.
	guest *guest
	ready chan struct{} // closed when the other side was told what there is

	introduces []*namedKey         // with numbers that the other side is being told
	neighbour  *scouting.Neighbour // among peers, nil if they do not gossip

	// order is held while declarations are sent, so that none overtakes those that a new face is told first. It is taken before Session.mu.
	order sync.Mutex

	// Those below are under Session.mu.
	told        map[KeyExpr]uint16 // key expressions that the other side knows by number
	subscribers entities[*remote]
	queryables  entities[*remote]
	tokens      map[uint32]KeyExpr
	theirs      map[uint16]string // key expressions that the other side declared
	theirsBytes int
	finals      map[uint32]struct{} // interests that were answered
	initial     bool                // a peer has told all that it had when it connected

	// Those below belong to the goroutine that reads.
	routes  map[string]*delivery
	last    lastDelivery
	version uint64 // of the session, for routes
	buffer  []byte
	sample  Sample      // that is being handed to subscribers
	pushed  *Subscriber // that may have to be woken up for its samples; nil is none
	reply   Reply       // that is being handed to a query

	later   sync.Once
	queue   *mailbox[queued] // what the reader could not send at once
	waiting atomic.Int32     // messages of the queue that are not sent
}

// queued is a message that waits for room.
type queued struct {
	m   wire.Network
	qos wire.QoS
}

// remote is what another node declared.
type remote struct {
	id   uint32
	key  KeyExpr
	info wire.QueryableInfo
}

func (r *remote) entity() (uint32, KeyExpr) { return r.id, r.key }

// Bounds of what another node may declare.
const (
	maxRemote     = 1 << 20  // subscribers, queryables, and tokens each
	maxTheirBytes = 16 << 20 // of key expressions
)

func newFace(s *Session, t *transport.Transport) *face {
	peer := t.Peer()
	f := &face{
		s: s, t: t, peer: peer, asks: s.config.Mode != Peer || peer.WhatAmI != Peer,
		ready: make(chan struct{}),
		log:   s.log.With("peer", peer.ZID.String(), "link", peer.Remote),
		told:  make(map[KeyExpr]uint16), tokens: make(map[uint32]KeyExpr), theirs: make(map[uint16]string),
		finals: make(map[uint32]struct{}), routes: make(map[string]*delivery),
	}
	if s.config.Mode == Peer && peer.WhatAmI == Client {
		f.asks, f.initial, f.guest = false, true, &guest{f: f}
	}
	f.queue = newMailbox(func(q queued) {
		_ = t.Send(s.ctx, q.m, transport.Delivery{QoS: q.qos}) // fails if there is nobody any more
		f.waiting.Add(-1)
	}, Handlers{Queue: maxQueued}, sinkOptions[queued]{})
	return f
}

// serve runs the face until its connection ends, and tells why. The session knows it meanwhile.
func (f *face) serve(ctx context.Context) error {
	f.order.Lock()
	introduction, err := f.s.join(f)
	if err != nil {
		f.order.Unlock()
		f.t.Abort(wire.CloseGeneric)
		return err
	}
	var serving sync.WaitGroup
	f.t.AfterBatch(f.afterBatch)
	serving.Go(func() {
		err = f.t.Serve(ctx, f.handle)
		f.flush()
	})
	for _, m := range introduction {
		if f.send(ctx, m, wire.QoSDeclare) != nil {
			break // it has ended
		}
	}
	f.s.introduced(f)
	f.order.Unlock()
	close(f.ready)
	serving.Wait()
	f.s.leave(f, err)
	return err
}

// announce sends a declaration or interest. That the connection ends is no error, as the next one begins with all that is declared.
func (f *face) announce(ctx context.Context, m wire.Network) error {
	return f.announceAs(ctx, m, wire.QoSDeclare)
}

func (f *face) announceAs(ctx context.Context, m wire.Network, qos wire.QoS) error {
	if f.guest != nil {
		f.guest.tell()
		return nil
	}
	f.order.Lock()
	defer f.order.Unlock()
	return f.send(ctx, m, qos)
}

func (f *face) send(ctx context.Context, m wire.Network, qos wire.QoS) error {
	err := f.t.Send(ctx, m, transport.Delivery{QoS: qos})
	if errors.Is(err, transport.ErrClosed) || errors.Is(err, transport.ErrUnresponsive) {
		return nil
	}
	return err
}

// maxQueued is how many messages of the reader may wait for the other side to take them.
const maxQueued = 1 << 18

// answer sends from the goroutine that reads, which must not wait: what finds no room is sent by another one, in order.
func (f *face) answer(m wire.Network, qos wire.QoS) {
	qos.Congestion = wire.Block
	if f.waiting.Load() == 0 {
		if err := f.t.Send(f.s.ctx, m, transport.Delivery{QoS: qos, NoWait: true}); !errors.Is(err, ErrCongested) {
			return // sent, or there is nobody any more
		}
	}
	f.later.Do(func() { f.s.work.Go(func() { f.queue.work(false) }) })
	f.waiting.Add(1)
	if !f.queue.push(&queued{m, qos}) {
		f.waiting.Add(-1)
	}
}

// handle is called for each message. Errors end the connection.
func (f *face) handle(m wire.Network) error {
	if push, ok := m.(*wire.Push); ok {
		f.push(push)
		return nil
	}
	f.flush() // as what follows may take time
	switch m := m.(type) {
	case *wire.Request:
		f.request(m)
	case *wire.Response:
		f.response(m)
	case *wire.ResponseFinal:
		f.s.queries.final(m.ID, f)
	case *wire.Declare:
		return f.declare(m)
	case *wire.Interest:
		f.interest(m)
	case *wire.OAM:
		return f.gossip(m)
	}
	return nil
}

// expand gives the text of a key, which is good until the next call. It is empty for a number that nobody declared.
func (f *face) expand(w *wire.WireExpr) []byte {
	if w.Scope == 0 {
		return w.Suffix
	}
	f.s.mu.RLock()
	prefix := f.theirs[w.Scope]
	if w.Mapping == wire.Receiver {
		prefix = f.s.keys.text(w.Scope)
	}
	f.s.mu.RUnlock()
	if prefix == "" {
		return nil
	}
	f.buffer = append(append(f.buffer[:0], prefix...), w.Suffix...)
	return f.buffer
}

// key gives the key of a message on memory of its own, or the zero one if it is no valid expression.
func (f *face) key(w *wire.WireExpr) KeyExpr {
	text := f.expand(w)
	if len(text) == 0 {
		return KeyExpr{}
	}
	key, err := NewKeyExpr(string(text))
	if err != nil {
		f.log.Debug("key expression ignored", "error", err)
		return KeyExpr{}
	}
	return key
}

// declare takes note of what the other side declares.
func (f *face) declare(m *wire.Declare) error {
	switch m.Kind {
	case wire.DeclareKeyExpr:
		return f.nameKey(uint16(m.ID), string(f.expand(&m.Key)))
	case wire.UndeclareKeyExpr:
		f.s.mu.Lock()
		defer f.s.mu.Unlock()
		f.theirsBytes -= len(f.theirs[uint16(m.ID)])
		delete(f.theirs, uint16(m.ID))
		f.last = lastDelivery{}
	case wire.DeclareSubscriber, wire.DeclareQueryable:
		if key := f.key(&m.Key); !key.IsZero() {
			return f.add(m.Kind, &remote{m.ID, key, m.Queryable})
		}
	case wire.UndeclareSubscriber, wire.UndeclareQueryable:
		f.remove(m.Kind, m.ID)
	case wire.DeclareToken:
		if key := f.key(&m.Key); !key.IsZero() {
			return f.tokenUp(m, key)
		}
	case wire.UndeclareToken:
		f.tokenDown(m.ID, f.key(&m.Key))
	case wire.DeclareFinal:
		f.final(m)
	}
	return nil
}

// nameKey takes note of a key expression that the other side will call by number.
func (f *face) nameKey(id uint16, text string) error {
	f.s.mu.Lock()
	defer f.s.mu.Unlock()
	if id == 0 || text == "" || f.theirs[id] != "" {
		return nil // means nothing, and the protocol keeps what was first
	}
	if f.theirsBytes += len(text); f.theirsBytes > maxTheirBytes {
		return fmt.Errorf("%w: key expressions of %d bytes", ErrTooMany, f.theirsBytes)
	}
	f.theirs[id] = text
	f.last = lastDelivery{}
	return nil
}

// kindOf gives the table of a kind of declaration.
func (f *face) kindOf(k wire.DeclareKind) *entities[*remote] {
	if k == wire.DeclareSubscriber || k == wire.UndeclareSubscriber {
		return &f.subscribers
	}
	return &f.queryables
}

// add takes note of a subscriber or queryable, in place of one of the same number.
func (f *face) add(kind wire.DeclareKind, r *remote) error {
	table := f.kindOf(kind)
	f.s.mu.Lock()
	if old := table.byID[r.id]; old != nil {
		table.remove(old)
	}
	if len(table.byID) >= maxRemote {
		f.s.mu.Unlock()
		return fmt.Errorf("%w: more than %d of one kind", ErrTooMany, maxRemote)
	}
	table.add(r)
	f.s.version.Add(1)
	f.s.mu.Unlock()
	f.s.rematch(r.key)
	return nil
}

// remove forgets one that was undeclared.
func (f *face) remove(kind wire.DeclareKind, id uint32) {
	table := f.kindOf(kind)
	f.s.mu.Lock()
	r := table.byID[id]
	if r != nil {
		table.remove(r)
		f.s.version.Add(1)
	}
	f.s.mu.Unlock()
	if r != nil {
		f.s.rematch(r.key)
	}
}

// final is the end of an answer: to an interest, or what a peer says when it has told all.
func (f *face) final(m *wire.Declare) {
	if !m.Answer || m.InterestID == 0 {
		f.s.mu.Lock()
		f.initial = true
		f.s.version.Add(1)
		f.s.mu.Unlock()
		f.s.rematch(KeyExpr{})
		return
	}
	if f.s.queries.finalInterest(m.InterestID, f) {
		return
	}
	f.s.mu.Lock()
	f.finals[m.InterestID] = struct{}{}
	f.s.version.Add(1)
	matcher := f.s.matchers.byID[m.InterestID]
	watcher := f.s.watchers.byID[m.InterestID]
	f.s.mu.Unlock()
	switch {
	case matcher != nil:
		matcher.notify()
	case watcher != nil:
		watcher.resynced()
	}
}
