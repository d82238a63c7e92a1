// Package gateway is the platform's HTTP entrance: objects, entries, calls and events over REST, in JSON and protobuf, with the paths and
// texts of OaaS-RS.
//
// Guarantee: every request gets exactly one answer, within its deadline; what the caller did wrong is told with a stable code and changes
// nothing; bodies, headers, and requests in flight are bounded; a panic in a handler is one answer 500 and one log record. Stopping answers
// what has begun.
//
// The gateway holds no state of its own: it translates, and the Grid does the work.
package gateway

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"sync/atomic"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"
	"github.com/gin-gonic/gin"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Grid is what the gateway asks of the object data grid. Ids of targets are as the client gave them; errors are faults.
type Grid interface {
	Objects
	Calls
	Events
	Streams

	Classes() []odgm.Class
	Class(name string) (odgm.Class, error)
	Resolve(t odgm.Target) (object.Ref, error)
	// Ready gives nil while the grid serves.
	Ready() error
}

// Objects reads and writes objects.
type Objects interface {
	Get(ctx context.Context, t odgm.Target, sel object.Selector) (object.Object, object.Ref, error)
	Entry(ctx context.Context, t odgm.Target, key string) (object.Entry, object.Meta, error)
	Write(ctx context.Context, t odgm.Target, change object.Change, opt odgm.WriteOptions) (odgm.Written, error)
	Delete(ctx context.Context, t odgm.Target, expect object.Expect, opt odgm.WriteOptions) (odgm.Written, error)
	ListObjects(ctx context.Context, class string, partition int, page object.Page) ([]object.Meta, []byte, error)
	ListEntries(ctx context.Context, t odgm.Target, page object.Page) ([]object.Entry, object.Meta, []byte, error)
}

// Calls runs methods and functions.
type Calls interface {
	Invoke(ctx context.Context, c call.Call, t odgm.Target) (call.Answer, error)
	InvokeAsync(ctx context.Context, c call.Call, t odgm.Target) (*record.Invocation, error)
	Invocation(ctx context.Context, class string, partition int, id string, wait bool) (*record.Invocation, error)
	Cancel(ctx context.Context, class string, partition int, id string) (*record.Invocation, error)
}

// Events takes events in, and looks after those that could not be delivered.
type Events interface {
	Dispatch(ctx context.Context, ev cloudevents.Event) (odgm.Dispatched, error)
	DeadLetters(ctx context.Context, class string, partition int, after uint64, limit int) ([]*record.Event, error)
	Replay(ctx context.Context, class string, partition int, seqs []uint64, all, drop bool) (int, error)
}

// Streams hands out changes.
type Streams interface {
	Subscribe(ctx context.Context, filter odgm.StreamFilter, from odgm.Position) (*odgm.Stream, error)
}

var _ Grid = (*odgm.Grid)(nil)

// Options are the parts that a gateway is given. The zero value works: no log, no metrics, no further routes.
type Options struct {
	Logger *slog.Logger
	// Registry takes the gateway's metrics, and is served at /metrics.
	Registry *prometheus.Registry
	// Mount adds further routes to the gateway's engine. They are counted, traced and protected from panics as the gateway's own, but are
	// neither bounded in number nor in time, and get no CORS headers.
	Mount func(gin.IRouter)
}

// Gateway serves the routes of the package. Make one with New.
type Gateway struct {
	grid   Grid
	cfg    Config
	log    *slog.Logger
	engine *gin.Engine
	// handler is the engine, or what Front put in front of it.
	handler http.Handler
	metrics *metrics
	// tracer is nil while tracing is off.
	tracer   trace.Tracer
	inFlight atomic.Int64
	mounted  mountedMetrics
	streams  streams
	// stopping ends when Serve begins to drain.
	stopping context.Context
	stop     context.CancelFunc
}

const instrumentation = "github.com/hpcclab/oaas-go/gateway"

// New makes a gateway in front of grid. It fails for a configuration that is not valid, and if the registry has such metrics already.
func New(grid Grid, cfg Config, opt Options) (*Gateway, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	g := &Gateway{grid: grid, cfg: cfg, log: opt.Logger}
	if g.log == nil {
		g.log = slog.New(slog.DiscardHandler)
	}
	if opt.Registry == nil {
		opt.Registry = prometheus.NewRegistry()
	}
	var err error
	if g.metrics, err = newMetrics(opt.Registry); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if err := g.streams.open(opt.Registry); err != nil {
		return nil, fmt.Errorf("gateway: %w", err)
	}
	if provider := otel.GetTracerProvider(); !isNoop(provider) {
		g.tracer = provider.Tracer(instrumentation)
	}
	g.stopping, g.stop = context.WithCancel(context.Background())
	g.engine = newEngine()
	g.handler = g.engine
	g.mount()
	g.raw(http.MethodGet, "/metrics", promhttp.HandlerFor(opt.Registry, promhttp.HandlerOpts{}))
	if opt.Mount != nil {
		opt.Mount(g.engine.Group("", g.observe))
	}
	return g, nil
}

// isNoop reports whether spans of the provider go nowhere, so that making them can be spared.
func isNoop(p trace.TracerProvider) bool {
	_, off := p.(noop.TracerProvider)
	return off
}

// newEngine makes an engine that keeps paths as they come: an encoded slash is part of an id, not of the path.
func newEngine() *gin.Engine {
	gin.SetMode(gin.ReleaseMode)
	e := gin.New()
	e.HandleMethodNotAllowed = true
	e.RedirectTrailingSlash = false
	e.UseRawPath = true
	e.UnescapePathValues = false // exchange.param does it: gin would turn + into a space
	return e
}

// Handler gives the gateway as a handler, for a server of the caller's.
func (g *Gateway) Handler() http.Handler { return g.handler }

// Front puts a handler in front of the gateway's, on the same port: wrap gets the gateway's as next. It is for what is no route, as gRPC,
// and is called before Handler and Serve.
func (g *Gateway) Front(wrap func(next http.Handler) http.Handler) { g.handler = wrap(g.handler) }

// Routes lists the routes of the engine: the gateway's own, and those that Options.Mount added.
func (g *Gateway) Routes() gin.RoutesInfo { return g.engine.Routes() }

// Stopping ends when the gateway begins to drain; handlers of long streams watch it.
func (g *Gateway) Stopping() <-chan struct{} { return g.stopping.Done() }
