package runner

import (
	"container/list"
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Function is a deployed function: an http.RoundTripper that sends each request to one of its instances, and starts one if there is none.
type Function struct {
	runner *Runner
	name   string
	log    *logBuffer
	change chan struct{} // holds one token; who deploys or removes has it

	mu       sync.Mutex
	current  *revision // what requests go to; nil before the first deploy succeeded
	next     *revision // what is being deployed
	retired  []*revision
	waiters  list.List // of *waiter
	inFlight int       // of all revisions
	turn     int
	meter    meter
	failure  *Failure // the last one
	restarts int
	closing  bool          // refuse requests
	removed  bool          // no longer in the runner
	idle     chan struct{} // closed when the last request has gone, if somebody waits for that
}

func newFunction(r *Runner, name string) *Function {
	f := &Function{runner: r, name: name, log: newLogBuffer(r.config.LogLines), change: make(chan struct{}, 1)}
	f.change <- struct{}{}
	return f
}

// Name gives the function's name.
func (f *Function) Name() string { return f.name }

// Revision gives the name of the revision that requests go to, "" if none.
func (f *Function) Revision() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.current == nil {
		return ""
	}
	return f.current.name
}

// deploy brings up a revision and makes it the current one. The caller holds the change token.
func (f *Function) deploy(ctx context.Context, rev *revision) error {
	f.mu.Lock()
	f.next = rev
	rev.desired = rev.policy.initial()
	f.mu.Unlock()
	f.runner.wg.Go(rev.keep)
	var err error
	select {
	case <-rev.ready:
		f.swap(rev)
		return nil
	case failure := <-rev.failed:
		err = failure.fault(f.name)
	case <-ctx.Done():
		err = f.contextFault(ctx.Err(), "wait until revision "+rev.name+" is ready")
	case <-f.runner.stopping:
		err = errStopped
	}
	f.mu.Lock()
	f.next = nil
	if f.current == nil {
		f.failWaiters(err)
	}
	f.mu.Unlock()
	rev.retire()
	rev.kill()
	<-rev.gone
	return err
}

// swap makes rev the current revision. Who waits goes on with the new one; what runs on the old one ends there.
func (f *Function) swap(rev *revision) {
	now := f.runner.config.Clock.Now()
	scaler := newScaler(rev.policy, rev.name, now, rev.readyCount) // asks for the count, which takes the lock
	f.mu.Lock()
	old := f.current
	f.current, f.next, f.failure = rev, nil, nil
	from := rev.desired
	if old != nil {
		f.retired = append(f.retired, old)
		rev.desired = rev.policy.bound(max(rev.desired, old.desired))
	}
	to := rev.desired
	f.meter.reset(now, f.waiters.Len())
	rev.scaler = scaler
	f.dispatch()
	rev.poke()
	f.mu.Unlock()
	if to != from {
		f.scaled(rev, from, to)
	}
	if old != nil {
		old.retire()
	}
}

// remove refuses new requests, lets those that are there end, and stops everything. When ctx ends first, it kills.
func (f *Function) remove(ctx context.Context) {
	f.mu.Lock()
	f.closing = true
	var idle chan struct{}
	if f.waiters.Len() > 0 || f.inFlight > 0 {
		idle = make(chan struct{})
		f.idle = idle
	}
	f.mu.Unlock()
	if idle != nil {
		patience := time.NewTimer(f.runner.config.DrainTimeout)
		defer patience.Stop()
		select {
		case <-idle:
		case <-patience.C:
		case <-ctx.Done():
		}
	}
	f.mu.Lock()
	f.failWaiters(fault.New(fault.Unavailable, "function %s is being removed", f.name))
	revisions := slices.Clone(f.retired)
	if f.current != nil {
		revisions = append(revisions, f.current)
		f.retired = append(f.retired, f.current)
		f.current = nil
	}
	f.mu.Unlock()
	for _, rev := range revisions {
		rev.retire()
	}
	for _, rev := range revisions {
		select {
		case <-rev.gone:
		case <-ctx.Done():
			rev.kill()
			<-rev.gone
		}
	}
	f.log.close()
}

// sample feeds the load since the last sample to the scaler, and gives the revision that it was for.
func (f *Function) sample(now time.Time) *revision {
	f.mu.Lock()
	rev := f.current
	concurrency, arrived := f.meter.sample(now)
	f.mu.Unlock()
	if rev != nil {
		rev.scaler.record(now, concurrency, arrived)
	}
	return rev
}

// autoscale lets the scaler decide on the current revision.
func (f *Function) autoscale(now time.Time) {
	f.mu.Lock()
	rev := f.current
	f.mu.Unlock()
	if rev == nil {
		return
	}
	n, ok := rev.scaler.recommend(now)
	if !ok {
		return
	}
	f.mu.Lock()
	if f.current != rev {
		f.mu.Unlock()
		return
	}
	from := rev.desired
	to := rev.scaler.settle(now, n, from)
	if f.waiters.Len() > 0 || f.inFlight > 0 {
		to = max(to, min(from, 1))
	}
	rev.desired = to
	if to != from {
		rev.poke()
	}
	f.mu.Unlock()
	if to != from {
		f.scaled(rev, from, to)
	}
}

// scaled reports a change of scale. It must be called without the lock, as all of emit's callers.
func (f *Function) scaled(rev *revision, from, to int) {
	kind := EventScaled
	if to == 0 {
		kind = EventScaledToZero
	}
	f.runner.emit(Event{Kind: kind, Function: f.name, Revision: rev.name, From: from, To: to})
}

// fault makes the error of a request, or a deploy, that cannot be served because of the failure.
func (f *Failure) fault(function string) *fault.Error {
	if f == nil {
		return fault.New(fault.FunctionUnavailable, "function %s has no revision that is ready", function)
	}
	what := "cannot start"
	if !f.atStart {
		what = "has crashed"
	}
	text := fmt.Sprintf("function %s (revision %s) %s: %s", function, f.Revision, what, f.Reason)
	return fault.New(fault.FunctionUnavailable, "%s", text+f.output())
}

// messageLines is how many lines of output an error message carries.
const messageLines = 10

// output gives the last lines for a message.
func (f *Failure) output() string {
	if len(f.Lines) == 0 {
		return "; it wrote no output"
	}
	lines := f.Lines[max(0, len(f.Lines)-messageLines):]
	return "; last output:\n  " + strings.Join(lines, "\n  ")
}
