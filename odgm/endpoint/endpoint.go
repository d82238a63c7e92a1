// Package endpoint serves a grid on a Zenoh session, with the key space of OaaS-RS (package broker/keys) and its messages of both generations.
//
// Guarantee: what is declared follows what is deployed: when a deployment has returned, its classes answer, and before one is undeployed nothing of it
// is declared any more. Each query gets its answer or an error in words. A query never reaches a function whose key does not name it, and no
// declaration of the endpoint takes queries that are meant for somebody else. What is worked on at once is bounded; what comes beyond it waits. Writes
// and calls without an answer are done in the order in which they came, for each object. See DESIGN.md.
package endpoint

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/trace"

	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Grid is what the endpoint asks of the object data grid. Errors are faults.
type Grid interface {
	Get(ctx context.Context, t odgm.Target, sel object.Selector) (object.Object, object.Ref, error)
	Entry(ctx context.Context, t odgm.Target, key string) (object.Entry, object.Meta, error)
	Write(ctx context.Context, t odgm.Target, change object.Change, opt odgm.WriteOptions) (odgm.Written, error)
	Delete(ctx context.Context, t odgm.Target, expect object.Expect, opt odgm.WriteOptions) (odgm.Written, error)
	ListObjects(ctx context.Context, class string, partition int, page object.Page) ([]object.Meta, []byte, error)
	Invoke(ctx context.Context, c call.Call, t odgm.Target) (call.Answer, error)
	InvokeAsync(ctx context.Context, c call.Call, t odgm.Target) (*record.Invocation, error)
	Invocation(ctx context.Context, class string, partition int, id string, wait bool) (*record.Invocation, error)
	Subscribe(ctx context.Context, filter odgm.StreamFilter, from odgm.Position) (*odgm.Stream, error)
	Observe(fn func(name string, spec *odgm.Class)) (stop func())
}

var _ Grid = (*odgm.Grid)(nil)

// Config says how an endpoint works. The zero value has the defaults.
type Config struct {
	// MaxRequests bounds the reads and writes that are worked on at once; 0 means 64. What comes beyond it waits, in the queues of the session.
	MaxRequests int
	// MaxCalls bounds the calls that are worked on at once; 0 means 4096. Calls wait for other calls, so this must be far above what chains need.
	MaxCalls int
	// PutTimeout bounds a write without an answer; 0 means 30 s.
	PutTimeout time.Duration
	// Publish and Locality are those of classes that do not say: whether changes are published on Zenoh, and for whom (remote without a word).
	Publish  bool
	Locality string
	// Version is shown by capabilities.
	Version string
	// Modules is true where WebAssembly runs.
	Modules bool

	Logger     *slog.Logger
	Registerer prometheus.Registerer
}

func (c *Config) complete() error {
	if c.MaxRequests == 0 {
		c.MaxRequests = 64
	}
	if c.MaxCalls == 0 {
		c.MaxCalls = 4096
	}
	if c.PutTimeout == 0 {
		c.PutTimeout = 30 * time.Second
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.MaxRequests < 0 || c.MaxCalls < 0 || c.PutTimeout < 0 {
		return fmt.Errorf("%d requests, %d calls, %s for a put: must be positive", c.MaxRequests, c.MaxCalls, c.PutTimeout)
	}
	if _, err := localityOf(c.Locality); err != nil {
		return err
	}
	return nil
}

// Endpoint serves a grid. Its methods may be called from many goroutines.
type Endpoint struct {
	session  *zenoh.Session
	grid     Grid
	cfg      Config
	log      *slog.Logger
	metrics  *metrics
	tracer   trace.Tracer // nil while tracing is off
	requests chan struct{}
	calls    chan struct{}
	lanes    lanes
	observed func() // stops observing the grid

	ctx  context.Context // ends when the endpoint closes
	stop context.CancelFunc
	work sync.WaitGroup

	mu           sync.Mutex // guards what follows
	closed       bool
	classes      map[string]*class
	capabilities *zenoh.Queryable
}

// Open serves the grid on the session, which stays the caller's, until Close. It fails for a configuration that is not valid, if the registerer has such
// metrics already, and on a session that is closed.
func Open(ctx context.Context, session *zenoh.Session, grid Grid, cfg Config) (*Endpoint, error) {
	if err := cfg.complete(); err != nil {
		return nil, fmt.Errorf("open endpoint on Zenoh: %w", err)
	}
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, fmt.Errorf("open endpoint on Zenoh: %w", err)
	}
	e := &Endpoint{
		session: session, grid: grid, cfg: cfg, log: cfg.Logger, metrics: m, tracer: tracerIfOn(), classes: map[string]*class{},
		requests: make(chan struct{}, cfg.MaxRequests), calls: make(chan struct{}, cfg.MaxCalls),
	}
	e.ctx, e.stop = context.WithCancel(context.WithoutCancel(ctx))
	e.lanes.start(e)
	key := zenoh.MustKeyExpr(keys.In(keys.Any, keys.Any).Capabilities(keys.Any).String())
	answer := zenoh.Closure[*zenoh.Query]{Call: e.taking(nil, keys.Capabilities)}
	// Not complete: others may have the shard that is asked for, and all are asked then.
	if e.capabilities, err = session.DeclareQueryable(ctx, key, answer, nil); err != nil {
		e.stop()
		close(e.lanes.closing)
		e.work.Wait()
		return nil, fmt.Errorf("open endpoint on Zenoh: %w", err)
	}
	e.observed = grid.Observe(e.deployed)
	return e, nil
}

