package outbox

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/engine/backend"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// grid is a real shard with a deliverer, as they are put together in a process.
type grid struct {
	*shard.Shard
	box atomic.Pointer[Outbox]
}

func openGrid(t testing.TB, kind, dir string, cfg Config) *grid {
	t.Helper()
	eng, err := backend.Open(kind, dir)
	if err != nil {
		t.Fatal(err)
	}
	g := &grid{}
	g.Shard, err = shard.Open(shard.Config{Class: "test.record", Engine: eng, Conditions: condition.NewCache(16), OnEvents: func(groups []string) {
		if box := g.box.Load(); box != nil {
			box.Notify(groups)
		}
	}})
	if err != nil {
		t.Fatal(err)
	}
	if cfg.Dispatch != nil {
		g.deliver(t, cfg)
	}
	return g
}

func (g *grid) deliver(t testing.TB, cfg Config) {
	t.Helper()
	if cfg.Shard == nil {
		cfg.Shard = g.Shard
	}
	box := openOn(t, cfg)
	g.box.Store(box)
	box.Discover()
}

func (g *grid) close(t testing.TB) {
	t.Helper()
	if err := g.box.Load().Close(context.Background()); err != nil {
		t.Error(err)
	}
	if err := g.Close(); err != nil {
		t.Error(err)
	}
}

func (g *grid) do(t testing.TB, cmd *record.Command) {
	t.Helper()
	if _, err := g.Do(context.Background(), cmd); err != nil {
		t.Fatal(err)
	}
}

func (g *grid) stats(t testing.TB) shard.Stats {
	t.Helper()
	stats, err := g.Stats(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	return stats
}

// watch configures triggers on every entry: to a method of the same object, and to two sinks.
func (g *grid) watch(t testing.TB) {
	t.Helper()
	var triggers []*record.ClassTrigger
	for _, on := range []oprc.EventType{oprc.EventType_EVENT_TYPE_DATA_CREATE, oprc.EventType_EVENT_TYPE_DATA_UPDATE} {
		for _, target := range []*record.Target{
			{Class: "test.audit", Method: "log", SameObject: true, ByHash: true}, {Sink: "http://a"}, {Sink: "http://b"},
		} {
			triggers = append(triggers, &record.ClassTrigger{On: on, Target: target})
		}
	}
	g.do(t, &record.Command{Body: &record.Command_Configure{Configure: &record.ClassConfig{Triggers: triggers}}})
}

func put(object string, value int) *record.Command {
	puts := []*record.Put{{Key: "n", Data: []byte(fmt.Sprint(value))}}
	return &record.Command{Body: &record.Command_Write{Write: &record.Write{Object: object, Puts: puts}}}
}

// forgetful loses acknowledgements, as a process does that dies after the target's answer.
type forgetful struct {
	*shard.Shard
	dead atomic.Bool
	dice func(int) int
}

func (f *forgetful) Do(ctx context.Context, cmd *record.Command) (shard.Result, error) {
	if f.dead.Load() || f.dice(4) == 0 {
		return shard.Result{}, errors.New("process died")
	}
	return f.Shard.Do(ctx, cmd)
}

// receiver drops repeats by id, and checks that what is left comes in order.
type receiver struct {
	t      *testing.T
	mu     sync.Mutex
	seen   map[string]bool // group and event
	last   map[string]uint64
	counts map[string]int
	total  int
}

func (r *receiver) accept(e *record.Event) {
	r.mu.Lock()
	defer r.mu.Unlock()
	group := shard.Group(e.GetTarget())
	r.total++
	if r.seen[group+" "+e.GetId()] {
		return
	}
	r.seen[group+" "+e.GetId()] = true
	if lane := laneOf(e); r.last[lane] >= e.GetSeq() {
		r.t.Errorf("lane %s: event %d came after %d", lane, e.GetSeq(), r.last[lane])
	} else {
		r.last[lane] = e.GetSeq()
	}
	r.counts[group]++
}

func (r *receiver) deliveries() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.total
}

func (r *receiver) effects() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.seen)
}

// TestRealShard: writers write, targets fail at random, the process dies again and again between a delivery and its record. In the end every
// target has the effect of every event once, in order.
func TestRealShard(t *testing.T) {
	for _, kind := range []string{"memory", "bbolt", "pebble"} {
		t.Run(kind, func(t *testing.T) {
			const rounds, writers, writes = 3, 4, 40
			dir := t.TempDir()
			got := &receiver{t: t, seen: map[string]bool{}, last: map[string]uint64{}, counts: map[string]int{}}
			dice := newDice(1)
			cfg := Config{
				Backoff: time.Millisecond, BackoffCap: 5 * time.Millisecond, MaxAttempts: 1000, Window: 64,
				Dispatch: func(_ context.Context, e *record.Event) error {
					if dice(5) == 0 {
						return errDown
					}
					got.accept(e)
					return nil
				},
			}
			g := openGrid(t, kind, dir, Config{})
			g.watch(t)
			for round := range rounds {
				if round > 0 && kind != "memory" {
					g = openGrid(t, kind, dir, Config{})
				}
				process := &forgetful{Shard: g.Shard, dice: dice}
				cfg.Shard = process
				g.deliver(t, cfg)
				var writing sync.WaitGroup
				for w := range writers {
					writing.Go(func() {
						for n := range writes {
							g.do(t, put(fmt.Sprint("o", (w+n)%7), round*writes+n))
						}
					})
				}
				writing.Wait()
				until(t, "half of the deliveries of the round", func() bool { return got.deliveries() > (2*round+1)*writers*writes*3/2 })
				process.dead.Store(true)
				fired := (round + 1) * writers * writes * 3
				until(t, "deliveries that are not recorded", func() bool { return got.effects() > fired-int(g.stats(t).Outbox) })
				if kind != "memory" {
					g.close(t)
				} else if err := g.box.Load().Close(t.Context()); err != nil {
					t.Error(err)
				}
			}
			if kind != "memory" {
				g = openGrid(t, kind, dir, Config{})
			}
			cfg.Shard = nil
			g.deliver(t, cfg)
			until(t, "an empty outbox", func() bool { return g.stats(t).Outbox == 0 })
			g.close(t)
			for _, group := range []string{"method test.audit/log", "sink http://a", "sink http://b"} {
				if got.counts[group] != rounds*writers*writes {
					t.Errorf("%s got %d events, want %d", group, got.counts[group], rounds*writers*writes)
				}
			}
			if got.total == len(got.seen) {
				t.Error("nothing was delivered twice: the test did not test crashes")
			}
		})
	}
}

