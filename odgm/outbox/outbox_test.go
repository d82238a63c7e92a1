package outbox

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/record"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// TestOrder sends random events of random objects to random targets that fail at random, with windows so small that lanes are skipped and
// read again, and checks that every lane arrives complete and in order.
func TestOrder(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint("seed ", seed), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) { testOrder(t, seed) })
		})
	}
}

func testOrder(t *testing.T, seed uint64) {
	random := rand.New(rand.NewPCG(seed, 1))
	s, got := newFakeShard(), newJournal()
	var mu sync.Mutex
	chance := rand.New(rand.NewPCG(seed, 2))
	dice := func(n int) int {
		mu.Lock()
		defer mu.Unlock()
		return chance.IntN(n)
	}
	cfg := Config{
		Window: []int{1, 3, 16, 64, 4096}[seed%5], Workers: 1 + int(seed%4), MaxAttempts: 1000, BackoffCap: time.Second,
		Dispatch: func(_ context.Context, e *record.Event) error {
			if dice(4) == 0 {
				time.Sleep(time.Duration(dice(50)) * time.Millisecond)
			}
			if dice(10) < 2 {
				return errDown
			}
			got.accept(e)
			return nil
		},
	}
	s.open(t, cfg)
	want := newJournal()
	for i := range 2000 {
		e := toSink(fmt.Sprint("o", random.IntN(1+random.IntN(12))), fmt.Sprint("http://sink", random.IntN(2)))
		if random.IntN(2) == 0 {
			e = toMethod(e.Object, fmt.Sprint("t", random.IntN(3)), "m")
		}
		e.Id, e.Data = fmt.Sprint("e", i), make([]byte, random.IntN(3)*unit)
		want.accept(e)
		s.put(e)
		if random.IntN(20) == 0 {
			time.Sleep(time.Duration(random.IntN(500)) * time.Millisecond)
		}
	}
	for s.left() > 0 {
		time.Sleep(time.Second)
	}
	for name, ids := range want.lanes {
		if !slices.Equal(got.lane(name), ids) {
			t.Errorf("lane %s:\n got %v\nwant %v", name, got.lane(name), ids)
		}
	}
	if got.len() != 2000 {
		t.Errorf("%d events were accepted, want 2000", got.len())
	}
}

// TestStuckTarget: a target that hangs, and one that always fails, delay neither other groups nor other lanes of their own group.
func TestStuckTarget(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, got := newFakeShard(), newJournal()
		s.open(t, Config{MaxAttempts: 1000, Dispatch: func(ctx context.Context, e *record.Event) error {
			switch {
			case e.GetTarget().GetSink() == "http://hangs":
				<-ctx.Done()
				return ctx.Err()
			case e.GetTarget().GetObject() == "fails":
				return errDown
			}
			got.accept(e)
			return nil
		}})
		begun := time.Now()
		for i := range 5000 {
			s.put(toSink(fmt.Sprint("o", i%100), "http://hangs"), toMethod("o", "fails", "m"), toMethod("p", fmt.Sprint("works", i%3), "m"),
				toSink("o", "http://works"))
		}
		synctest.Wait()
		for _, lane := range []string{"method a.b/m p>works0", "method a.b/m p>works1", "method a.b/m p>works2"} {
			if n := len(got.lane(lane)); n < 1666 {
				t.Errorf("lane %s got %d events", lane, n)
			}
		}
		if n := len(got.lane("sink http://works o>")); n != 5000 {
			t.Errorf("the working sink got %d events", n)
		}
		if took := time.Since(begun); took != 0 {
			t.Errorf("working targets waited %v", took)
		}
	})
}

// TestBackoff checks the times of attempts, the wish of the target, and the end in the dead-letter list.
func TestBackoff(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShard()
		var times []time.Duration
		begun := time.Now()
		s.open(t, Config{Dispatch: func(context.Context, *record.Event) error {
			times = append(times, time.Since(begun))
			if len(times) == 2 {
				return fmt.Errorf("call: %w", &fault.Error{Code: fault.Busy, Message: "mailbox is full", RetryAfter: 5 * time.Second})
			}
			return errDown
		}})
		s.put(toSink("o", "http://down"))
		for s.left() > 0 {
			time.Sleep(time.Second)
		}
		ms := time.Millisecond
		waits := []time.Duration{100 * ms, 5000 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 6400 * ms, 12800 * ms, 25600 * ms, 30000 * ms, 30000 * ms}
		at := time.Duration(0)
		want := []time.Duration{0}
		for _, w := range waits {
			at += w
			want = append(want, at)
		}
		if !slices.Equal(times, want) {
			t.Errorf("attempts at\n%v, want\n%v", times, want)
		}
		dead := s.deadLetters()
		if len(dead) != 1 || dead[0].GetAttempts() != 12 || dead[0].GetReason() != errDown.Error() {
			t.Errorf("dead letters: %v", dead)
		}
	})
}

