package outbox

import (
	"cmp"
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/odgm/record"
)

// Sizes of what is recorded at once.
const (
	maxAcks   = 1024 // in one command
	maxBuries = 32   // commands at once, so that the shard can commit them together
)

// ending is the end of an event's delivery: accepted, or given up.
type ending struct {
	group *group
	seq   uint64
	cost  int

	bury     bool
	reason   string
	attempts int
}

func (e *ending) ref() *record.EventRef { return &record.EventRef{Group: e.group.name, Seq: e.seq} }

// settler records ends of deliveries in the shard. Whatever has ended while it records goes into the next command, so acknowledgements are
// prompt when they are few and grouped when they are many.
type settler struct {
	o       *Outbox
	context context.Context
	abort   context.CancelFunc

	wake    chan struct{}
	stopped chan struct{} // closed when nothing will be added any more
	done    chan struct{}

	mu     sync.Mutex
	queue  []ending
	failed int // commands that failed in a row; of the goroutine alone
}

func newSettler(o *Outbox) *settler {
	s := &settler{o: o, wake: make(chan struct{}, 1), stopped: make(chan struct{}), done: make(chan struct{})}
	s.context, s.abort = context.WithCancel(context.Background())
	go s.run()
	return s
}

// add takes an ending; it never blocks. What is queued is bounded by the windows of the groups.
func (s *settler) add(e ending) {
	s.mu.Lock()
	s.queue = append(s.queue, e)
	s.mu.Unlock()
	select {
	case s.wake <- struct{}{}:
	default:
	}
}

// stop lets the settler record what is queued, once, and gives the channel that is closed when it has ended.
func (s *settler) stop() <-chan struct{} {
	close(s.stopped)
	return s.done
}

func (s *settler) run() {
	defer close(s.done)
	for {
		select {
		case <-s.wake:
			s.drain()
		case <-s.stopped:
			s.drain()
			return
		}
	}
}

// drain records until the queue is empty. When the shard fails it waits and tries again, or gives up if the deliverer closes.
func (s *settler) drain() {
	for {
		batch := s.takeBatch()
		if len(batch) == 0 {
			return
		}
		rest, err := s.record(batch)
		if err == nil {
			s.failed = 0
			continue
		}
		s.failed++
		s.o.cfg.Logger.Error("record deliveries", "shard", s.o.cfg.Name, "events", len(rest), "error", err)
		s.mu.Lock()
		s.queue = append(rest, s.queue...)
		s.mu.Unlock()
		select {
		case <-time.After(s.o.cfg.delay(s.failed)):
		case <-s.stopped:
			return
		}
	}
}

func (s *settler) takeBatch() []ending {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := min(len(s.queue), maxAcks)
	batch := s.queue[:n:n]
	s.queue = s.queue[n:]
	return batch
}

// record has the shard commit the endings, and gives those that it did not.
func (s *settler) record(batch []ending) (rest []ending, err error) {
	var acks, buries []ending
	for _, e := range batch {
		if e.bury {
			buries = append(buries, e)
		} else {
			acks = append(acks, e)
		}
	}
	if err := s.ack(acks); err != nil {
		return batch, err
	}
	for len(buries) > 0 {
		n := min(len(buries), maxBuries)
		failed, err := s.bury(buries[:n])
		if err != nil {
			return append(failed, buries[n:]...), err
		}
		buries = buries[n:]
	}
	return nil, nil
}

func (s *settler) ack(endings []ending) error {
	if len(endings) == 0 {
		return nil
	}
	// In the order of the keys, which reads and removes them fastest.
	slices.SortFunc(endings, func(a, b ending) int {
		return cmp.Or(strings.Compare(a.group.name, b.group.name), cmp.Compare(a.seq, b.seq))
	})
	refs := make([]*record.EventRef, len(endings))
	for i := range endings {
		refs[i] = endings[i].ref()
	}
	if _, err := s.o.cfg.Shard.Do(s.context, &record.Command{Body: &record.Command_Ack{Ack: &record.Ack{Events: refs}}}); err != nil {
		return err
	}
	release(endings)
	return nil
}

// bury commits each of the endings by a command of its own, all at once, and gives those that failed with one of the errors.
func (s *settler) bury(endings []ending) (failed []ending, err error) {
	errs := make([]error, len(endings))
	var all sync.WaitGroup
	for i := range endings {
		all.Go(func() {
			e := &endings[i]
			bury := &record.Bury{Event: e.ref(), Reason: e.reason, Attempts: uint32(e.attempts)}
			_, errs[i] = s.o.cfg.Shard.Do(s.context, &record.Command{Body: &record.Command_Bury{Bury: bury}})
		})
	}
	all.Wait()
	var ended []ending
	for i, e := range endings {
		if errs[i] != nil {
			failed, err = append(failed, e), errs[i]
			continue
		}
		ended = append(ended, e)
	}
	release(ended)
	return failed, err
}

// release gives the room of recorded events back to their groups.
func release(endings []ending) {
	costs := map[*group]int{}
	for _, e := range endings {
		costs[e.group] += e.cost
	}
	for g, cost := range costs {
		g.release(cost)
	}
}
