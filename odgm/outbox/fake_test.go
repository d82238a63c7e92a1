package outbox

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// fakeShard keeps an outbox in memory. It outlives the deliverers that are opened on it, like a data folder.
type fakeShard struct {
	mu      sync.Mutex
	seq     uint64
	groups  map[string][]*record.Event
	dead    []*record.Event
	acks    int // commands
	waiting uint64
	// fail, when set, is asked before each command.
	fail func(*record.Command) error
	// notify is that of the open deliverer.
	notify func([]string)
}

func newFakeShard() *fakeShard { return &fakeShard{groups: map[string][]*record.Event{}} }

func (s *fakeShard) OutboxGroups(context.Context) ([]string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var names []string
	for name, events := range s.groups {
		if len(events) > 0 {
			names = append(names, name)
		}
	}
	return names, nil
}

func (s *fakeShard) Outbox(ctx context.Context, group string, after uint64, limit int) ([]*record.Event, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	events := s.groups[group]
	from, _ := slices.BinarySearchFunc(events, after+1, func(e *record.Event, seq uint64) int { return int(int64(e.GetSeq()) - int64(seq)) })
	return slices.Clone(events[from:min(from+limit, len(events))]), nil
}

func (s *fakeShard) Stats(context.Context) (shard.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return shard.Stats{Outbox: s.waiting, DeadLetters: uint64(len(s.dead))}, nil
}

func (s *fakeShard) Do(ctx context.Context, cmd *record.Command) (shard.Result, error) {
	if err := ctx.Err(); err != nil {
		return shard.Result{}, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fail != nil {
		if err := s.fail(cmd); err != nil {
			return shard.Result{}, err
		}
	}
	switch {
	case cmd.GetAck() != nil:
		s.acks++
		for _, ref := range cmd.GetAck().GetEvents() {
			s.remove(ref)
		}
	case cmd.GetBury() != nil:
		if e := s.remove(cmd.GetBury().GetEvent()); e != nil {
			e.Reason, e.Attempts = cmd.GetBury().GetReason(), cmd.GetBury().GetAttempts()
			s.dead = append(s.dead, e)
		}
	default:
		return shard.Result{}, fmt.Errorf("unexpected command %v", cmd)
	}
	return shard.Result{}, nil
}

func (s *fakeShard) remove(ref *record.EventRef) *record.Event {
	events := s.groups[ref.GetGroup()]
	at := slices.IndexFunc(events, func(e *record.Event) bool { return e.GetSeq() == ref.GetSeq() })
	if at < 0 {
		return nil
	}
	e := events[at]
	s.groups[ref.GetGroup()] = slices.Delete(events, at, at+1)
	s.waiting--
	return e
}

// put commits events and notifies, as a shard does.
func (s *fakeShard) put(events ...*record.Event) {
	s.mu.Lock()
	var names []string
	for _, e := range events {
		s.seq++
		e.Seq = s.seq
		if e.Id == "" {
			e.Id = fmt.Sprintf("e%d", s.seq)
		}
		e.Time = time.Now().UnixNano()
		name := shard.Group(e.GetTarget())
		s.groups[name] = append(s.groups[name], e)
		s.waiting++
		names = append(names, name)
	}
	notify := s.notify
	s.mu.Unlock()
	if notify != nil {
		notify(names)
	}
}

func (s *fakeShard) left() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return int(s.waiting)
}

func (s *fakeShard) deadLetters() []*record.Event {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.dead)
}

// open opens a deliverer on the shard that is closed at the end of the test.
func (s *fakeShard) open(t testing.TB, cfg Config) *Outbox {
	t.Helper()
	cfg.Shard = s
	if cfg.Rand == nil {
		cfg.Rand = func() float64 { return 0.5 }
	}
	o, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	s.mu.Lock()
	s.notify = o.Notify
	s.mu.Unlock()
	t.Cleanup(func() {
		if err := o.Close(context.Background()); err != nil {
			t.Errorf("close: %v", err)
		}
	})
	return o
}

// openOn opens a deliverer on any shard.
func openOn(t testing.TB, cfg Config) *Outbox {
	t.Helper()
	o, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func toSink(object, url string) *record.Event {
	return &record.Event{Object: object, Target: &record.Target{Sink: url}}
}

func toMethod(object, target, method string) *record.Event {
	return &record.Event{Object: object, Target: &record.Target{Class: "a.b", Object: target, Method: method}}
}

// until polls for a condition.
func until(t testing.TB, what string, met func() bool) {
	t.Helper()
	deadline := time.Now().Add(30 * time.Second)
	for !met() {
		if time.Now().After(deadline) {
			t.Fatalf("waited 30 s for: %s", what)
		}
		time.Sleep(time.Millisecond)
	}
}

var errDown = errors.New("target is down")

// journal keeps what targets accepted, by lane and in order.
type journal struct {
	mu    sync.Mutex
	lanes map[string][]string
	count int
}

func newJournal() *journal { return &journal{lanes: map[string][]string{}} }

func laneOf(e *record.Event) string {
	return shard.Group(e.GetTarget()) + " " + e.GetObject() + ">" + e.GetTarget().GetObject()
}

func (j *journal) accept(e *record.Event) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.lanes[laneOf(e)] = append(j.lanes[laneOf(e)], e.GetId())
	j.count++
}

func (j *journal) len() int {
	j.mu.Lock()
	defer j.mu.Unlock()
	return j.count
}

func (j *journal) lane(name string) []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.lanes[name])
}
