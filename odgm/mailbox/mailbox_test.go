package mailbox

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"
	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func ref(id string) object.Ref { return object.Ref{Class: "shop.cart", ID: id} }

// hop names a running call in chains.
func hop(id, method, callID string) call.Hop {
	return call.Hop{Ref: ref(id), Method: method, Call: callID}
}

func wantCode(t *testing.T, err error, code fault.Code) {
	t.Helper()
	if fault.CodeOf(err) != code {
		t.Fatalf("got %v (%s), want code %s", err, fault.CodeOf(err), code)
	}
}

// figure gives the value of a gauge or counter.
func figure(t *testing.T, m prometheus.Metric) float64 {
	t.Helper()
	out := &dto.Metric{}
	if err := m.Write(out); err != nil {
		t.Fatal(err)
	}
	return out.GetGauge().GetValue() + out.GetCounter().GetValue()
}

func mustRun(t *testing.T, b *Boxes, id, callID string, chain call.Chain) *Turn {
	t.Helper()
	turn, err := b.Run(t.Context(), ref(id), "m", callID, chain)
	if err != nil {
		t.Fatalf("run %s on %s: %v", callID, id, err)
	}
	return turn
}

func mustWrite(t *testing.T, b *Boxes, id string, chain call.Chain) *Turn {
	t.Helper()
	turn, err := b.Write(t.Context(), ref(id), chain)
	if err != nil {
		t.Fatalf("write %s: %v", id, err)
	}
	return turn
}

func wantIdle(t *testing.T, b *Boxes) {
	t.Helper()
	if n := b.used(); n != 0 {
		t.Errorf("%d mailboxes are left", n)
	}
	for i := range b.calls.parts {
		if n := len(b.calls.parts[i].turns); n != 0 {
			t.Errorf("%d running calls are left", n)
		}
	}
	if n := len(b.circles.byCall); n != 0 {
		t.Errorf("%d waiting calls are left", n)
	}
}

// line has visitors queue for one object and notes the order in which they are admitted.
type line struct {
	t     *testing.T
	b     *Boxes
	mu    sync.Mutex
	order []string
	turns map[string]*Turn
	errs  map[string]error
	wg    sync.WaitGroup
}

func newLine(t *testing.T, b *Boxes) *line {
	return &line{t: t, b: b, turns: map[string]*Turn{}, errs: map[string]error{}}
}

// join queues a visitor: names that begin with w write, others run a method. It returns when the visitor waits or has its turn.
func (l *line) join(ctx context.Context, name string, chain call.Chain) {
	l.wg.Go(func() {
		var turn *Turn
		var err error
		if strings.HasPrefix(name, "w") {
			turn, err = l.b.Write(ctx, ref("x"), chain)
		} else {
			turn, err = l.b.Run(ctx, ref("x"), "m", name, chain)
		}
		l.mu.Lock()
		defer l.mu.Unlock()
		l.turns[name], l.errs[name] = turn, err
		if err == nil {
			l.order = append(l.order, name)
		}
	})
	synctest.Wait()
}

// inside gives the visitors that have their turn, sorted.
func (l *line) inside() string {
	synctest.Wait()
	l.mu.Lock()
	defer l.mu.Unlock()
	var names []string
	for name, turn := range l.turns {
		if turn != nil {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return strings.Join(names, " ")
}

func (l *line) err(name string) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.errs[name]
}

func (l *line) done(names ...string) {
	for _, name := range names {
		l.mu.Lock()
		turn := l.turns[name]
		delete(l.turns, name)
		l.mu.Unlock()
		turn.Done()
	}
	synctest.Wait()
}

func (l *line) want(inside string) {
	l.t.Helper()
	if got := l.inside(); got != inside {
		l.t.Fatalf("in turn: %q, want %q", got, inside)
	}
}

func TestMethodsComeOneAtATimeInOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		l := newLine(t, b)
		for i := range 20 {
			l.join(t.Context(), fmt.Sprintf("m%02d", i), nil)
		}
		for i := range 20 {
			name := fmt.Sprintf("m%02d", i)
			l.want(name)
			l.done(name)
		}
		l.wg.Wait()
		wantIdle(t, b)
	})
}

