package runner

import (
	"context"
	"slices"
	"sync"
	"time"
)

// revision is one version of a function. One goroutine, keep, starts and stops its instances so that there are as many as desired.
type revision struct {
	function *Function
	name     string
	spec     Spec
	policy   policy

	wake   chan struct{}   // one token: there is something to do for keep
	ready  chan struct{}   // closed when the first instance is ready
	failed chan *Failure   // gets the first failure; buffered
	gone   chan struct{}   // closed when keep and all instances have ended
	killed context.Context // done: no more patience with instances
	kill   context.CancelFunc
	wg     sync.WaitGroup // of the instances

	// Guarded by the function's lock.
	scaler    *scaler // nil before the revision is current
	desired   int
	live      []*instance // starting, unready, ready
	stops     []*instance // stopping
	failures  int         // in a row
	owed      int         // instances that crashed and have not been replaced
	retryAt   time.Time   // no start before
	wokenAt   time.Time   // when a request woke the function, until an instance is ready
	everReady bool
	retired   bool
}

// Delays between starts after failures, and how long there must have been none for the next one to be the first of a row.
const (
	firstBackoff = 100 * time.Millisecond
	lastBackoff  = 10 * time.Second
	forgetAfter  = lastBackoff
)

func newRevision(f *Function, name string, spec Spec, p policy) *revision {
	rev := &revision{
		function: f, name: name, spec: spec, policy: p,
		wake: make(chan struct{}, 1), ready: make(chan struct{}), failed: make(chan *Failure, 1), gone: make(chan struct{}),
	}
	rev.killed, rev.kill = context.WithCancel(f.runner.killed)
	return rev
}

// poke makes keep look again.
func (rev *revision) poke() {
	select {
	case rev.wake <- struct{}{}:
	default:
	}
}

// retire makes keep stop all instances and end.
func (rev *revision) retire() {
	rev.function.mu.Lock()
	rev.retired = true
	rev.function.mu.Unlock()
	rev.poke()
}

// keep keeps as many instances as desired, until the revision is retired and its last instance has ended.
func (rev *revision) keep() {
	defer rev.end()
	for {
		again, retired := rev.reconcile()
		if retired {
			return
		}
		var timer <-chan time.Time
		if again > 0 {
			timer = time.After(again)
		}
		select {
		case <-rev.wake:
		case <-timer:
		}
	}
}

// end waits for the instances and forgets the revision.
func (rev *revision) end() {
	rev.wg.Wait()
	rev.kill()
	f := rev.function
	f.mu.Lock()
	f.retired = slices.DeleteFunc(f.retired, func(r *revision) bool { return r == rev })
	f.mu.Unlock()
	f.runner.emit(Event{Kind: EventDrained, Function: f.name, Revision: rev.name})
	close(rev.gone)
}

// reconcile starts what is missing and stops what is too much. It gives the time after which to try again, 0 for when something happens.
func (rev *revision) reconcile() (again time.Duration, retired bool) {
	f := rev.function
	f.mu.Lock()
	defer f.mu.Unlock()
	if rev.retired {
		rev.desired = 0
	}
	for len(rev.live) > rev.desired {
		rev.stop(rev.surplus())
	}
	if rev.retired {
		return 0, true
	}
	missing := rev.desired - len(rev.live)
	if missing <= 0 {
		rev.owed = 0
		return 0, false
	}
	if wait := time.Until(rev.retryAt); wait > 0 {
		return wait, false
	}
	if rev.failures > 0 && !slices.ContainsFunc(rev.live, isReady) {
		missing = min(missing, 1-min(1, len(rev.live))) // what may be a crash loop is worth one try at a time; serve pokes for the others
	}
	for range missing {
		if rev.owed > 0 {
			rev.owed--
			f.restarts++
			f.runner.metrics.restarts.WithLabelValues(f.name).Inc()
		}
		i := newInstance(rev)
		rev.live = append(rev.live, i)
		rev.wg.Go(i.run)
	}
	return 0, false
}

// surplus chooses the instance to stop: one that is not ready, else the one with the fewest requests. It needs the lock.
func (rev *revision) surplus() *instance {
	return slices.MinFunc(rev.live, func(a, b *instance) int {
		if (a.state == ready) != (b.state == ready) {
			if b.state == ready {
				return -1
			}
			return 1
		}
		return a.inFlight - b.inFlight
	})
}

// stop takes an instance out of service. It needs the lock.
func (rev *revision) stop(i *instance) {
	rev.drop(i)
	rev.stops = append(rev.stops, i)
	i.state = stopping
	if i.inFlight == 0 {
		close(i.idle)
	}
	close(i.stop)
}

// drop takes an instance off the lists. It needs the lock.
func (rev *revision) drop(i *instance) {
	same := func(other *instance) bool { return other == i }
	rev.live = slices.DeleteFunc(rev.live, same)
	rev.stops = slices.DeleteFunc(rev.stops, same)
}

// serve puts an instance that accepts connections into service. It tells how long a request that woke the function has waited, if one did,
// and whether the instance is still wanted.
func (rev *revision) serve(i *instance) (cold time.Duration, ok bool) {
	f := rev.function
	f.mu.Lock()
	defer f.mu.Unlock()
	if i.state == stopping {
		return 0, false
	}
	i.state = ready
	if i.readyAt.IsZero() {
		i.readyAt = time.Now()
	}
	if !rev.everReady {
		rev.everReady = true
		close(rev.ready)
	}
	if rev.failures > 0 {
		rev.poke()
	}
	if !rev.wokenAt.IsZero() {
		cold = time.Since(rev.wokenAt)
		rev.wokenAt = time.Time{}
		f.runner.metrics.coldStart(f.name, cold)
	}
	f.dispatch()
	return cold, true
}

// lose deals with an instance that ended by itself or did not start. It tells whether that was news: an instance that was told to stop may
// end as it likes.
func (rev *revision) lose(i *instance, failure *Failure) bool {
	f := rev.function
	f.mu.Lock()
	defer f.mu.Unlock()
	stopped := i.state == stopping
	rev.drop(i)
	if stopped {
		return false
	}
	i.state = stopping
	if time.Since(rev.retryAt) >= forgetAfter {
		rev.failures = 0
	}
	rev.failures++
	rev.owed++
	rev.retryAt = time.Now().Add(min(firstBackoff<<min(rev.failures-1, 10), lastBackoff))
	rev.poke()
	select {
	case rev.failed <- failure:
	default:
	}
	if f.current == rev || f.current == nil {
		f.failure = failure
	}
	if f.current == rev && failure.atStart && len(rev.live) == 0 {
		f.failWaiters(failure.fault(f.name))
	}
	return true
}

// readyCount counts the ready instances.
func (rev *revision) readyCount() int {
	rev.function.mu.Lock()
	defer rev.function.mu.Unlock()
	n := 0
	for _, i := range rev.live {
		if isReady(i) {
			n++
		}
	}
	return n
}