func TestJitter(t *testing.T) {
	cfg := Config{}.withDefaults()
	for failures, base := range map[int]time.Duration{1: 100 * time.Millisecond, 2: 200 * time.Millisecond, 9: 25600 * time.Millisecond, 1 << 40: 30 * time.Second} {
		for range 100 {
			if d := cfg.delay(failures); d < base*8/10 || d > base*12/10 {
				t.Fatalf("wait after %d failures: %v", failures, d)
			}
		}
	}
}

func TestFinal(t *testing.T) {
	if Final(nil) != nil {
		t.Error("Final(nil) is an error")
	}
	if err := Final(errDown); !IsFinal(fmt.Errorf("deliver: %w", err)) || !errors.Is(err, errDown) || err.Error() != errDown.Error() {
		t.Errorf("Final(%v) = %v", errDown, err)
	}
	if IsFinal(errDown) || IsFinal(nil) {
		t.Error("an unmarked error is final")
	}
	synctest.Test(t, func(t *testing.T) {
		s, got := newFakeShard(), newJournal()
		registry := prometheus.NewRegistry()
		newFakeShard().open(t, Config{Registerer: registry, Dispatch: func(context.Context, *record.Event) error { return nil }})
		s.open(t, Config{Registerer: registry, Dispatch: func(_ context.Context, e *record.Event) error {
			if e.GetId() == "bad" {
				return Final(errors.New(strings.Repeat("x", 5000)))
			}
			got.accept(e)
			return nil
		}})
		bad := toSink("o", "http://sink")
		bad.Id = "bad"
		s.put(bad, toSink("o", "http://sink"))
		synctest.Wait()
		dead := s.deadLetters()
		if len(dead) != 1 || dead[0].GetId() != "bad" || dead[0].GetAttempts() != 1 || len(dead[0].GetReason()) > 2100 {
			t.Errorf("dead letters: %v", dead)
		}
		if got.len() != 1 {
			t.Error("the event behind a refused one was not delivered")
		}
		want := map[string]float64{
			"oaas_outbox_delivered_total": 1, "oaas_outbox_dead_letters_total": 1, "oaas_outbox_retries_total": 0,
			"oaas_outbox_pending": 0, "oaas_outbox_lag_seconds": 0, "odgm_events_queue_drops_total": 1, "odgm_events_queue_len": 0,
		}
		if values := valuesOf(t, registry); !maps.Equal(values, want) {
			t.Errorf("metrics %v, want %v", values, want)
		}
	})
}

// valuesOf gives the values of all metrics, added up over their labels.
func valuesOf(t *testing.T, registry *prometheus.Registry) map[string]float64 {
	t.Helper()
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	values := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			values[f.GetName()] += m.GetCounter().GetValue() + m.GetGauge().GetValue()
		}
	}
	return values
}

// TestCrash: what was accepted but not recorded is delivered again, with the same id and in order, after the next Open.
func TestCrash(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, first := newFakeShard(), newJournal()
		crashed := true
		s.fail = func(*record.Command) error {
			if crashed {
				return fault.New(fault.Unavailable, "shard is closed")
			}
			return nil
		}
		dispatchTo := func(j *journal) Dispatcher {
			return func(_ context.Context, e *record.Event) error { j.accept(e); return nil }
		}
		o := s.open(t, Config{Dispatch: dispatchTo(first)})
		s.put(toSink("o", "http://sink"), toSink("o", "http://sink"), toSink("o", "http://sink"))
		synctest.Wait()
		if first.len() != 3 {
			t.Fatalf("%d events were delivered before the crash", first.len())
		}
		if err := o.Close(context.Background()); err != nil {
			t.Fatal(err)
		}
		crashed = false
		second := newJournal()
		s.open(t, Config{Dispatch: dispatchTo(second)})
		synctest.Wait()
		if want, ids := first.lane("sink http://sink o>"), second.lane("sink http://sink o>"); !slices.Equal(ids, want) {
			t.Errorf("delivered %v after the crash, want %v again", ids, want)
		}
		if s.left() != 0 {
			t.Errorf("%d events are left", s.left())
		}
	})
}

