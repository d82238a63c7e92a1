package zenoh

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Session is one node of a Zenoh network. It may be used by many goroutines at once.
type Session struct {
	config Config
	log    *slog.Logger
	clock  *HLC

	ctx    context.Context // ends with the session
	cancel context.CancelCauseFunc
	work   sync.WaitGroup // every goroutine of the session
	closer sync.Once

	ids     atomic.Uint32           // of entities and interests
	version atomic.Uint64           // changes with everything that decides where a message goes
	faces   atomic.Pointer[[]*face] // replaced with mu held, never changed
	lostAt  time.Time               // since when a client is not connected; for the goroutine that connects it
	missed  atomic.Uint64           // publications for which there was no connection
	queries queries
	memory  sync.Pool // of the queues of subscribers

	mu          sync.RWMutex
	closed      bool
	changed     chan struct{} // closed when the faces change; nil when nobody waits
	keys        keys
	subscribers entities[*Subscriber]
	queryables  entities[*Queryable]
	tokens      entities[*LivelinessToken]
	matchers    entities[*matcher]
	watchers    entities[*watcher]
	alive       map[KeyExpr]int // tokens of this session and of others, as far as it knows
	listeners   map[*TransportEventsListener]struct{}
	listening   []string // locators

	peers peers
}

// Open opens a session. A client is connected when Open returns; a peer listens, and goes on connecting in the background. Errors of
// configuration are ErrInvalidConfig.
func Open(ctx context.Context, config Config) (*Session, error) {
	if err := config.Validate(); err != nil {
		return nil, err
	}
	s := &Session{config: config.withDefaults(), alive: make(map[KeyExpr]int), listeners: make(map[*TransportEventsListener]struct{})}
	s.log = s.config.Logger.With("zid", s.config.ZID.String())
	s.clock = NewHLC(s.config.ZID)
	s.ctx, s.cancel = context.WithCancelCause(context.WithoutCancel(ctx))
	s.faces.Store(&[]*face{})
	start := s.startClient
	if s.config.Mode == Peer {
		start = s.startPeer
	}
	if err := start(ctx); err != nil {
		_ = s.Close(ctx) // is not open
		return nil, fmt.Errorf("open session: %w", err)
	}
	return s, nil
}

// Close ends the session after what was published before is written, or when ctx ends. What was declared is undeclared thereby. Pending
// gets end with ErrSessionClosed, channels are closed, and Close waits for closures that still run: it must not be called from one. It may be
// called again.
func (s *Session) Close(ctx context.Context) error {
	s.closer.Do(func() {
		s.mu.Lock()
		s.closed = true
		faces := *s.faces.Load()
		signal(&s.changed)
		s.mu.Unlock()
		s.peers.stop()
		s.queries.end(nil, ErrSessionClosed)
		var closing sync.WaitGroup
		for _, f := range faces {
			closing.Go(func() { _ = f.t.Close(ctx) }) // it may have ended before
		}
		closing.Wait()
		s.peers.close()
		s.cancel(ErrSessionClosed)
		s.closeSinks()
	})
	done := make(chan struct{})
	go func() { // ends with the last goroutine of the session
		s.work.Wait()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("close session: handlers still run: %w", context.Cause(ctx))
	}
}

// IsClosed tells whether Close was called.
func (s *Session) IsClosed() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.closed
}

// closeSinks ends everything that hands values to the application.
func (s *Session) closeSinks() {
	s.mu.Lock()
	subscribers, queryables, watchers := s.subscribers.byID, s.queryables.byID, s.watchers.byID
	matchers, listeners := s.matchers.byID, s.listeners
	s.subscribers, s.queryables, s.watchers = entities[*Subscriber]{}, entities[*Queryable]{}, entities[*watcher]{}
	s.matchers, s.listeners = entities[*matcher]{}, nil
	s.version.Add(1)
	s.mu.Unlock()
	for _, e := range subscribers {
		e.sink.close(true)
	}
	for _, e := range queryables {
		e.sink.close(true)
	}
	for _, e := range watchers {
		e.sink.close(true)
	}
	for _, e := range matchers {
		e.closeListeners()
	}
	for l := range listeners {
		l.sink.close(true)
	}
}

// ZID gives the id of the session.
func (s *Session) ZID() ZID { return s.config.ZID }

// Locators gives where a peer listens.
func (s *Session) Locators() []string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return slices.Clone(s.listening)
}

// NewTimestamp gives a time of the session's clock.
func (s *Session) NewTimestamp() Timestamp { return s.clock.NewTimestamp() }

// usable gives the error of a session that is closed. It is called with the lock held.
func (s *Session) usable() error {
	if s.closed {
		return ErrSessionClosed
	}
	return nil
}

// newID gives the number for an entity or interest.
func (s *Session) newID() uint32 { return s.ids.Add(1) }

// announce tells nodes of a declaration. One whose connection ends learns of it when it is connected again.
func announce(ctx context.Context, faces []*face, m wire.Network) error {
	for _, f := range faces {
		if err := f.announce(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// ask tells those who have to be asked of an interest.
func ask(ctx context.Context, faces []*face, m wire.Network) error {
	for _, f := range faces {
		if !f.asks {
			continue
		}
		if err := f.announce(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// connected gives the faces, when there is one. It waits for that until ctx ends.
func (s *Session) connected(ctx context.Context) ([]*face, error) {
	for {
		if faces := *s.faces.Load(); len(faces) > 0 {
			return faces, nil
		}
		s.mu.Lock()
		if len(*s.faces.Load()) > 0 {
			s.mu.Unlock()
			continue
		}
		err, changed := s.usable(), wait(&s.changed)
		s.mu.Unlock()
		if err != nil {
			return nil, err
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return nil, fmt.Errorf("%w: %w", ErrNotConnected, context.Cause(ctx))
		}
	}
}
