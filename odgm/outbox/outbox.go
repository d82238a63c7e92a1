// Package outbox delivers the events of one shard to their targets.
//
// Guarantee: an event that is in the outbox is handed to the dispatcher at least once, with the same id each time, until it is accepted or
// has gone to the dead-letter list. Events of one object reach one target in the order of the object's commits. A target that is slow, down
// or wrong delays no other group of targets, and the memory in use does not grow with the number of events that wait. DESIGN.md says how.
package outbox

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// Shard is what the deliverer needs of a shard.
type Shard interface {
	// OutboxGroups names the groups that have events.
	OutboxGroups(ctx context.Context) ([]string, error)
	// Outbox gives events of a group with numbers above after, in ascending order; fewer than limit means that there are no more.
	Outbox(ctx context.Context, group string, after uint64, limit int) ([]*record.Event, error)
	// Do applies an Ack or a Bury.
	Do(ctx context.Context, cmd *record.Command) (shard.Result, error)
	// Stats tells how many events wait.
	Stats(ctx context.Context) (shard.Stats, error)
}

var _ Shard = (*shard.Shard)(nil)

// Dispatcher hands one event to its target and returns nil when the target has accepted it. It must return soon after its context has
// ended, and must not change the event. An error means another attempt later, unless it is Final.
type Dispatcher func(ctx context.Context, event *record.Event) error

// Config is what a deliverer is made of. Zero values mean the defaults.
type Config struct {
	// Name of the shard in logs, for example "shop.cart/3".
	Name     string
	Shard    Shard
	Dispatch Dispatcher
	Logger   *slog.Logger
	// Registerer takes the metrics, which all deliverers of one registerer share; nil for none.
	Registerer prometheus.Registerer

	// MaxAttempts is the number of attempts after which an event goes to the dead-letter list; 12.
	MaxAttempts int
	// Backoff is the wait after the first failed attempt (100 ms); it doubles with each one up to BackoffCap (30 s), give or take a fifth.
	Backoff    time.Duration
	BackoffCap time.Duration
	// Timeout bounds one attempt; 5 minutes. Dispatchers usually have a shorter one.
	Timeout time.Duration
	// Window bounds the events of one group that are in memory; 4096. An event counts once more for each 4 KiB of its data.
	Window int
	// Workers bounds the attempts that run at once in one group; 32.
	Workers int
	// Idle is the time after which a group without events is forgotten; 5 minutes.
	Idle time.Duration
	// Rescan is the time between two looks at the groups of the shard, in case that a notice was lost; 1 minute.
	Rescan time.Duration
	// Rand gives numbers in [0, 1) for the jitter; rand.Float64.
	Rand func() float64
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Rand == nil {
		c.Rand = rand.Float64
	}
	orDefault(&c.MaxAttempts, 12)
	orDefault(&c.Backoff, 100*time.Millisecond)
	orDefault(&c.BackoffCap, 30*time.Second)
	orDefault(&c.Timeout, 5*time.Minute)
	orDefault(&c.Window, 4096)
	orDefault(&c.Workers, 32)
	orDefault(&c.Idle, 5*time.Minute)
	orDefault(&c.Rescan, time.Minute)
	return c
}

func orDefault[T int | time.Duration](field *T, value T) {
	if *field <= 0 {
		*field = value
	}
}

// Outbox delivers the events of one shard. It has one pump a group, the workers of the groups, and one settler.
//
// Lock order: Outbox.mu, then group.mu, then settler.mu. None is held during a read, a command or an attempt.
type Outbox struct {
	cfg     Config
	metrics *metrics
	settler *settler
	look    chan struct{} // wakes discover

	reading     context.Context // of the pumps
	stopReading context.CancelFunc
	attempting  context.Context // of the attempts
	abort       context.CancelFunc

	running sync.WaitGroup // discover, pumps and workers
	closed  chan struct{}  // closed at the end of Close

	mu      sync.Mutex
	groups  map[string]*group
	closing bool
}

// Open starts to deliver what is in the outbox. The shard has to call Notify from then on, and Close ends it.
func Open(cfg Config) (*Outbox, error) {
	o := &Outbox{cfg: cfg.withDefaults(), look: make(chan struct{}, 1), groups: map[string]*group{}, closed: make(chan struct{})}
	var err error
	if o.metrics, err = metricsOf(cfg.Registerer); err != nil {
		return nil, err
	}
	o.reading, o.stopReading = context.WithCancel(context.Background())
	o.attempting, o.abort = context.WithCancel(context.Background())
	o.settler = newSettler(o)
	o.running.Go(o.discover)
	o.metrics.attach(o)
	return o, nil
}