// TestDeadLetters: what was given up is in the shard's list with its reason, and replaying it delivers it with the same id.
func TestDeadLetters(t *testing.T) {
	var down atomic.Bool
	down.Store(true)
	var ids sync.Map
	g := openGrid(t, "memory", "", Config{Backoff: time.Microsecond, BackoffCap: time.Millisecond, MaxAttempts: 3,
		Dispatch: func(_ context.Context, e *record.Event) error {
			if down.Load() && e.GetTarget().GetSink() == "http://b" {
				return errDown
			}
			ids.Store(e.GetTarget().GetSink()+" "+e.GetId(), true)
			return nil
		}})
	defer g.close(t)
	g.watch(t)
	for n := range 50 {
		g.do(t, put("o", n))
	}
	until(t, "dead letters", func() bool { s := g.stats(t); return s.Outbox == 0 && s.DeadLetters == 50 })
	dead, err := g.Shard.DeadLetters(t.Context(), 0, 100)
	if err != nil {
		t.Fatal(err)
	}
	for _, e := range dead {
		if e.GetReason() != errDown.Error() || e.GetAttempts() != 3 || e.GetDeadTime() == 0 {
			t.Fatalf("dead letter %v", e)
		}
	}
	down.Store(false)
	if n, err := g.Replay(t.Context(), nil, true, false); n != 50 || err != nil {
		t.Fatalf("replayed %d, %v", n, err)
	}
	until(t, "an empty outbox", func() bool { return g.stats(t).Outbox == 0 })
	for _, e := range dead {
		if _, ok := ids.Load("http://b " + e.GetId()); !ok {
			t.Errorf("event %s was not delivered after the replay", e.GetId())
		}
	}
}

func newDice(seed uint64) func(n int) int {
	var mu sync.Mutex
	random := rand.New(rand.NewPCG(seed, 0))
	return func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return random.IntN(n)
	}
}

// BenchmarkThroughput delivers 100,000 events of 64 objects that wait in the outbox, to a target that accepts at once.
func BenchmarkThroughput(b *testing.B) {
	for _, kind := range []string{"memory", "bbolt", "pebble"} {
		b.Run(kind, func(b *testing.B) {
			const events = 100_000
			for range b.N {
				b.StopTimer()
				g := openGrid(b, kind, b.TempDir(), Config{})
				for n := range events / 100 {
					w := &record.Write{Object: fmt.Sprint("o", n%64)}
					for i := range 100 {
						w.Emits = append(w.Emits, &record.Emit{Id: fmt.Sprint(n, "-", i), Type: "t", Data: make([]byte, 100)})
					}
					g.do(b, &record.Command{Body: &record.Command_Write{Write: w}})
				}
				b.StartTimer()
				begun := time.Now()
				g.deliver(b, Config{Dispatch: func(context.Context, *record.Event) error { return nil }})
				until(b, "an empty outbox", func() bool { return g.stats(b).Outbox == 0 })
				b.ReportMetric(events/time.Since(begun).Seconds(), "events/s")
				g.close(b)
			}
		})
	}
}

// BenchmarkLatency measures the time from the answer of a commit to the call of the target, with nothing else to do.
func BenchmarkLatency(b *testing.B) {
	for _, kind := range []string{"memory", "pebble"} {
		b.Run(kind, func(b *testing.B) {
			called := make(chan time.Time, 1)
			g := openGrid(b, kind, b.TempDir(), Config{Dispatch: func(context.Context, *record.Event) error {
				called <- time.Now()
				return nil
			}})
			trigger := &record.ClassTrigger{On: oprc.EventType_EVENT_TYPE_DATA_UPDATE, Target: &record.Target{Sink: "http://a"}}
			g.do(b, &record.Command{Body: &record.Command_Configure{Configure: &record.ClassConfig{Triggers: []*record.ClassTrigger{trigger}}}})
			g.do(b, put("o", -1))
			var waits []time.Duration
			for n := range b.N {
				g.do(b, put("o", n))
				committed := time.Now()
				waits = append(waits, max((<-called).Sub(committed), 0))
				until(b, "the acknowledgement", func() bool { return g.stats(b).Outbox == 0 })
			}
			slices.Sort(waits)
			b.ReportMetric(float64(waits[len(waits)/2].Microseconds()), "p50-µs")
			b.ReportMetric(float64(waits[len(waits)*99/100].Microseconds()), "p99-µs")
			g.close(b)
		})
	}
}
