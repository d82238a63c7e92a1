// Package router is a Zenoh router: sessions of clients and peers meet in it, and it carries publications, queries and signs of life between
// them. It can dial other routers, of this package or native ones, and is then a way between them and what is behind it.
//
// Guarantees: a session gets each publication once, however many of its subscribers match, and never its own. What one session sends with one
// priority and reliability arrives in that order. Each query ends with exactly one final reply, also when those who should answer die. What a
// session declared is taken back, once, when it ends. A session can make the router keep no more than Limits allow; one that floods or does
// not keep to the protocol is closed with the protocol's reason, and the others go on. Payloads are handed on as they came.
package router

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Router is a running router. Its methods may be called by many goroutines at once.
type Router struct {
	config    Config
	zid       wire.ZID
	log       *slog.Logger
	clock     clock
	counters  counters
	listeners []transport.Listener
	pending   chan struct{} // a place for each session that is being opened
	stop      context.CancelFunc
	running   sync.WaitGroup
	uplinks   []*uplink
	admin     *admin // nil without admin space

	tables
}

// Open starts a router that listens and dials. ctx is that of opening; Close ends the router.
func Open(ctx context.Context, config Config) (*Router, error) {
	config, err := config.withDefaults()
	if err != nil {
		return nil, fmt.Errorf("open router: %w", err)
	}
	r := newRouter(config)
	for _, endpoint := range config.Listen {
		l, err := transport.ListenLink(ctx, endpoint, config.Transport.Link)
		if err != nil {
			return nil, fmt.Errorf("open router: %w", errors.Join(err, r.closeListeners()))
		}
		r.listeners = append(r.listeners, l)
	}
	running, stop := context.WithCancel(context.WithoutCancel(ctx))
	r.stop = stop
	if config.Scouting != nil {
		if err := r.startScouting(running); err != nil {
			stop()
			return nil, fmt.Errorf("open router: %w", errors.Join(err, r.closeListeners()))
		}
	}
	if config.AdminSpace {
		r.startAdmin(running)
	}
	for i, endpoint := range config.Connect {
		r.uplinks = append(r.uplinks, &uplink{r: r, endpoint: endpoint, rank: i, wake: make(chan struct{}, 1)})
	}
	for _, u := range r.uplinks {
		r.running.Go(func() { u.run(running) })
	}
	for _, l := range r.listeners {
		r.running.Go(func() { r.accept(running, l) })
	}
	r.log.Info("router open", "zid", r.zid.String(), "locators", r.Locators(), "connect", config.Connect)
	return r, nil
}

func newRouter(config Config) *Router {
	r := &Router{config: config, zid: config.Transport.ZID, log: config.Logger, pending: make(chan struct{}, config.Limits.Handshakes)}
	r.clock.id = r.zid
	r.tables.init()
	return r
}

// ZID gives the id of the router.
func (r *Router) ZID() wire.ZID { return r.zid }

// Locators gives where the router listens, with the ports that the system chose.
func (r *Router) Locators() []string {
	list := make([]string, 0, len(r.listeners))
	for _, l := range r.listeners {
		list = append(list, l.Endpoint())
	}
	return list
}

// Close ends all sessions, after what is queued for them is written or ctx ends, and waits for all that the router started.
func (r *Router) Close(ctx context.Context) error {
	err := r.closeListeners()
	r.mu.Lock()
	r.closing = true
	var closing sync.WaitGroup
	for f := range r.faces {
		if t, ok := f.out.(*transport.Transport); ok {
			closing.Go(func() { _ = t.Close(ctx) }) // a session that takes nothing more is no error of the router
		}
	}
	r.mu.Unlock()
	closing.Wait()
	r.stop()
	r.running.Wait()
	return err
}

func (r *Router) closeListeners() error {
	var errs []error
	for _, l := range r.listeners {
		errs = append(errs, l.Close())
	}
	return errors.Join(errs...)
}

