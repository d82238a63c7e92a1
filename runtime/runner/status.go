package runner

import (
	"fmt"
	"maps"
	"slices"
	"time"
)

// Status is how a function stands.
type Status struct {
	Name     string
	Revision string // that requests go to; "" if there is none yet
	State    string // for people: "ready", "scaled to zero", "starting", "crash loop: exit status 1; next start in 3s", ...
	Ready    int    // instances that get requests
	Desired  int    // instances that there should be
	Starting int    // instances that do not accept connections yet
	Stopping int    // instances that drain, of older revisions too
	Queued   int    // requests that wait for an instance
	InFlight int    // requests that instances work on
	Restarts int    // starts in place of crashed instances
	// LastError is the last crash of the current revision, or why the first one did not start; nil if there was none.
	LastError *Failure
	PIDs      []int
}

// Status tells how every function stands, in the order of their names.
func (r *Runner) Status() []Status {
	r.mu.Lock()
	functions := slices.SortedFunc(maps.Values(r.functions), func(a, b *Function) int {
		if a.name < b.name {
			return -1
		}
		return 1
	})
	r.mu.Unlock()
	all := make([]Status, len(functions))
	for n, f := range functions {
		all[n] = f.Status()
	}
	return all
}

// Status tells how the function stands.
func (f *Function) Status() Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := Status{Name: f.name, Queued: f.waiters.Len(), InFlight: f.inFlight, Restarts: f.restarts, LastError: f.failure}
	if f.current != nil {
		s.Revision, s.Desired = f.current.name, f.current.desired
		s.count(f.current)
	}
	if f.next != nil {
		s.count(f.next)
	}
	for _, rev := range f.retired {
		s.count(rev)
	}
	slices.Sort(s.PIDs)
	s.State = f.state(s)
	return s
}

// count adds the instances of a revision. Its function's lock is held.
func (s *Status) count(rev *revision) {
	for _, i := range slices.Concat(rev.live, rev.stops) {
		switch i.state {
		case ready:
			s.Ready++
		case stopping:
			s.Stopping++
		default:
			s.Starting++
		}
		if i.pid != 0 {
			s.PIDs = append(s.PIDs, i.pid)
		}
	}
}

// state gives the text of a status. It needs the lock.
func (f *Function) state(s Status) string {
	switch {
	case f.closing:
		return "stopping"
	case f.current == nil && f.next == nil && f.failure != nil:
		return "failed: " + f.failure.Reason
	case f.current == nil:
		return "starting"
	case f.next != nil:
		return "deploying " + f.next.name
	case s.Ready > 0 && s.Ready >= s.Desired:
		return "ready"
	case s.Desired == 0:
		return "scaled to zero"
	case len(f.current.live) == 0 && f.current.failures > 1 && f.failure != nil:
		wait := max(0, time.Until(f.current.retryAt)).Round(100 * time.Millisecond)
		return fmt.Sprintf("crash loop: %s; next start in %v", f.failure.Reason, wait)
	case len(f.current.live) == 0 && f.failure != nil:
		return "crashed: " + f.failure.Reason
	case s.Ready > 0:
		return "scaling"
	}
	return "starting"
}
