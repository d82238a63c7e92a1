package zenoh

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// peers is what a session in peer mode has beside its faces.
type peers struct {
	set       transport.Set
	gossip    *scouting.Gossip // nil if disabled
	opening   chan struct{}    // has a value for each handshake that somebody else began
	first     chan struct{}    // has a value when somebody was connected
	cancel    context.CancelFunc
	listeners []transport.Listener

	mu    sync.Mutex
	found map[ZID]struct{} // nodes that are being dialled because they were found
}

// maxOpening is how many handshakes that others began may be under way.
const maxOpening = 100

// stop ends what makes new connections.
func (p *peers) stop() {
	if p.cancel != nil {
		p.cancel()
	}
}

// close ends listening, which those that came in over udp need.
func (p *peers) close() {
	for _, l := range p.listeners {
		_ = l.Close() // ends accepting
	}
}

// startPeer listens, connects and looks for others, and waits a moment for those that are to be connected.
func (s *Session) startPeer(ctx context.Context) error {
	p := &s.peers
	p.opening, p.first, p.found = make(chan struct{}, maxOpening), make(chan struct{}, 1), make(map[ZID]struct{})
	making, cancel := context.WithCancel(s.ctx)
	p.cancel = cancel
	for _, endpoint := range s.config.Listen.Endpoints {
		l, err := transport.ListenLink(ctx, endpoint, s.config.Transport.Link)
		if err != nil {
			return err
		}
		p.listeners = append(p.listeners, l)
		s.listening = append(s.listening, reachable(l.Endpoint())...)
	}
	if !s.config.Scouting.Gossip.Disabled {
		p.gossip = scouting.NewGossip(s.hello())
	}
	for _, l := range p.listeners {
		s.work.Go(func() { s.accept(making, l) })
	}
	var connected []chan struct{}
	for _, endpoint := range s.config.Connect.Endpoints {
		once := make(chan struct{})
		connected = append(connected, once)
		s.work.Go(func() { s.keepDialled(making, endpoint, sync.OnceFunc(func() { close(once) })) })
	}
	if !s.config.Scouting.Multicast.Disabled {
		if err := s.scout(making); err != nil {
			s.log.Warn("no scouting by multicast", "error", err)
		} else if len(connected) == 0 {
			connected = append(connected, p.first)
		}
	}
	s.waitFor(ctx, connected)
	return nil
}

