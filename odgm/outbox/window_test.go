package outbox

import (
	"context"
	"fmt"
	"math/rand/v2"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// longShard has an outbox of one group that is made as it is read, so that only the deliverer takes memory.
type longShard struct {
	make func(seq uint64) *record.Event
	size uint64

	mu    sync.Mutex
	acked []uint64 // bits
	left  uint64
	reads int // events read
}

func newLongShard(size uint64, make_ func(uint64) *record.Event) *longShard {
	return &longShard{make: make_, size: size, acked: make([]uint64, size/64+1), left: size}
}

func (s *longShard) OutboxGroups(context.Context) ([]string, error) {
	return []string{shard.Group(s.make(1).GetTarget())}, nil
}

func (s *longShard) Outbox(_ context.Context, _ string, after uint64, limit int) ([]*record.Event, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var events []*record.Event
	for seq := after + 1; seq <= s.size && len(events) < limit; seq++ {
		if s.acked[seq/64]&(1<<(seq%64)) != 0 {
			continue
		}
		e := s.make(seq)
		e.Seq = seq
		events = append(events, e)
	}
	s.reads += len(events)
	return events, nil
}

func (s *longShard) Do(_ context.Context, cmd *record.Command) (shard.Result, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, ref := range cmd.GetAck().GetEvents() {
		if s.acked[ref.GetSeq()/64]&(1<<(ref.GetSeq()%64)) != 0 {
			return shard.Result{}, fmt.Errorf("event %d was acknowledged twice", ref.GetSeq())
		}
		s.acked[ref.GetSeq()/64] |= 1 << (ref.GetSeq() % 64)
		s.left--
	}
	return shard.Result{}, nil
}

func (s *longShard) Stats(context.Context) (shard.Stats, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return shard.Stats{Outbox: s.left}, nil
}

// TestMillion: a million events of stuck lanes wait before events of healthy ones. The healthy ones are delivered, and the deliverer's memory
// stays that of its window.
func TestMillion(t *testing.T) {
	const million, healthy = 1_000_000, 1000
	for _, stuckLanes := range []uint64{1, 200} {
		t.Run(fmt.Sprint(stuckLanes, " stuck lanes"), func(t *testing.T) {
			s := newLongShard(million+healthy, func(seq uint64) *record.Event {
				target := fmt.Sprint("stuck", seq%stuckLanes)
				if seq > million {
					target = fmt.Sprint("healthy", seq%10)
				}
				e := toMethod("o", target, "m")
				e.Data = make([]byte, 512)
				return e
			})
			got := newJournal()
			before := liveBytes()
			o := openOn(t, Config{Shard: s, MaxAttempts: 1 << 30, Dispatch: func(_ context.Context, e *record.Event) error {
				if e.GetSeq() <= million {
					return errDown
				}
				got.accept(e)
				return nil
			}})
			defer func() {
				if err := o.Close(context.Background()); err != nil {
					t.Error(err)
				}
			}()
			until(t, "the healthy lanes", func() bool {
				checkWindow(t, o)
				return got.len() == healthy
			})
			if grown := liveBytes() - before; grown > 32<<20 {
				t.Errorf("the heap grew by %d MiB for a window of 4096 events", grown>>20)
			}
		})
	}
}

// TestHotLane: one object has nearly all events; they are all delivered, in order, and few are read more than twice.
func TestHotLane(t *testing.T) {
	const size = 100_000
	s := newLongShard(size, func(seq uint64) *record.Event {
		if seq%100 == 0 {
			return toSink(fmt.Sprint("cold", seq/100%50), "http://sink")
		}
		return toSink("hot", "http://sink")
	})
	var mu sync.Mutex
	last := map[string]uint64{}
	o := openOn(t, Config{Shard: s, Dispatch: func(_ context.Context, e *record.Event) error {
		mu.Lock()
		defer mu.Unlock()
		if last[e.GetObject()] >= e.GetSeq() {
			t.Errorf("%s: %d after %d", e.GetObject(), e.GetSeq(), last[e.GetObject()])
		}
		last[e.GetObject()] = e.GetSeq()
		return nil
	}})
	until(t, "all events", func() bool {
		checkWindow(t, o)
		stats, err := o.Stats(t.Context())
		return err == nil && stats.Pending == 0
	})
	if err := o.Close(t.Context()); err != nil {
		t.Error(err)
	}
	if s.reads > 3*size {
		t.Errorf("%d events were read to deliver %d", s.reads, size)
	}
}

// checkWindow compares the numbers of every window with what it has.
func checkWindow(t *testing.T, o *Outbox) {
	t.Helper()
	o.mu.Lock()
	defer o.mu.Unlock()
	for _, g := range o.groups {
		g.mu.Lock()
		w := &g.window
		loaded, cost := 0, 0
		for key, l := range w.lanes {
			loaded += len(l.queue)
			cost += l.cost
			if len(l.queue) == 0 && l.skipped == 0 {
				t.Errorf("lane %v has nothing", key)
			}
			if (l.state == idle) != (len(l.queue) == 0) {
				t.Errorf("lane %v has %d events and is in state %d", key, len(l.queue), l.state)
			}
		}
		if loaded != w.loaded || cost > w.used || loaded > w.limit || len(w.lanes) > w.limit+g.o.cfg.Workers {
			t.Errorf("window: %d events of cost %d in %d lanes; it says %d events, %d used of %d", loaded, cost, len(w.lanes), w.loaded, w.used, w.limit)
		}
		g.mu.Unlock()
	}
}

// liveBytes gives the bytes of live objects.
func liveBytes() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// TestWindowModel drives a window alone: reads whose result arrives after lanes have moved on, in random interleavings, with windows down to
// one event. Each lane must come complete and in order.
func TestWindowModel(t *testing.T) {
	for seed := range uint64(150) {
		m := &windowModel{
			random: rand.New(rand.NewPCG(seed, 3)), window: newWindow([]int{1, 2, 8, 40, 200}[seed%5]), stored: map[uint64]string{}, last: map[string]uint64{},
		}
		if err := m.run(400); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
	}
}

type windowModel struct {
	random  *rand.Rand
	window  window
	seq     uint64
	cursor  uint64
	stored  map[uint64]string // object by number, until delivered
	last    map[string]uint64 // number of the last event delivered of an object
	running []*lane
	costs   []int // delivered and not yet released
	failed  error // of a delivery within a read
}

func (m *windowModel) run(commits int) error {
	for step := 0; m.seq < uint64(commits) || len(m.stored) > 0 || len(m.costs) > 0; step++ {
		if step > 1000*commits {
			return fmt.Errorf("%d events never come", len(m.stored))
		}
		switch m.random.IntN(3) {
		case 0:
			m.commit(commits)
		case 1:
			if m.read(); m.failed != nil {
				return m.failed
			}
		default:
			if err := m.deliver(); err != nil {
				return err
			}
		}
	}
	if len(m.window.lanes) > 0 || m.window.loaded > 0 || m.window.used > 0 || len(m.window.refilling) > 0 {
		return fmt.Errorf("the window is not empty at the end: %+v", m.window)
	}
	return nil
}

func (m *windowModel) commit(commits int) {
	for range m.random.IntN(20) {
		if m.seq < uint64(commits) {
			m.seq++
			m.stored[m.seq] = fmt.Sprint("o", m.random.IntN(1+m.random.IntN(8)))
		}
	}
}

// read does one step of a pump; between the read and its use, others deliver and commit.
func (m *windowModel) read() {
	if m.window.full() {
		return
	}
	from, refill := m.window.refillFrom()
	if !refill {
		from = m.cursor + 1
	}
	limit := 1 + m.random.IntN(30)
	var events []*record.Event
	for seq := from; seq <= m.seq && len(events) < limit; seq++ {
		if object, ok := m.stored[seq]; ok {
			e := toSink(object, "http://sink")
			e.Seq, e.Data = seq, make([]byte, m.random.IntN(3)*unit)
			events = append(events, e)
		}
	}
	for range m.random.IntN(10) {
		if m.failed == nil {
			m.failed = m.deliver()
		}
	}
	if refill {
		m.window.refill(from, events, m.cursor, len(events) == limit)
		return
	}
	for _, e := range events {
		if !m.window.offer(e) {
			break
		}
		m.cursor = e.GetSeq()
	}
}

// deliver lets a random running lane end, takes a ready one, or releases room.
func (m *windowModel) deliver() error {
	switch m.random.IntN(4) {
	case 0, 1:
		if l := m.window.take(); l != nil {
			m.running = append(m.running, l)
		}
	case 2:
		if len(m.costs) > 0 {
			m.window.used -= m.costs[0]
			m.costs = m.costs[1:]
		}
	default:
		if len(m.running) == 0 {
			return nil
		}
		i := m.random.IntN(len(m.running))
		l := m.running[i]
		m.running = append(m.running[:i], m.running[i+1:]...)
		if m.random.IntN(4) == 0 {
			m.window.postpone(l, time.Time{})
			m.window.promote(time.Time{})
			return nil
		}
		return m.end(l)
	}
	return nil
}

func (m *windowModel) end(l *lane) error {
	e := l.queue[0]
	for seq := m.last[e.GetObject()] + 1; seq < e.GetSeq(); seq++ {
		if m.stored[seq] == e.GetObject() {
			return fmt.Errorf("%s: event %d was delivered before %d", e.GetObject(), e.GetSeq(), seq)
		}
	}
	if _, ok := m.stored[e.GetSeq()]; !ok {
		return fmt.Errorf("%s: event %d was delivered twice", e.GetObject(), e.GetSeq())
	}
	delete(m.stored, e.GetSeq())
	m.last[e.GetObject()] = e.GetSeq()
	m.costs = append(m.costs, costOf(e))
	m.window.advance(l)
	return nil
}
