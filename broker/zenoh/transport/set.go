package transport

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// ErrConnected is for a dial to a node with which there is a transport already, or on the way from the other side. It is no fault: who dials
// again and again can stop.
var ErrConnected = errors.New("already connected")

// Set keeps a node from having two transports to another, also when both dial each other at once. The zero value is an empty set. All
// transports of the node are opened through it; they leave it when they end.
//
// While a dial waits for its last answer, a transport that comes in from the same node is held. If the dial goes well, the one that came in is
// refused with the reason "max links", which the native implementation takes for "already connected"; if it fails, that one is taken. Of two
// nodes that hold each other's, the one with the smaller id gives up its dial after a moment.
type Set struct {
	Limit int // of transports, above which none is accepted; 0 is any number

	mu      sync.Mutex
	members map[wire.ZID]*member
}

// member is a transport, or one that is being opened and whose peer is known.
type member struct {
	zid     wire.ZID
	giveUp  context.CancelCauseFunc // of a dial
	settled chan struct{}           // closed when the handshake is over
}

// holdTime is how long the node with the smaller id waits for its own dial when the other side dials too.
const holdTime = 300 * time.Millisecond

// Len gives the number of transports, with those that are being opened.
func (s *Set) Len() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return len(s.members)
}

// Dial is the function Dial for a node that has other transports. It fails with ErrConnected if one of them is to the same node.
func (s *Set) Dial(ctx context.Context, endpoint string, config Config) (*Transport, error) {
	return dialThen(ctx, endpoint, config, s.Open)
}

// Open is the function Open for a node that has other transports; see Dial.
func (s *Set) Open(ctx context.Context, link Link, config Config) (*Transport, error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	m := &member{giveUp: cancel, settled: make(chan struct{})}
	config.enter = func(_ context.Context, p Peer) error {
		if s.claim(m, p.ZID) != nil {
			return fmt.Errorf("%w: %w", ErrConnected, &CloseError{Reason: wire.CloseMaxLinks})
		}
		return nil
	}
	t, err := Open(ctx, link, config)
	s.settle(m, t)
	if closed, ok := errors.AsType[*CloseError](err); ok && closed.Reason == wire.CloseMaxLinks && !errors.Is(err, ErrConnected) {
		err = fmt.Errorf("%w: %w", ErrConnected, err)
	}
	return t, err
}

// Accept is the function Accept for a node that has other transports. Config.Admit is asked first.
func (s *Set) Accept(ctx context.Context, link Link, config Config) (*Transport, error) {
	if config.ZID.IsZero() {
		return nil, fmt.Errorf("accept transport: %w", closeAfter(link, errors.New("a set needs the id of its node")))
	}
	m := &member{settled: make(chan struct{})}
	config.enter = func(ctx context.Context, p Peer) error { return s.admit(ctx, m, p.ZID, config.ZID.Compare(p.ZID) < 0) }
	t, err := Accept(ctx, link, config)
	s.settle(m, t)
	return t, err
}

// claim makes a member of m, unless there is another of that id, which it gives.
func (s *Set) claim(m *member, zid wire.ZID) (other *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if other = s.members[zid]; other != nil {
		return other
	}
	if s.members == nil {
		s.members = map[wire.ZID]*member{}
	}
	m.zid = zid
	s.members[zid] = m
	return nil
}

// admit waits for the outcome of this side's own dial to the same node, if there is one.
func (s *Set) admit(ctx context.Context, m *member, zid wire.ZID, smaller bool) error {
	for {
		other := s.claim(m, zid)
		switch {
		case other == nil && s.Limit > 0 && s.Len() > s.Limit: // settle makes room again
			return &CloseError{Reason: wire.CloseMaxSessions}
		case other == nil:
			return nil
		case other.giveUp == nil || other.over():
			return &CloseError{Reason: wire.CloseMaxLinks}
		}
		if err := other.hold(ctx, smaller); err != nil {
			return err
		}
	}
}

// over tells whether the handshake is, so that a member is a transport.
func (m *member) over() bool {
	select {
	case <-m.settled:
		return true
	default:
		return false
	}
}

// hold waits until a dial is settled, if need be by giving it up.
func (m *member) hold(ctx context.Context, smaller bool) error {
	timer := time.NewTimer(holdTime)
	defer timer.Stop()
	for {
		select {
		case <-m.settled:
			return nil
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-timer.C:
			if smaller {
				m.giveUp(fmt.Errorf("%w: the other side dials as well", ErrConnected))
			}
		}
	}
}

// settle ends a handshake: without a transport its member is forgotten, and with one when that ends.
func (s *Set) settle(m *member, t *Transport) {
	if t != nil {
		t.onEnd = func() { s.forget(m) }
	} else {
		s.forget(m)
	}
	close(m.settled)
}

func (s *Set) forget(m *member) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.members[m.zid] == m {
		delete(s.members, m.zid)
	}
}