// waitFor waits for first connections, for the time that the configuration gives.
func (s *Session) waitFor(ctx context.Context, connected []chan struct{}) {
	timer := time.NewTimer(s.config.Scouting.Delay)
	defer timer.Stop()
	for _, c := range connected {
		select {
		case <-c:
		case <-timer.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// hello is what others are told of this node.
func (s *Session) hello() wire.Hello {
	return wire.Hello{ZID: s.config.ZID, WhatAmI: s.config.Mode, Locators: s.Locators()}
}

// reachable gives the locators of an endpoint that is listened on: one for each address of this machine if it is for all of them.
func reachable(endpoint string) []string {
	e, err := transport.ParseEndpoint(endpoint)
	if err != nil {
		return nil
	}
	host, port, err := net.SplitHostPort(e.Address)
	if addr, e := netip.ParseAddr(host); err != nil || e != nil || !addr.IsUnspecified() {
		return []string{endpoint}
	}
	own, err := net.InterfaceAddrs()
	if err != nil {
		return []string{endpoint}
	}
	var far, near []string
	for _, a := range own {
		prefix, err := netip.ParsePrefix(a.String())
		if err != nil || prefix.Addr().IsLinkLocalUnicast() {
			continue
		}
		e.Address = net.JoinHostPort(prefix.Addr().String(), port)
		if prefix.Addr().IsLoopback() {
			near = append(near, e.Locator())
		} else {
			far = append(far, e.Locator())
		}
	}
	return append(far, near...)
}

// accept takes links until the listener is closed.
func (s *Session) accept(ctx context.Context, l transport.Listener) {
	var retry transport.Backoff
	for {
		link, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			s.log.Warn("link not accepted", "error", err)
			if retry.Wait(ctx) != nil {
				return
			}
			continue
		}
		retry.Reset()
		select {
		case s.peers.opening <- struct{}{}:
		case <-ctx.Done():
			_ = link.Close() // nobody is there for it
			continue
		}
		s.work.Go(func() { s.admit(ctx, link) })
	}
}

// admit opens a transport that the other side began, and serves it.
func (s *Session) admit(ctx context.Context, link transport.Link) {
	config := s.config.Transport
	config.Admit = func(p transport.Peer) error {
		if p.WhatAmI == Client { // somebody would have to route for it
			return fmt.Errorf("a client, which needs a router: %w", &transport.CloseError{Reason: wire.CloseUnsupported})
		}
		return nil
	}
	t, err := s.peers.set.Accept(ctx, link, config)
	<-s.peers.opening
	if err != nil {
		s.log.Info("peer not accepted", "link", link.Info().Remote, "error", err)
		return
	}
	s.servePeer(t, wire.Hello{}, func() {})
}

// keepDialled connects to an endpoint whenever it is not connected. It calls ready once that is so.
func (s *Session) keepDialled(ctx context.Context, endpoint string, ready func()) {
	retry := s.config.Connect.Retry
	for ctx.Err() == nil {
		t, err := s.peers.set.Dial(ctx, endpoint, s.config.Transport)
		switch {
		case err == nil:
			retry.Reset()
			s.servePeer(t, wire.Hello{}, ready)
		case errors.Is(err, transport.ErrConnected):
			ready()
		default:
			s.log.Debug("not connected", "error", err)
		}
		_ = retry.Wait(ctx) // looked at by the loop
	}
}

// servePeer serves a transport to a peer or router. One that was found is dialled again if the connection breaks.
func (s *Session) servePeer(t *transport.Transport, found wire.Hello, ready func()) {
	f := newFace(s, t)
	if s.peers.gossip != nil {
		f.neighbour = s.peers.gossip.Join(f.peer.ZID, f.peer.WhatAmI)
	}
	s.work.Go(func() {
		select {
		case <-f.ready:
		case <-t.Done():
		}
		ready()
		select {
		case s.peers.first <- struct{}{}:
		default:
		}
	})
	err := f.serve(s.ctx)
	if _, closed := errors.AsType[*transport.CloseError](err); !closed && !found.ZID.IsZero() {
		s.meet(found)
	}
}

// scout looks for others and lets itself be found.
func (s *Session) scout(ctx context.Context) error {
	config := s.config.scouts()
	if !s.config.Scouting.Multicast.Mute && len(s.listening) > 0 {
		responder, err := scouting.Listen(ctx, config)
		if err != nil {
			return err
		}
		s.work.Go(func() {
			if err := responder.Serve(ctx, s.hello); err != nil {
				s.log.Warn("scouts are not answered any more", "error", err)
			}
		})
	}
	s.work.Go(func() {
		for found, err := range scouting.Scout(ctx, config, Router|Peer) {
			if err != nil {
				s.log.Warn("no scouting any more", "error", err)
				return
			}
			s.meet(found.Hello)
		}
	})
	return nil
}

// meetAttempts is how often a node that was found is dialled.
const meetAttempts = 5

// meet dials a node that was found, in the background, unless it is connected or being dialled.
func (s *Session) meet(node wire.Hello) {
	p := &s.peers
	p.mu.Lock()
	defer p.mu.Unlock()
	_, dialling := p.found[node.ZID]
	if dialling || node.ZID == s.config.ZID || len(p.found) >= maxOpening || s.isConnectedTo(node.ZID) || s.IsClosed() {
		return
	}
	p.found[node.ZID] = struct{}{}
	s.work.Go(func() { s.dialFound(node) })
}

func (s *Session) isConnectedTo(zid ZID) bool {
	return slices.ContainsFunc(*s.faces.Load(), func(f *face) bool { return f.peer.ZID == zid })
}

func (s *Session) dialFound(node wire.Hello) {
	forget := func() {
		s.peers.mu.Lock()
		defer s.peers.mu.Unlock()
		delete(s.peers.found, node.ZID)
	}
	retry := s.config.Connect.Retry
	for range meetAttempts {
		t, err := s.dialNode(s.ctx, node, s.peers.set.Dial)
		switch {
		case err == nil:
			forget()
			s.servePeer(t, node, func() {})
			return
		case errors.Is(err, transport.ErrConnected), s.IsClosed():
			forget()
			return
		}
		s.log.Debug("node that was found is not connected", "error", err)
		if retry.Wait(s.ctx) != nil {
			break
		}
	}
	forget()
}

// introduction is what a peer is told before anything else: who this node is, and whom it knows.
func (f *face) introduction() []wire.Network {
	if f.neighbour == nil {
		return nil
	}
	m, err := f.neighbour.Introduce()
	if err != nil {
		f.log.Warn("no gossip", "error", err)
		return nil
	}
	return []wire.Network{m}
}

// gossip learns of other nodes, and tells the other neighbours of this one when it has said where it can be reached.
func (f *face) gossip(m *wire.OAM) error {
	if f.neighbour == nil {
		return nil
	}
	news, err := f.neighbour.Learn(m)
	if err != nil {
		return err
	}
	for _, node := range news {
		if node.ZID != f.peer.ZID {
			f.s.meet(node)
			continue
		}
		about, err := f.neighbour.About()
		if err != nil || about == nil {
			continue
		}
		for _, other := range *f.s.faces.Load() {
			if other != f && other.neighbour != nil {
				other.answer(about, about.QoS)
			}
		}
	}
	return nil
}

// interest answers a peer that asks though it is told everything: what matches is sent again, under the numbers that it knows.
func (f *face) interest(m *wire.Interest) {
	if m.Mode == wire.InterestFuture || m.Mode == wire.InterestFinal {
		return
	}
	if key := f.key(&m.Key); !m.Restricted || !key.IsZero() {
		for _, d := range f.s.declared(m.Options, key) {
			d.Answer, d.InterestID = true, m.ID
			f.answer(d, wire.QoSDeclare)
		}
	}
	f.answer(&wire.Declare{Kind: wire.DeclareFinal, Answer: true, InterestID: m.ID, QoS: wire.QoSDeclare}, wire.QoSDeclare)
}

// declared gives what this session declares of those kinds, under what intersects the key or with the zero key under any.
func (s *Session) declared(kinds wire.InterestOptions, key KeyExpr) (list []*wire.Declare) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	add := func(kind wire.InterestOptions, k KeyExpr, m wire.Network) {
		if d, ok := m.(*wire.Declare); ok && kinds&kind != 0 && (key.IsZero() || k.Intersects(key)) {
			list = append(list, d)
		}
	}
	for _, e := range s.subscribers.byID {
		add(wire.InterestSubscribers, e.key, e.declaration())
	}
	for _, e := range s.queryables.byID {
		add(wire.InterestQueryables, e.key, e.declaration())
	}
	for _, e := range s.tokens.byID {
		add(wire.InterestTokens, e.key, e.declaration())
	}
	return list
}
