// Package remote has the object data grid of one process used from others, over Zenoh: a Server puts a grid on a session, and a Client is a grid
// to those who use it, as the gateway does.
//
// Guarantee: a call means the same through a Client as on the grid itself, errors included. What the grid answered comes back whole, or the
// caller is told that nobody serves the class now (UNAVAILABLE), that the answer did not come in time (DEADLINE_EXCEEDED), or that it gave up
// (CANCELLED), of which the grid is told. A server that is there again is used again without a word. See DESIGN.md beside this file.
package remote

import (
	"cmp"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"slices"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
)

// ServerConfig says what a server bounds. The zero value has the defaults.
type ServerConfig struct {
	// MaxInFlight bounds the calls and writes that run at a time; the next gets BUSY. 0 means 4096.
	MaxInFlight int
	Logger      *slog.Logger
}

// Server answers for a grid on a session, as long as it is open. Classes may be deployed and removed meanwhile.
type Server struct {
	grid    *odgm.Grid
	session *zenoh.Session
	log     *slog.Logger
	node    string
	room    chan struct{}

	ctx     context.Context // ends when requests are cut off
	cut     context.CancelFunc
	stop    context.CancelFunc // ends follow
	follows sync.WaitGroup

	mu       sync.Mutex
	closed   bool
	running  sync.WaitGroup // requests and pumps; Add with mu held while not closed
	requests requests
	pumps    map[string]*pump

	// deployed is what the grid has, and changed has a token when that is not declared yet.
	deploys  sync.Mutex
	deployed map[string]*odgm.Class
	changed  chan struct{}
	observed func() // ends the observation

	// What is declared; for the goroutine of follow, and Close after it.
	classes    map[string]*zenoh.Queryable
	generation uint64
	token      *zenoh.LivelinessToken
	queryable  *zenoh.Queryable
	cancels    *zenoh.Subscriber
}

// NewServer puts a grid on a session: when it returns, what the grid serves is declared.
func NewServer(ctx context.Context, session *zenoh.Session, grid *odgm.Grid, cfg ServerConfig) (*Server, error) {
	s := &Server{
		grid: grid, session: session, node: session.ZID().String(), room: make(chan struct{}, cmp.Or(cfg.MaxInFlight, 4096)),
		log: cfg.Logger, deployed: map[string]*odgm.Class{}, changed: make(chan struct{}, 1), pumps: map[string]*pump{}, classes: map[string]*zenoh.Queryable{},
		generation: uint64(time.Now().UnixMicro()), // greater than those of an earlier process with the same id
	}
	if s.log == nil {
		s.log = slog.New(slog.DiscardHandler)
	}
	s.ctx, s.cut = context.WithCancel(context.Background())
	follow, stop := context.WithCancel(context.Background())
	s.stop = stop
	s.observed = grid.Observe(s.observe)
	err := s.declare(ctx)
	if err == nil {
		err = s.refresh(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("serve grid over Zenoh: %w", err), s.Close(ctx))
	}
	s.follows.Go(func() { s.follow(follow) })
	return s, nil
}

// declare declares what a node has whatever it serves.
func (s *Server) declare(ctx context.Context) error {
	key, err := nodeKey(s.node)
	if err != nil {
		return err
	}
	s.queryable, err = s.session.DeclareQueryable(ctx, key, zenoh.Closure[*zenoh.Query]{Call: s.answer}, &zenoh.QueryableOptions{Complete: true})
	if err != nil {
		return err
	}
	if key, err = cancelKey(s.node); err != nil {
		return err
	}
	s.cancels, err = s.session.DeclareSubscriber(ctx, key, zenoh.Closure[zenoh.Sample]{Call: s.cancelled}, nil)
	return err
}

// observe takes note of a class that is deployed or changed, or about to be removed.
func (s *Server) observe(name string, spec *odgm.Class) {
	s.deploys.Lock()
	defer s.deploys.Unlock()
	if spec == nil {
		delete(s.deployed, name)
	} else {
		s.deployed[name] = spec
	}
	select {
	case s.changed <- struct{}{}:
	default:
	}
}

