// Package odgm is the object data grid: it holds the objects of deployed classes in shards, runs methods on them, and delivers the events of
// their changes.
//
// Guarantee: see DESIGN.md beside this file, which was written before the code and which the tests hold to.
//
// The way of a call: Grid.Invoke finds the shard; package mailbox admits the call; package invoke reads the state, has the function run it and makes
// one command of the answer; package shard applies the command; package outbox delivers what the command fired.
package odgm

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/eventing"

	"github.com/hpcclab/oaas-go/odgm/condition"
	"github.com/hpcclab/oaas-go/odgm/invoke"
	"github.com/hpcclab/oaas-go/odgm/mailbox"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// Config says how a grid works. The zero value keeps everything in memory and dispatches emitted events to the grid's own subscriptions.
type Config struct {
	// Dir holds the data of durable classes; empty allows only classes in memory.
	Dir        string
	Logger     *slog.Logger
	Registerer prometheus.Registerer
	// DefaultSink is the URL of the CloudEvents sink for emitted events (K_SINK); empty means: to this grid's own subscriptions.
	DefaultSink string
	// SinkOverrides is the JSON of K_CE_OVERRIDES, or empty.
	SinkOverrides string
	// CacheBytes bounds the cache of hot reads; 0 means 16 MiB.
	CacheBytes int64
	// ChainSecret makes the proofs of call chains. Grids that have the same one know the calls of each other's methods from calls from outside;
	// nil is a random one.
	ChainSecret []byte
	// MaxReply bounds a function's answer in bytes; 0 means 16 MiB.
	MaxReply int
	// OnDelivery, if set, is told of each delivered event, its target's answer and how long it took; it must return at once.
	OnDelivery func(Delivery)
}

// Grid holds the deployed classes. Its methods may be called from many goroutines.
type Grid struct {
	cfg        Config
	log        *slog.Logger
	boxes      *mailbox.Boxes
	executor   *invoke.Executor
	cache      *shard.Cache
	metrics    *shard.Metrics
	conditions *condition.Cache
	sinks      *eventing.Sink
	events     *eventMetrics
	gets       shard.Variants
	normalize  prometheus.Histogram
	gate       gate

	deploying sync.Mutex  // one deployment at a time; before mu
	observers []*observer // guarded by deploying
	mu        sync.RWMutex
	classes   map[string]*class
	closed    bool

	stop    context.CancelFunc
	sweeper sync.WaitGroup
}

// sweepEvery is how often expired records are removed.
const sweepEvery = time.Minute

// Open makes a grid without classes.
func Open(cfg Config) (*Grid, error) {
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.Registerer == nil {
		cfg.Registerer = prometheus.NewRegistry()
	}
	if cfg.CacheBytes == 0 {
		cfg.CacheBytes = 16 << 20
	}
	g := &Grid{cfg: cfg, log: cfg.Logger, classes: map[string]*class{}, conditions: condition.NewCache(1024)}
	ctx, stop := context.WithCancel(context.Background())
	g.stop = stop
	if err := g.assemble(); err != nil {
		stop()
		return nil, fmt.Errorf("open grid: %w", err)
	}
	g.sweeper.Go(func() { g.sweep(ctx) })
	return g, nil
}

// assemble makes the parts that all classes share.
func (g *Grid) assemble() (err error) {
	if g.sinks, err = eventing.NewSink(eventing.SinkConfig{Overrides: g.cfg.SinkOverrides}); err != nil {
		return err
	}
	if g.metrics, err = shard.NewMetrics(g.cfg.Registerer); err != nil {
		return err
	}
	if g.events, err = newEventMetrics(g.cfg.Registerer); err != nil {
		return err
	}
	g.gets = shard.NewVariants("odgm_get_total", "Reads of objects and entries.", "variant")
	g.normalize = prometheus.NewHistogram(prometheus.HistogramOpts{
		Name: "odgm_normalize_latency_ms", Help: "Time to check and normalise an object id, in milliseconds.", Buckets: []float64{.0001, .0005, .001, .01, .1, 1},
	})
	for _, c := range []prometheus.Collector{&g.gets, g.normalize} {
		if err := g.cfg.Registerer.Register(c); err != nil {
			return fmt.Errorf("register metrics of objects: %w", err)
		}
	}
	if g.cache, err = shard.NewCache(g.cfg.CacheBytes); err != nil {
		return err
	}
	g.boxes = mailbox.New(mailbox.Config{LimitOf: g.mailboxLimit, Local: g.holds, Registerer: g.cfg.Registerer})
	g.executor = invoke.New(invoke.Config{Boxes: g.boxes, Logger: g.log, Registerer: g.cfg.Registerer, MaxReply: g.cfg.MaxReply, Secret: g.cfg.ChainSecret})
	return nil
}