// acceptPause keeps a listener that fails from spinning, for instance when there are no file descriptors left.
const acceptPause = 50 * time.Millisecond

// accept opens sessions on the links of a listener until that is closed.
func (r *Router) accept(ctx context.Context, l transport.Listener) {
	for {
		link, err := l.Accept()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			r.log.Warn("accept", "listener", l.Endpoint(), "error", err)
			select {
			case <-time.After(acceptPause):
			case <-ctx.Done():
				return
			}
			continue
		}
		select {
		case r.pending <- struct{}{}:
			r.running.Go(func() { r.serve(ctx, link) })
		default:
			r.counters.refused.Add(1)
			r.log.Warn("session refused", "peer", link.Info().Remote, "error", "too many sessions are being opened")
			_ = link.Close() // nothing was said on it
		}
	}
}

// serve opens a session on a link and runs it to its end.
func (r *Router) serve(ctx context.Context, link transport.Link) {
	config := r.config.Transport
	var admitted wire.ZID
	config.Admit = func(p transport.Peer) error {
		if err := r.admit(p); err != nil {
			return err
		}
		admitted = p.ZID
		return nil
	}
	t, err := transport.Accept(ctx, link, config)
	<-r.pending
	if err != nil {
		r.release(admitted)
		r.counters.refused.Add(1)
		r.log.Warn("session refused", "peer", link.Info().Remote, "error", err)
		return
	}
	f := newFace(r, session, t.Peer(), t)
	f.in = t
	_ = r.run(ctx, f, t) // it is in the log
}

// run serves a face until its transport ends, and gives the reason.
func (r *Router) run(ctx context.Context, f *face, t *transport.Transport) error {
	if !r.add(f) {
		t.Abort(wire.CloseGeneric)
	}
	f.log.Debug("session open")
	err := t.Serve(ctx, f.handle)
	if f.kind == session { // before the tables are clean, so that a client that comes back at once finds its place free
		r.release(f.peer.ZID)
	}
	r.remove(f)
	f.log.Log(ctx, levelOf(err), "session closed", "reason", err)
	return err
}

// levelOf makes a warning of what an operator should look at: a peer that floods, breaks the protocol or hangs. Sessions that come and go are
// nobody's business.
func levelOf(err error) slog.Level {
	var closed *transport.CloseError
	switch {
	case errors.Is(err, transport.ErrProtocol), errors.Is(err, transport.ErrUnresponsive), errors.Is(err, ErrLimit), errors.Is(err, transport.ErrExpired):
		return slog.LevelWarn
	case errors.As(err, &closed) && closed.Reason != wire.CloseGeneric:
		return slog.LevelWarn
	}
	return slog.LevelDebug
}

// admit gives a session its place, or refuses it with the reason that the protocol has for it.
func (r *Router) admit(p transport.Peer) error {
	refuse := func(reason wire.CloseReason, why string, args ...any) error {
		return fmt.Errorf(why+": %w", append(args, &transport.CloseError{Reason: reason})...)
	}
	if p.WhatAmI == wire.Router {
		return refuse(wire.CloseUnsupported, "%s is a router: let this one dial it", p.ZID)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	there, twice := r.admitted[p.ZID]
	switch {
	case r.closing:
		return refuse(wire.CloseGeneric, "router is closing")
	case twice && (there.WhatAmI != p.WhatAmI || there.QoS != p.QoS || there.User != p.User):
		return refuse(wire.CloseInvalid, "%s has a session with other parameters", p.ZID)
	case twice:
		return refuse(wire.CloseMaxLinks, "%s has a session", p.ZID)
	case len(r.admitted) >= r.config.Limits.Sessions:
		return refuse(wire.CloseInvalid, "%d sessions are open", len(r.admitted))
	}
	r.admitted[p.ZID] = p
	return nil
}

// release gives the place of a session away.
func (r *Router) release(zid wire.ZID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.admitted, zid)
}