// specs gives the classes that are deployed, sorted by name.
func (s *Server) specs() []*odgm.Class {
	s.deploys.Lock()
	defer s.deploys.Unlock()
	specs := make([]*odgm.Class, 0, len(s.deployed))
	for _, name := range slices.Sorted(maps.Keys(s.deployed)) {
		specs = append(specs, s.deployed[name])
	}
	return specs
}

// follow declares what changes, until ctx ends.
func (s *Server) follow(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-s.changed:
		}
		if err := s.refresh(ctx); err != nil && ctx.Err() == nil {
			s.log.Error("declare classes", "error", err)
		}
	}
}

// refresh declares the classes that the grid has now, and then that something has changed: who asks thereafter finds them.
func (s *Server) refresh(ctx context.Context) error {
	var errs []error
	now := map[string]bool{}
	for _, spec := range s.specs() {
		now[spec.Name] = true
		if s.classes[spec.Name] == nil {
			errs = append(errs, s.serve(ctx, spec.Name))
		}
	}
	for name, queryable := range s.classes {
		if !now[name] {
			delete(s.classes, name)
			errs = append(errs, queryable.Undeclare(ctx))
		}
	}
	s.generation++
	old := s.token
	key, err := tokenKey(s.node, s.generation)
	if err == nil {
		s.token, err = s.session.Liveliness().DeclareToken(ctx, key)
	}
	if old != nil {
		errs = append(errs, old.Undeclare(ctx))
	}
	return errors.Join(append(errs, err)...)
}

// serve declares a class.
func (s *Server) serve(ctx context.Context, name string) error {
	if err := chunk(name); err != nil {
		return err
	}
	key, err := classKey(name)
	if err != nil {
		return err
	}
	s.classes[name], err = s.session.DeclareQueryable(ctx, key, zenoh.Closure[*zenoh.Query]{Call: s.answer},
		&zenoh.QueryableOptions{Complete: true, Concurrency: runtime.GOMAXPROCS(0)})
	if err != nil {
		delete(s.classes, name)
	}
	return err
}

// Close takes no more requests, waits for those that run until ctx ends, and cuts the rest off. The session and the grid stay open.
func (s *Server) Close(ctx context.Context) error {
	s.observed()
	s.stop()
	s.follows.Wait()
	var errs []error
	if s.token != nil {
		errs = append(errs, s.token.Undeclare(ctx))
	}
	s.mu.Lock()
	s.closed = true
	for _, p := range s.pumps {
		p.stop()
	}
	s.mu.Unlock()
	done := make(chan struct{})
	go func() { // ends with the requests, which are cut off below
		defer close(done)
		s.running.Wait()
	}()
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("close server of grid: requests cut off: %w", context.Cause(ctx)))
	}
	s.cut()
	<-done
	for _, queryable := range s.classes {
		errs = append(errs, queryable.Undeclare(ctx))
	}
	if s.queryable != nil {
		errs = append(errs, s.queryable.Undeclare(ctx))
	}
	if s.cancels != nil {
		errs = append(errs, s.cancels.Undeclare(ctx))
	}
	if s.session.IsClosed() {
		return nil // then there is nothing to undeclare
	}
	return errors.Join(errs...)
}

// requests are those that can be cancelled, by their numbers.
type requests struct {
	mu      sync.Mutex
	cancels map[uint64]context.CancelFunc
	// early has numbers that were cancelled before they came, as both come on ways of their own; the oldest make room.
	early [64]uint64
	next  int
}

// add makes a request known; it gives false if it was cancelled already.
func (r *requests) add(number uint64, cancel context.CancelFunc) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i, early := range r.early {
		if early == number {
			r.early[i] = 0
			return false
		}
	}
	if r.cancels == nil {
		r.cancels = map[uint64]context.CancelFunc{}
	}
	r.cancels[number] = cancel
	return true
}

func (r *requests) remove(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.cancels, number)
}

func (r *requests) cancel(number uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if cancel := r.cancels[number]; cancel != nil {
		cancel()
		return
	}
	r.early[r.next] = number
	r.next = (r.next + 1) % len(r.early)
}

// cancelled takes the numbers of requests, 8 bytes each, big endian.
func (s *Server) cancelled(sample zenoh.Sample) {
	for text := sample.Payload(); len(text) >= 8; text = text[8:] {
		s.requests.cancel(binary.BigEndian.Uint64(text))
	}
}