// Close stops taking work, waits for what runs until ctx ends, and closes the shards. What was acknowledged is on disk; deliveries and
// asynchronous calls that were cut short go on at the next start.
func (g *Grid) Close(ctx context.Context) error {
	g.mu.Lock()
	if g.closed {
		g.mu.Unlock()
		return nil
	}
	g.closed = true
	classes := slices.Collect(maps.Values(g.classes))
	g.mu.Unlock()
	g.stop()
	g.sweeper.Wait()
	var errs []error
	for _, c := range classes {
		errs = append(errs, c.close(ctx))
	}
	g.cache.Close()
	g.sinks.Close()
	return errors.Join(errs...)
}

// Ready gives nil while the grid serves.
func (g *Grid) Ready() error {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return fault.New(fault.Unavailable, "the grid is closed")
	}
	return nil
}

// Classes gives the deployed classes, sorted by name.
func (g *Grid) Classes() []Class {
	g.mu.RLock()
	defer g.mu.RUnlock()
	classes := make([]Class, 0, len(g.classes))
	for _, c := range g.classes {
		classes = append(classes, *c.spec.Load())
	}
	slices.SortFunc(classes, func(a, b Class) int { return strings.Compare(a.Name, b.Name) })
	return classes
}

// Class gives a deployed class.
func (g *Grid) Class(name string) (Class, error) {
	c, err := g.class(name)
	if err != nil {
		return Class{}, err
	}
	return *c.spec.Load(), nil
}

// Resolve gives the identity of the object that a client names.
func (g *Grid) Resolve(t Target) (object.Ref, error) {
	_, ref, err := g.locate(t)
	return ref, err
}

func (g *Grid) class(name string) (*class, error) {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if g.closed {
		return nil, fault.New(fault.Unavailable, "the platform is stopping")
	}
	c, found := g.classes[name]
	if !found {
		return nil, NoClass(name, maps.Keys(g.classes))
	}
	return c, nil
}

// NoClass is the error for a class that is not among those that are deployed.
func NoClass(name string, deployed iter.Seq[string]) error {
	const most = 10
	names := slices.Sorted(deployed)
	list := strings.Join(names[:min(len(names), most)], ", ")
	switch {
	case len(names) == 0:
		list = "none"
	case len(names) > most:
		list += ", …"
	}
	return fault.New(fault.NoClass, "class %q is not deployed; deployed are: %s", name, list)
}

// locate gives the partition and the identity of the object that a client names.
func (g *Grid) locate(t Target) (*partition, object.Ref, error) {
	c, err := g.class(t.Class)
	if err != nil {
		return nil, object.Ref{}, err
	}
	begun := time.Now()
	ref, err := c.spec.Load().Locate(t)
	g.normalize.Observe(float64(time.Since(begun)) / float64(time.Millisecond))
	if err != nil {
		return nil, ref, err
	}
	return c.partitions[ref.Partition], ref, nil
}

// holds reports whether calls on an object run in this process.
func (g *Grid) holds(ref object.Ref) bool {
	g.mu.RLock()
	defer g.mu.RUnlock()
	_, found := g.classes[ref.Class]
	return found
}

func (g *Grid) mailboxLimit(name string) int {
	g.mu.RLock()
	defer g.mu.RUnlock()
	if c, found := g.classes[name]; found {
		return c.spec.Load().MailboxLimit
	}
	return 0
}

// partitions gives every partition of every class.
func (g *Grid) partitions() []*partition {
	g.mu.RLock()
	defer g.mu.RUnlock()
	var all []*partition
	for _, c := range g.classes {
		all = append(all, c.partitions...)
	}
	return all
}

// sweep removes expired records until ctx ends.
func (g *Grid) sweep(ctx context.Context) {
	ticker := time.NewTicker(sweepEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for _, p := range g.partitions() {
			if _, err := p.shard.Sweep(ctx); err != nil && ctx.Err() == nil && fault.CodeOf(err) != fault.Unavailable {
				g.log.Error("remove expired records", "class", p.class, "partition", p.number, "error", err)
			}
		}
	}
}