// Notify says that the groups have new events, and returns at once. It is meant for shard.Config.OnEvents.
func (o *Outbox) Notify(groups []string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return
	}
	for _, name := range groups {
		g := o.groups[name]
		if g == nil {
			g = newGroup(o, name)
			o.groups[name] = g
			g.more.Store(true)
			o.running.Go(g.pump)
			continue
		}
		g.more.Store(true)
		g.poke()
	}
}

// Discover has the deliverer look at the groups of the shard soon. Call it when notices may have been lost: after Open, once Notify is hooked
// up, if the shard was in use already.
func (o *Outbox) Discover() {
	select {
	case o.look <- struct{}{}:
	default:
	}
}

// discover finds the events that a former process left behind, or of which no notice came.
func (o *Outbox) discover() {
	failures := 0
	for o.reading.Err() == nil {
		wait := o.cfg.Rescan
		groups, err := o.cfg.Shard.OutboxGroups(o.reading)
		switch {
		case err == nil:
			failures = 0
			o.Notify(groups)
		case o.reading.Err() != nil:
			return
		default:
			failures++
			wait = o.cfg.delay(failures)
			o.cfg.Logger.Error("list groups of outbox", "shard", o.cfg.Name, "error", err)
		}
		timer := time.NewTimer(wait)
		select {
		case <-timer.C:
		case <-o.look:
		case <-o.reading.Done():
		}
		timer.Stop()
	}
}

// forget drops a group that has nothing to do, unless it was just told of new events.
func (o *Outbox) forget(g *group) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if g.more.Load() {
		return false
	}
	delete(o.groups, g.name)
	return true
}

// Close stops delivering: it starts no attempt, waits for those that run, and records what they gave. When ctx ends first, it cuts them off
// and returns the context's error. What was not recorded is delivered again after the next Open.
func (o *Outbox) Close(ctx context.Context) error {
	if !o.beginClose() {
		<-o.closed
		return nil
	}
	defer close(o.closed)
	o.stopReading()
	stopped := make(chan struct{})
	go func() {
		o.running.Wait()
		close(stopped)
	}()
	cut := waitOr(ctx, stopped, o.abort)
	o.abort()
	cut = waitOr(ctx, o.settler.stop(), o.settler.abort) || cut
	o.settler.abort()
	o.metrics.detach(o)
	if cut {
		return fmt.Errorf("close outbox %s: %w", o.cfg.Name, ctx.Err())
	}
	return nil
}

// beginClose makes every group refuse to start attempts; it is false when Close was called before.
func (o *Outbox) beginClose() bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.closing {
		return false
	}
	o.closing = true
	for _, g := range o.groups {
		g.mu.Lock()
		g.closing = true
		g.mu.Unlock()
	}
	return true
}

// waitOr waits for done; when ctx ends first it calls cut, and still waits. It reports whether it did.
func waitOr(ctx context.Context, done <-chan struct{}, cut func()) bool {
	select {
	case <-done:
		return false
	case <-ctx.Done():
		cut()
		<-done
		return true
	}
}

// Stats are the numbers of a deliverer.
type Stats struct {
	// Groups is the number of groups that have, or lately had, events.
	Groups int
	// Pending counts the events in the outbox of the shard, Loaded those of them that are in memory.
	Pending uint64
	Loaded  int
	// Lag is the age of the oldest event that was not accepted yet; 0 when there is none.
	Lag time.Duration
}

// Stats gives the numbers of now.
func (o *Outbox) Stats(ctx context.Context) (Stats, error) {
	stored, err := o.cfg.Shard.Stats(ctx)
	if err != nil {
		return Stats{}, fmt.Errorf("stats of outbox: %w", err)
	}
	stats := Stats{Pending: stored.Outbox}
	o.mu.Lock()
	defer o.mu.Unlock()
	stats.Groups = len(o.groups)
	oldest := int64(0)
	for _, g := range o.groups {
		g.mu.Lock()
		stats.Loaded += g.window.loaded
		if at := g.window.oldest(); at != 0 && (oldest == 0 || at < oldest) {
			oldest = at
		}
		g.mu.Unlock()
	}
	if oldest != 0 {
		stats.Lag = max(time.Since(time.Unix(0, oldest)), 0)
	}
	return stats, nil
}
