package zenoh

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// join makes a face known, and gives what it is told first: key expressions, then entities, then interests.
func (s *Session) join(f *face) ([]wire.Network, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.usable(); err != nil {
		return nil, err
	}
	s.faces.Store(new(append(slices.Clip(*s.faces.Load()), f)))
	s.version.Add(1)
	signal(&s.changed)
	list := f.introduction()
	add := func(m wire.Network) {
		if m != nil {
			list = append(list, m)
		}
	}
	for _, n := range s.keys.byKey {
		add(declareKey(n))
		f.introduces = append(f.introduces, n)
	}
	for _, e := range s.subscribers.byID {
		add(e.declaration())
	}
	for _, e := range s.queryables.byID {
		add(e.declaration())
	}
	for _, e := range s.tokens.byID {
		add(e.declaration())
	}
	if !f.asks {
		add(&wire.Declare{Kind: wire.DeclareFinal, Answer: true, QoS: wire.QoSDeclare})
		return list, nil
	}
	for _, e := range s.matchers.byID {
		add(e.interest())
	}
	for _, e := range s.watchers.byID {
		add(e.interest())
	}
	return list, nil
}

// introduced is called when a face has been told all that, and can be called key expressions by number.
func (s *Session) introduced(f *face) {
	for _, n := range f.introduces {
		f.tell(n)
	}
	f.introduces = nil
	e := f.event(SampleKindPut)
	if !s.lostAt.IsZero() {
		e.Since, e.Unpublished = s.lostAt, s.missed.Swap(0)
		f.log.Info("connected again", "since", e.Since, "unpublished", e.Unpublished)
	}
	s.raise(e)
	s.rematch(KeyExpr{})
}

// leave forgets a face whose connection has ended.
func (s *Session) leave(f *face, err error) {
	s.mu.Lock()
	var faces []*face
	for _, other := range *s.faces.Load() {
		if other != f {
			faces = append(faces, other)
		}
	}
	s.faces.Store(&faces)
	s.version.Add(1)
	var news []notice
	if f.asks {
		s.doubt(f)
	} else {
		for _, key := range f.tokens {
			news = append(news, s.countToken(key, -1)...)
		}
	}
	f.tokens = nil
	closed := s.closed
	s.mu.Unlock()
	f.queue.close(true)
	if f.neighbour != nil {
		f.neighbour.Leave()
	}
	s.tell(news)
	failed := s.queries.end(f, fmt.Errorf("%w: %w", ErrSessionLost, err))
	s.rematch(KeyExpr{})
	if closed {
		return
	}
	e := f.event(SampleKindDelete)
	e.Err, e.FailedGets = err, failed
	level := slog.LevelWarn
	if s.config.Mode == Peer {
		level = slog.LevelInfo // peers come and go
	}
	f.log.Log(s.ctx, level, "connection lost", "error", err, "failed_gets", failed)
	s.raise(e)
}

// startClient connects, and goes on connecting whenever the connection is lost.
func (s *Session) startClient(ctx context.Context) error {
	t, err := s.dialPatiently(ctx)
	if err != nil {
		return err
	}
	f := newFace(s, t)
	s.work.Go(func() { s.keepConnected(f) })
	select {
	case <-f.ready:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}

// dialPatiently tries for the time that the configuration gives.
func (s *Session) dialPatiently(ctx context.Context) (*transport.Transport, error) {
	retry := s.config.Connect.Retry
	if d := s.config.Connect.Timeout; d > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, d)
		defer cancel()
	}
	for {
		t, err := s.dialRouter(ctx)
		if err == nil || s.config.Connect.Timeout == 0 {
			return t, err
		}
		if retry.Wait(ctx) != nil {
			return nil, err
		}
	}
}

// dialRouter opens a transport to the first endpoint that takes it, or without any to the first router that is found.
func (s *Session) dialRouter(ctx context.Context) (*transport.Transport, error) {
	if len(s.config.Connect.Endpoints) == 0 {
		return s.dialAnyRouter(ctx)
	}
	var failed error
	for _, endpoint := range s.config.Connect.Endpoints {
		t, err := transport.Dial(ctx, endpoint, s.config.Transport)
		if err == nil {
			return t, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// dialAnyRouter asks the multicast group.
func (s *Session) dialAnyRouter(ctx context.Context) (*transport.Transport, error) {
	looking, cancel := context.WithTimeout(ctx, s.config.Scouting.Timeout)
	defer cancel()
	failed := fmt.Errorf("%w: no router answers to multicast", ErrNotConnected)
	for found, err := range scouting.Scout(looking, s.config.scouts(), Router) {
		if err != nil {
			return nil, err
		}
		t, err := s.dialNode(ctx, found.Hello, transport.Dial)
		if err == nil {
			return t, nil
		}
		failed = errors.Join(failed, err)
	}
	return nil, failed
}

// dialNode opens a transport to a node at the first of its locators where it is.
func (s *Session) dialNode(
	ctx context.Context, node wire.Hello, dial func(context.Context, string, transport.Config) (*transport.Transport, error),
) (*transport.Transport, error) {
	failed := fmt.Errorf("%w: node %s", ErrNotConnected, node.ZID)
	for _, locator := range node.Locators {
		t, err := dial(ctx, locator, s.config.Transport)
		switch {
		case err != nil:
			failed = errors.Join(failed, err)
		case t.Peer().ZID != node.ZID:
			t.Abort(wire.CloseInvalid)
			failed = errors.Join(failed, fmt.Errorf("dial %s: node %s is not there, but %s", locator, node.ZID, t.Peer().ZID))
		default:
			return t, nil
		}
	}
	return nil, failed
}

// keepConnected serves the connection of a client, and opens a new one when it is lost, until the session ends.
func (s *Session) keepConnected(f *face) {
	for {
		_ = f.serve(s.ctx) // told to listeners
		s.lostAt = time.Now()
		retry := s.config.Connect.Retry
		for s.ctx.Err() == nil && !s.IsClosed() {
			t, err := s.dialRouter(s.ctx)
			if err == nil {
				f = newFace(s, t)
				break
			}
			s.log.Debug("not connected", "error", err)
			_ = retry.Wait(s.ctx) // looked at by the loop
		}
		if s.ctx.Err() != nil || s.IsClosed() {
			return
		}
	}
}
