package dev

import (
	"context"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/dev/control"
)

// activityKept is how many activities a reader that comes late or is slow can still get.
const activityKept = 1000

// activity keeps the last things that happened and lets readers follow. Its lock is a leaf: nothing is called while it is held.
type activity struct {
	mu      sync.Mutex
	ring    []control.Activity
	last    uint64 // sequence number of the newest; the first is 1
	changed chan struct{}
}

func newActivity() *activity { return &activity{changed: make(chan struct{})} }

// add records something. It never blocks.
func (a *activity) add(what control.Activity) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.last++
	what.Seq = a.last
	if what.Time.IsZero() {
		what.Time = time.Now()
	}
	if len(a.ring) < activityKept {
		a.ring = append(a.ring, what)
	} else {
		a.ring[(a.last-1)%activityKept] = what
	}
	close(a.changed)
	a.changed = make(chan struct{})
}

// since copies what came after the sequence number from, and gives what to wait on for more.
func (a *activity) since(from uint64) ([]control.Activity, <-chan struct{}) {
	a.mu.Lock()
	defer a.mu.Unlock()
	oldest := a.last - uint64(len(a.ring))
	missed := uint64(0)
	if from < oldest {
		missed, from = oldest-from, oldest
	}
	news := make([]control.Activity, 0, a.last-from)
	for n := from; n < a.last; n++ {
		news = append(news, a.ring[n%activityKept])
	}
	if missed > 0 && len(news) > 0 {
		news[0].Missed = missed
	}
	return news, a.changed
}

// follow calls each for everything after the sequence number from, until ctx or stop ends or each fails.
func (a *activity) follow(ctx context.Context, stop <-chan struct{}, from uint64, each func(control.Activity) error) error {
	for {
		news, changed := a.since(from)
		for _, n := range news {
			if err := each(n); err != nil {
				return err
			}
			from = n.Seq
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-stop:
			return nil
		case <-changed:
		}
	}
}