func TestWritesShareButNeverOvertake(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		l := newLine(t, b)
		for _, name := range []string{"w1", "w2", "m1", "w3", "w4", "m2", "m3", "w5"} {
			l.join(t.Context(), name, nil)
		}
		l.want("w1 w2")
		l.done("w2")
		l.want("w1")
		l.done("w1")
		l.want("m1")
		l.done("m1")
		l.want("w3 w4")
		l.join(t.Context(), "w6", nil) // comes while writes run, but after methods that wait
		l.want("w3 w4")
		l.done("w3", "w4")
		l.want("m2")
		l.done("m2")
		l.want("m3")
		l.done("m3")
		l.want("w5 w6")
		l.done("w5", "w6")
		wantIdle(t, b)
	})
}

func TestLeavingTheQueueAtEveryPosition(t *testing.T) {
	names := []string{"m1", "w2", "w3", "m4", "w5"}
	for gone := range names {
		t.Run(names[gone], func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				b := New(Config{})
				l := newLine(t, b)
				l.join(t.Context(), "w0", nil)
				ctx, cancel := context.WithCancel(t.Context())
				for i, name := range names {
					if i == gone {
						l.join(ctx, name, nil)
					} else {
						l.join(t.Context(), name, nil)
					}
				}
				cancel()
				if gone == 0 {
					l.want("w0 w2 w3") // nobody ahead keeps the writes from sharing any more
				} else {
					l.want("w0")
				}
				wantCode(t, l.err(names[gone]), fault.Cancelled)
				for l.inside() != "" {
					l.done(strings.Fields(l.inside())...)
				}
				l.wg.Wait()
				want := append([]string{"w0"}, slices.Delete(slices.Clone(names), gone, gone+1)...)
				got := slices.Clone(l.order)
				if strings.Join(sortShared(got), " ") != strings.Join(want, " ") {
					t.Errorf("admitted %v, want %v", l.order, want)
				}
				wantIdle(t, b)
			})
		})
	}
}

// sortShared sorts neighbouring writes, whose order among each other is free.
func sortShared(names []string) []string {
	for from := 0; from < len(names); from++ {
		to := from
		for to < len(names) && names[to][0] == 'w' {
			to++
		}
		slices.Sort(names[from:to])
		from = max(from, to-1)
	}
	return names
}

func TestDeadlineInTheQueue(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := New(Config{})
		turn := mustRun(t, b, "x", "c1", nil)
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, err := b.Write(ctx, ref("x"), nil)
		wantCode(t, err, fault.DeadlineExceeded)
		if !strings.Contains(err.Error(), "shop.cart/0/x") {
			t.Errorf("the message does not name the object: %v", err)
		}
		turn.Done()
		turn.Done() // harmless
		mustRun(t, b, "x", "c2", nil).Done()
		wantIdle(t, b)
	})
}

func TestFullMailboxRefuses(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		r := prometheus.NewRegistry()
		b := New(Config{Limit: 2, Registerer: r, LimitOf: func(class string) int {
			if class == "shop.big" {
				return 3
			}
			return 0
		}})
		l := newLine(t, b)
		for _, name := range []string{"m1", "m2", "w3"} {
			l.join(t.Context(), name, nil)
		}
		_, err := b.Run(t.Context(), ref("x"), "m", "c", nil)
		wantCode(t, err, fault.Busy)
		if fault.From(err).RetryAfter <= 0 {
			t.Error("no RetryAfter")
		}
		if got := figure(t, b.metrics.waiting); got != 2 {
			t.Errorf("waiting is %v, want 2", got)
		}
		mustWrite(t, b, "y", nil).Done() // another object is not busy
		l.done("m1")
		l.join(t.Context(), "m4", nil) // room again
		l.want("m2")
		l.done("m2")
		l.done("w3")
		l.done("m4")
		wantIdle(t, b)
		if got := figure(t, b.metrics.refused.WithLabelValues(reasonBusy)); got != 1 {
			t.Errorf("rejected is %v, want 1", got)
		}
		if b.limitFor("shop.big") != 3 || b.limitFor("shop.cart") != 2 {
			t.Error("limit of a class is not used")
		}
		if again := New(Config{Registerer: r}); again.metrics.waiting != b.metrics.waiting {
			t.Error("second set of mailboxes does not share the metrics")
		}
	})
}