// TestShardFails: commands that fail for a while are repeated; nothing is delivered twice meanwhile, and no more than a window.
func TestShardFails(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, got := newFakeShard(), newJournal()
		recovers := time.Now().Add(time.Minute)
		s.fail = func(*record.Command) error {
			if time.Now().Before(recovers) {
				return errors.New("disk is full")
			}
			return nil
		}
		s.open(t, Config{Window: 32, Dispatch: func(_ context.Context, e *record.Event) error {
			if e.GetObject() == "o3" {
				return Final(errDown)
			}
			got.accept(e)
			return nil
		}})
		for i := range 100 {
			s.put(toSink(fmt.Sprint("o", i%10), "http://sink"))
		}
		synctest.Wait()
		if got.len() > 32 {
			t.Errorf("%d events were delivered although none could be recorded; the window is 32", got.len())
		}
		time.Sleep(2 * time.Minute)
		if got.len() != 90 || s.left() != 0 || len(s.deadLetters()) != 10 {
			t.Errorf("delivered %d, want 90; left %d; dead %d, want 10", got.len(), s.left(), len(s.deadLetters()))
		}
	})
}

// TestClose: attempts that run are waited for and recorded; none is started; the context cuts them off.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShard()
		var begun, ended atomic.Int32
		o := s.open(t, Config{Workers: 4, Dispatch: func(ctx context.Context, _ *record.Event) error {
			begun.Add(1)
			select {
			case <-time.After(10 * time.Second):
				ended.Add(1)
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		}})
		for i := range 50 {
			s.put(toSink(fmt.Sprint("o", i%10), "http://slow"))
		}
		synctest.Wait()
		if err := o.Close(t.Context()); err != nil {
			t.Fatal(err)
		}
		o.Notify([]string{"sink http://slow"})
		synctest.Wait()
		if begun.Load() != 4 || ended.Load() != 4 || s.left() != 46 {
			t.Errorf("begun %d, ended %d, left %d; want 4, 4, 46", begun.Load(), ended.Load(), s.left())
		}
		o = s.open(t, Config{Workers: 4, Dispatch: func(ctx context.Context, _ *record.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := o.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("close with attempts that hang: %v", err)
		}
		if s.left() != 46 || len(s.deadLetters()) != 0 {
			t.Errorf("%d events left, %d dead; want 46, 0", s.left(), len(s.deadLetters()))
		}
	})
}

// TestTimeout: an attempt that takes too long is cut off and counts as failed.
func TestTimeout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShard()
		s.open(t, Config{Timeout: time.Second, MaxAttempts: 3, Dispatch: func(ctx context.Context, _ *record.Event) error {
			<-ctx.Done()
			return ctx.Err()
		}})
		s.put(toSink("o", "http://hangs"))
		time.Sleep(5 * time.Second)
		if dead := s.deadLetters(); len(dead) != 1 || !strings.Contains(dead[0].GetReason(), "deadline") {
			t.Errorf("dead letters: %v", dead)
		}
	})
}

// TestGroupsComeAndGo: groups are found at the start, forgotten when idle, and found again.
func TestGroupsComeAndGo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, got := newFakeShard(), newJournal()
		s.put(toSink("o", "http://a"), toSink("o", "http://b"))
		o := s.open(t, Config{Idle: time.Minute, Dispatch: func(_ context.Context, e *record.Event) error { got.accept(e); return nil }})
		expect := func(groups, delivered int) {
			t.Helper()
			synctest.Wait()
			stats, err := o.Stats(t.Context())
			if err != nil || stats.Groups != groups || got.len() != delivered {
				t.Errorf("%d groups, %d delivered, %v; want %d, %d", stats.Groups, got.len(), err, groups, delivered)
			}
		}
		expect(2, 2)
		time.Sleep(10 * time.Minute)
		expect(0, 2)
		s.put(toSink("o", "http://b"), toMethod("o", "p", "m"))
		expect(2, 4)
		o.Notify([]string{"sink http://nobody"}) // nothing there
		expect(3, 4)
	})
}

func TestStats(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newFakeShard()
		o := s.open(t, Config{Window: 8, MaxAttempts: 1000, Dispatch: func(context.Context, *record.Event) error { return errDown }})
		for range 20 {
			s.put(toSink("o", "http://down"))
		}
		time.Sleep(7 * time.Second)
		stats, err := o.Stats(t.Context())
		if err != nil || stats.Pending != 20 || stats.Loaded == 0 || stats.Loaded > 8 || stats.Lag != 7*time.Second {
			t.Errorf("stats %+v, %v", stats, err)
		}
	})
}