// Close withdraws all declarations, lets what has begun end until ctx ends, and cuts off the rest. It waits for all that the endpoint started.
func (e *Endpoint) Close(ctx context.Context) error {
	e.observed()
	e.mu.Lock()
	if e.closed {
		e.mu.Unlock()
		return nil
	}
	e.closed = true
	classes := e.classes
	e.classes = nil
	e.mu.Unlock()
	errs := []error{e.capabilities.Undeclare(ctx)}
	for _, c := range classes {
		errs = append(errs, c.withdraw(ctx))
	}
	close(e.lanes.closing)
	done := make(chan struct{})
	go func() { // ends with the work
		e.work.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-ctx.Done():
		errs = append(errs, fmt.Errorf("close Zenoh endpoint: requests cut off: %w", context.Cause(ctx)))
	}
	e.stop()
	<-done
	return errors.Join(errs...)
}

// begin runs work that Close waits for. It gives false after Close.
func (e *Endpoint) begin(work func()) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closed {
		return false
	}
	e.work.Go(work)
	return true
}

// deployed makes the declarations of a class those of its spec; nil takes them back.
func (e *Endpoint) deployed(name string, spec *odgm.Class) {
	e.mu.Lock()
	old, closed := e.classes[name], e.closed
	e.mu.Unlock()
	if closed {
		return
	}
	if spec == nil {
		e.mu.Lock()
		delete(e.classes, name)
		e.mu.Unlock()
		if old != nil {
			e.warn(old.withdraw(e.ctx), "withdraw", name)
		}
		return
	}
	if old == nil {
		old = &class{e: e, name: name}
		e.mu.Lock()
		e.classes[name] = old
		e.mu.Unlock()
	}
	e.warn(old.declare(e.ctx, spec), "declare", name)
	e.settle()
}

// settleTime is how long a deployment waits for a router that does not answer.
const settleTime = time.Second

// settled is a key that no token has.
var settled = zenoh.MustKeyExpr("oaas/settled")

// settle waits until the router knows what was declared: it takes messages in order, so it does once it has answered a question that was asked
// afterwards. Whoever asks for the class when its deployment has returned thus finds it. Without a router there is nobody who could ask.
func (e *Endpoint) settle() {
	ctx, done := context.WithTimeout(e.ctx, settleTime)
	defer done()
	replies, err := e.session.Liveliness().Get(ctx, settled, nil, nil)
	if err != nil {
		return
	}
	for range replies { // until the last one
	}
}

// warn says what a client of Zenoh may miss.
func (e *Endpoint) warn(err error, what, class string) {
	if err != nil && !errors.Is(err, zenoh.ErrSessionClosed) {
		e.log.Warn(what+" class on Zenoh", "class", class, "error", err)
	}
}
