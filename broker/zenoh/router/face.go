package router

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// sender is what the router needs of a transport to reach who is on the other side.
type sender interface {
	// Send queues a message, as transport.Transport does.
	Send(ctx context.Context, m wire.Network, how transport.Delivery) error
	// Abort ends the session.
	Abort(reason wire.CloseReason)
}

// receiver is what the handler of a session asks of its transport about the message that it has.
type receiver interface {
	// BestEffort tells whether the message may get lost.
	BestEffort() bool
	// Arrival tells when its batch came.
	Arrival() time.Time
}

// role says on which side of the router a face is.
type role uint8

const (
	session  role = iota // somebody dialled the router
	upstream             // the router dialled another
	inside               // the router itself
)

// face is one neighbour, as the router sees it.
type face struct {
	r      *Router
	kind   role
	peer   transport.Peer
	out    sender
	in     receiver // nil for the router itself
	uplink *uplink  // that it is the session of, if it is upstream
	log    *slog.Logger
	rights *rights // nil is all

	// Only the goroutine that reads the session touches these.
	prefixes map[uint16]*prefix // key expressions that the neighbour declared
	plain    prefix             // of keys without one
	routes   int                // remembered in all of these
	nodes    map[uint64]wire.ZID
	spent    spending

	// The lock of the tables is for these.
	entities  [kinds]map[uint32]keyexpr.KeyExpr // what it declared, by its own numbers
	interests map[uint32]*interest
	plainly   watchers                       // those of its interests that are not aggregate
	combined  [kinds]map[keyexpr.KeyExpr]int // number of aggregate interests, by key
	told      [kinds]map[keyexpr.KeyExpr]*notice
	lastID    uint32
	waiting   map[uint32]*query // queries that it should answer, by our number
	lastRID   uint32
	asked     map[*query]struct{} // queries that it asked
	links     map[wire.ZID]struct{}
	mark      uint64              // of the last walk through the tables that met it
	round     map[uint32]struct{} // tokens of our own uplinks that it declared
	standby   bool                // an upstream that has yielded to another
	gone      bool

	backlog backlog
}

func newFace(r *Router, kind role, peer transport.Peer, out sender) *face {
	f := &face{r: r, kind: kind, peer: peer, out: out, interests: map[uint32]*interest{}, plainly: watchers{}, waiting: map[uint32]*query{}, asked: map[*query]struct{}{}}
	f.log = r.log.With("peer", peer.ZID.String(), "whatami", peer.WhatAmI.String(), "address", peer.Remote)
	if peer.User != "" {
		f.log = f.log.With("user", peer.User)
	}
	if peer.CertName != "" {
		f.log = f.log.With("certificate", peer.CertName)
	}
	f.rights = r.config.Access.rightsOf(peer)
	return f
}

// bestEffort tells whether the message that is being handled may get lost.
func (f *face) bestEffort() bool { return f.in != nil && f.in.BestEffort() }

// arrival tells when the message that is being handled came.
func (f *face) arrival() time.Time {
	if f.in == nil {
		return time.Now()
	}
	return f.in.Arrival()
}

// newID gives a number for something that is declared to the neighbour.
func (f *face) newID() uint32 {
	f.lastID++
	return f.lastID
}

// handle acts on one message of the neighbour. An error ends the session.
func (f *face) handle(m wire.Network) error {
	switch m := m.(type) {
	case *wire.Push:
		return f.push(m)
	case *wire.Request:
		return f.request(m)
	case *wire.Response:
		f.response(m)
	case *wire.ResponseFinal:
		f.r.answered(f, m.ID)
	case *wire.Declare:
		return f.declare(m)
	case *wire.Interest:
		return f.interest(m)
	case *wire.OAM:
		return f.oam(m)
	}
	return nil
}

// backlog has the messages that must not be lost nor wait: what the router itself says while it holds the lock of its tables. They go to the
// transport at once while that has room; those that find none are kept here, and a goroutine that lives as long as there are some sends them.
type backlog struct {
	mu      sync.Mutex
	list    []wire.Network
	running bool
	closed  bool
	drain   sync.WaitGroup
}

// say sends a message of the router. It never waits. The message is the transport's from then on.
func (f *face) say(m wire.Network, q wire.QoS) {
	b := &f.backlog
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.closed {
		return
	}
	if !b.running {
		err := f.out.Send(context.Background(), m, transport.Delivery{QoS: q, NoWait: true})
		if !errors.Is(err, transport.ErrCongested) {
			return // sent, or the session is ending
		}
	}
	if len(b.list) >= f.r.config.Limits.Backlog {
		b.closed, b.list = true, nil
		f.r.counters.unresponsive.Add(1)
		f.out.Abort(wire.CloseUnresponsive)
		return
	}
	b.list = append(b.list, m)
	if !b.running {
		b.running = true
		b.drain.Go(f.sendBacklog)
	}
}

// sendBacklog waits for room for one message after another.
func (f *face) sendBacklog() {
	b := &f.backlog
	for {
		b.mu.Lock()
		list := b.list
		b.list = nil
		b.running = len(list) > 0 && !b.closed
		running := b.running
		b.mu.Unlock()
		if !running {
			return
		}
		for _, m := range list {
			how := transport.Delivery{QoS: qosOf(m)}
			how.QoS.Congestion = wire.Block
			if f.out.Send(context.Background(), m, how) != nil {
				return // the session is ending, and running stays set: nothing is sent any more
			}
		}
	}
}

// qosOf gives the quality of service that is in a message of the router.
func qosOf(m wire.Network) wire.QoS {
	switch m := m.(type) {
	case *wire.Declare:
		return m.QoS
	case *wire.ResponseFinal:
		return m.QoS
	case *wire.Response:
		return m.QoS
	}
	return wire.QoSDeclare
}

// close waits for what say started. The transport has ended.
func (b *backlog) close() {
	b.mu.Lock()
	b.closed, b.list = true, nil
	b.mu.Unlock()
	b.drain.Wait()
}
