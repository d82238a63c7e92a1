package runner

import (
	"container/list"
	"context"
	"errors"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// queueRetryAfter is what a caller is told when the queue is full.
const queueRetryAfter = time.Second

// grant is what a waiting request gets: an instance with a place taken on it, or the reason why there is none.
type grant struct {
	instance *instance
	err      error
}

// waiter is a request that waits for an instance.
type waiter struct {
	granted chan grant // buffered: who grants never waits
	place   *list.Element
}

// acquire takes a place on the least loaded instance; if there is none it waits in the queue, in order. Whoever gets an instance must release it.
func (f *Function) acquire(ctx context.Context) (*instance, error) {
	now := f.runner.config.Clock.Now()
	f.mu.Lock()
	if err := f.refusal(); err != nil {
		f.mu.Unlock()
		return nil, err
	}
	if f.waiters.Len() == 0 {
		if i := f.pick(); i != nil {
			f.meter.enter(now)
			f.place(i)
			f.mu.Unlock()
			return i, nil
		}
	}
	if f.waiters.Len() >= f.runner.config.QueueDepth {
		n := f.waiters.Len()
		f.mu.Unlock()
		err := fault.New(fault.Busy, "function %s: %d requests wait for an instance already; the queue is full", f.name, n)
		err.RetryAfter = queueRetryAfter
		return nil, err
	}
	f.meter.enter(now)
	w := &waiter{granted: make(chan grant, 1)}
	w.place = f.waiters.PushBack(w)
	woken := f.wake(now)
	f.mu.Unlock()
	if woken != nil {
		f.scaled(woken, 0, woken.policy.activation())
	}
	select {
	case g := <-w.granted:
		return g.instance, g.err
	case <-ctx.Done():
		return nil, f.abandon(w, ctx.Err())
	}
}

// refusal tells why a request has no chance; nil if it has one. It needs the lock.
func (f *Function) refusal() error {
	switch {
	case f.closing:
		return fault.New(fault.Unavailable, "function %s is being removed", f.name)
	case f.current == nil && f.next == nil:
		return f.failure.fault(f.name)
	case f.current == nil:
		return nil
	}
	wait := time.Until(f.current.retryAt)
	if len(f.current.live) > 0 || wait <= 0 || f.failure == nil || !f.failure.atStart {
		return nil
	}
	err := f.failure.fault(f.name)
	err.RetryAfter = wait
	return err
}

// wake lets a function at zero start instances, and gives the revision if it did. It needs the lock.
func (f *Function) wake(now time.Time) *revision {
	r := f.current
	if r == nil || r.desired > 0 {
		return nil
	}
	r.desired = r.policy.activation()
	r.wokenAt = time.Now()
	r.scaler.wake(now)
	r.poke()
	return r
}

// abandon takes a waiter out of the queue, or gives back what it was granted meanwhile.
func (f *Function) abandon(w *waiter, cause error) error {
	f.mu.Lock()
	select {
	case g := <-w.granted:
		f.mu.Unlock()
		if g.instance != nil {
			f.release(g.instance)
		}
	default:
		f.waiters.Remove(w.place)
		f.meter.leave(f.runner.config.Clock.Now())
		f.settleIdle()
		f.mu.Unlock()
	}
	return f.contextFault(cause, "wait for an instance")
}

// contextFault gives the fault of a context that ended.
func (f *Function) contextFault(cause error, what string) error {
	code := fault.Cancelled
	if errors.Is(cause, context.DeadlineExceeded) {
		code = fault.DeadlineExceeded
	}
	return fault.Wrap(code, cause, "function %s: %s", f.name, what)
}

// pick gives the ready instance with the fewest requests that may get another one, or nil. It needs the lock. Instances with equally many
// requests take turns.
func (f *Function) pick() *instance {
	if f.current == nil {
		return nil
	}
	var best *instance
	limit, live := f.current.spec.Concurrency, f.current.live
	f.turn++
	for n := range live {
		i := live[(f.turn+n)%len(live)]
		if i.state == ready && (limit == 0 || i.inFlight < limit) && (best == nil || i.inFlight < best.inFlight) {
			best = i
		}
	}
	return best
}

// place takes a place on an instance. It needs the lock.
func (f *Function) place(i *instance) {
	i.inFlight++
	f.inFlight++
}

// release gives a place back, and hands it to who waits.
func (f *Function) release(i *instance) {
	now := f.runner.config.Clock.Now()
	f.mu.Lock()
	defer f.mu.Unlock()
	i.inFlight--
	f.inFlight--
	if i.revision == f.current {
		f.meter.leave(now)
	}
	if i.state == stopping && i.inFlight == 0 {
		close(i.idle)
	}
	f.dispatch()
	f.settleIdle()
}

// dispatch hands instances to those who wait, first come first served. It needs the lock.
func (f *Function) dispatch() {
	for f.waiters.Len() > 0 {
		i := f.pick()
		if i == nil {
			return
		}
		f.place(i)
		f.grant(grant{instance: i})
	}
}

// grant answers the first waiter. It needs the lock.
func (f *Function) grant(g grant) {
	w := f.waiters.Remove(f.waiters.Front()).(*waiter)
	w.granted <- g
}

// failWaiters refuses everybody who waits. It needs the lock.
func (f *Function) failWaiters(err error) {
	now := f.runner.config.Clock.Now()
	for f.waiters.Len() > 0 {
		f.grant(grant{err: err})
		f.meter.leave(now)
	}
	f.settleIdle()
}

// settleIdle tells remove that the last request has gone. It needs the lock.
func (f *Function) settleIdle() {
	if f.idle != nil && f.waiters.Len() == 0 && f.inFlight == 0 {
		close(f.idle)
		f.idle = nil
	}
}
