package zenoh

import (
	"context"
	"sync"
	"time"
)

// Handler takes what a subscriber, queryable, get or listener gets: a Closure, a FifoChannel or a RingChannel. Where it is nil, a FifoChannel
// of DefaultCapacity is used, or of less for a get, which keeps what its channel cannot hold.
type Handler[T any] interface {
	// open gives the sink for the session and the channel for the application, which is nil for closures.
	open(s *Session, o sinkOptions[T]) (sink[T], <-chan T)
}

// sink is where a session puts what comes in.
type sink[T any] interface {
	// push hands a value over, and tells whether that went well. It may wait for Handlers.Patience.
	push(v *T) bool
	// pushMore is push by a caller that pushes again, or calls flush, before it does anything that takes time.
	pushMore(v *T) bool
	flush()
	// close ends it. Nothing is pushed successfully afterwards; what is queued is handed out still, unless it is to be discarded.
	close(discard bool)
	// end hands over the last value, for which there is room in any case where a get may end, and closes.
	end(last *T)
	// dropped gives the number of values for which there was no room.
	dropped() uint64
}

// sinkOptions are what a kind of entity wants of its sink.
type sinkOptions[T any] struct {
	weigh   func(*T) int    // bytes that a value holds; nil is none
	discard func(*T)        // for a value that was queued and will not be handed out; may be nil
	memory  *sync.Pool      // shared by mailboxes of this kind; may be nil
	workers int             // goroutines that call a closure; 0 is 1
	spill   context.Context // not nil: a channel that is full must not make the session wait; what is too much is kept until this ends
}

// DefaultCapacity is that of the FifoChannel which is used in place of a handler that is nil.
const DefaultCapacity = 256

// open opens a handler, or the default one.
func open[T any](s *Session, h Handler[T], o sinkOptions[T]) (sink[T], <-chan T) {
	if h == nil {
		h = NewFifoChannel[T](DefaultCapacity)
	}
	return h.open(s, o)
}

// openWhileOpen is open for callers that do not hold the lock of the session, whose goroutines must all have begun before Close waits for them.
func openWhileOpen[T any](s *Session, h Handler[T], o sinkOptions[T]) (sink[T], <-chan T, error) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.usable(); err != nil {
		return nil, nil, err
	}
	k, c := open(s, h, o)
	return k, c, nil
}

// Closure calls a function for each value, on a goroutine of the session. Drop, if not nil, is called once, after the last call.
type Closure[T any] struct {
	Call func(T)
	Drop func()
}

// FifoChannel is a handler whose channel holds some values. When it is full, the next one waits as it does for a closure.
type FifoChannel[T any] struct{ capacity int }

// NewFifoChannel makes a handler with a channel of that capacity, at least 1.
func NewFifoChannel[T any](capacity int) FifoChannel[T] { return FifoChannel[T]{capacity} }

// RingChannel is a handler whose channel holds the newest values.
type RingChannel[T any] struct{ capacity int }

// NewRingChannel makes a handler with a channel of that capacity, at least 1. When it is full, the oldest value makes room.
func NewRingChannel[T any](capacity int) RingChannel[T] { return RingChannel[T]{capacity} }

func (c Closure[T]) open(s *Session, o sinkOptions[T]) (sink[T], <-chan T) {
	m := newMailbox(c.Call, s.config.Handlers, o)
	var workers sync.WaitGroup
	for range max(o.workers, 1) {
		workers.Add(1)
		s.work.Go(func() {
			defer workers.Done()
			m.work(o.workers > 1)
		})
	}
	if c.Drop != nil {
		s.work.Go(func() {
			workers.Wait()
			c.Drop()
		})
	}
	return m, nil
}

func (c FifoChannel[T]) open(s *Session, o sinkOptions[T]) (sink[T], <-chan T) {
	ch := make(chan T, max(c.capacity, 1))
	if o.spill != nil {
		return &spill[T]{s: s, ctx: o.spill, ch: ch, o: o}, ch
	}
	return &fifo[T]{ch: ch, patience: s.config.Handlers.Patience, stop: make(chan struct{})}, ch
}

func (c RingChannel[T]) open(_ *Session, o sinkOptions[T]) (sink[T], <-chan T) {
	ch := make(chan T, max(c.capacity, 1))
	return &ring[T]{ch: ch, discard: o.discard}, ch
}

// fifo waits a little when its channel is full.
type fifo[T any] struct {
	patience time.Duration
	stop     chan struct{} // closed to wake up who waits
	once     sync.Once

	mu      sync.Mutex // held while waiting, so that values keep their order
	ch      chan T
	closed  bool
	lagging bool
	lost    uint64
}

func (f *fifo[T]) pushMore(v *T) bool { return f.push(v) }
func (f *fifo[T]) flush()             {}

func (f *fifo[T]) push(v *T) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed || !f.send(*v) {
		f.lost++
		return false
	}
	return true
}

func (f *fifo[T]) send(v T) bool {
	if f.lagging && len(f.ch) > cap(f.ch)/2 {
		return false
	}
	f.lagging = false
	select {
	case f.ch <- v:
		return true
	default:
	}
	timer := time.NewTimer(f.patience)
	defer timer.Stop()
	select {
	case f.ch <- v:
		return true
	case <-timer.C:
		f.lagging = true
	case <-f.stop:
	}
	return false
}

func (f *fifo[T]) close(bool) {
	f.once.Do(func() {
		close(f.stop)
		f.mu.Lock()
		defer f.mu.Unlock()
		f.closed = true
		close(f.ch)
	})
}

func (f *fifo[T]) end(last *T) {
	f.push(last)
	f.close(false)
}

func (f *fifo[T]) dropped() uint64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.lost
}

// ring makes room by discarding the oldest.
type ring[T any] struct {
	discard func(*T)

	mu     sync.Mutex
	ch     chan T
	closed bool
	lost   uint64
}

func (r *ring[T]) pushMore(v *T) bool { return r.push(v) }
func (r *ring[T]) flush()             {}

func (r *ring[T]) push(v *T) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for !r.closed {
		select {
		case r.ch <- *v:
			return true
		default:
		}
		select {
		case old := <-r.ch:
			r.lost++
			if r.discard != nil {
				r.discard(&old)
			}
		default:
		}
	}
	return false
}

func (r *ring[T]) close(bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.closed {
		r.closed = true
		close(r.ch)
	}
}

func (r *ring[T]) end(last *T) {
	r.push(last)
	r.close(false)
}

func (r *ring[T]) dropped() uint64 {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.lost
}
