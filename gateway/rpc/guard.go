package rpc

import (
	"context"
	"log/slog"
	"runtime/debug"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	otelcodes "go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/grpc/tap"

	"github.com/hpcclab/oaas-go/api/fault"
)

// guard stands around every call: it counts and traces, refuses what is too much, catches panics, and makes statuses of faults.
type guard struct {
	log      *slog.Logger
	metrics  *metrics
	most     int64
	timeout  time.Duration
	inFlight atomic.Int64
	// tracer is nil while tracing is off.
	tracer trace.Tracer
}

const instrumentation = "github.com/hpcclab/oaas-go/gateway/rpc"

func newGuard(cfg *Config) (*guard, error) {
	m, err := newMetrics(cfg.Registerer)
	if err != nil {
		return nil, err
	}
	g := &guard{log: cfg.Logger, metrics: m, most: int64(cfg.MaxInFlight), timeout: cfg.Timeout}
	if provider := otel.GetTracerProvider(); !isNoop(provider) {
		g.tracer = provider.Tracer(instrumentation)
	}
	return g, nil
}

func isNoop(p trace.TracerProvider) bool {
	_, off := p.(noop.TracerProvider)
	return off
}

// own reports whether a method is of the platform's services. Health and reflection are asked by tools that may watch for as long as they like.
func own(method string) bool { return strings.HasPrefix(method, "/oprc.") }

// tap limits the time of calls whose clients set none, from their headers on: a client that never sends its message is cut off too. The
// timer goes with the stream, whose context is the parent.
func (g *guard) tap(ctx context.Context, info *tap.Info) (context.Context, error) {
	if _, limited := ctx.Deadline(); limited || !own(info.FullMethodName) {
		return ctx, nil
	}
	limited, cancel := context.WithTimeout(ctx, g.timeout)
	context.AfterFunc(ctx, cancel)
	return limited, nil
}

// unary guards calls of one message.
func (g *guard) unary(ctx context.Context, request any, info *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (response any, err error) {
	x := &exchange{guard: g, method: info.FullMethod, began: time.Now()}
	defer func() {
		if err = x.finish(recover(), err); err != nil {
			response = nil
		}
	}()
	ctx, err = x.begin(ctx, request)
	if err != nil {
		return nil, err
	}
	return handle(ctx, request)
}

// stream guards calls of many messages.
func (g *guard) stream(server any, s grpc.ServerStream, info *grpc.StreamServerInfo, handle grpc.StreamHandler) (err error) {
	x := &exchange{guard: g, method: info.FullMethod, began: time.Now()}
	defer func() { err = x.finish(recover(), err) }()
	ctx, err := x.begin(s.Context(), nil)
	if err != nil {
		return err
	}
	return handle(server, &tracedStream{ServerStream: s, ctx: ctx})
}

// tracedStream is a stream with the context of its exchange.
type tracedStream struct {
	grpc.ServerStream
	ctx context.Context
}

// Context gives the context of the exchange.
func (s *tracedStream) Context() context.Context { return s.ctx }

// exchange is one call and its status.
type exchange struct {
	*guard
	method string
	span   trace.Span
	began  time.Time
}

var propagator = propagation.TraceContext{}

// withOptions are requests that may carry a trace as clients of OaaS-RS do.
type withOptions interface{ GetOptions() map[string]string }

// begin continues the client's trace, makes the call's span while tracing is on, and refuses the call if there are too many.
func (x *exchange) begin(ctx context.Context, request any) (context.Context, error) {
	inFlight := x.inFlight.Add(1)
	if given := metadata.ValueFromIncomingContext(ctx, "traceparent"); len(given) > 0 {
		md, _ := metadata.FromIncomingContext(ctx) // it copies, so it is not for calls without a trace
		ctx = propagator.Extract(ctx, carrier(md))
	} else if r, ok := request.(withOptions); ok && r.GetOptions()["traceparent"] != "" {
		ctx = propagator.Extract(ctx, propagation.MapCarrier(r.GetOptions()))
	}
	if x.tracer != nil {
		ctx, x.span = x.tracer.Start(ctx, strings.TrimPrefix(x.method, "/"), trace.WithSpanKind(trace.SpanKindServer))
		if x.span.IsRecording() {
			service, method, _ := strings.Cut(strings.TrimPrefix(x.method, "/"), "/")
			x.span.SetAttributes(
				attribute.String("rpc.system", "grpc"), attribute.String("rpc.service", service), attribute.String("rpc.method", method))
		}
	}
	if inFlight > x.most && own(x.method) {
		busy := fault.New(fault.Busy, "%d calls are being answered, which is the limit", x.most)
		busy.RetryAfter = time.Second
		return ctx, busy
	}
	return ctx, nil
}

// finish ends the exchange, also when its handler panicked, and gives what the client is told.
func (x *exchange) finish(panicked any, err error) error {
	x.inFlight.Add(-1)
	if panicked != nil {
		x.log.Error("handler panicked", "method", x.method, "panic", panicked, "stack", string(debug.Stack()))
		err = fault.New(fault.Internal, "the platform failed to answer; its log says why")
	}
	told := toStatus(err)
	code := status.Code(told)
	took := time.Since(x.began)
	if code == codes.Internal && panicked == nil {
		x.log.Error("call failed", "method", x.method, "error", err)
	}
	x.metrics.done(x.method, code, took)
	x.endSpan(code)
	if x.log.Enabled(context.Background(), slog.LevelDebug) {
		x.log.Debug("call", "method", x.method, "code", code.String(), "took", took)
	}
	return told
}

func (x *exchange) endSpan(code codes.Code) {
	if x.span == nil {
		return
	}
	if x.span.IsRecording() {
		x.span.SetAttributes(attribute.Int("rpc.grpc.status_code", int(code)))
		switch code { // those that are the server's fault, as the conventions of OpenTelemetry have it
		case codes.Unknown, codes.DeadlineExceeded, codes.Unimplemented, codes.Internal, codes.Unavailable, codes.DataLoss:
			x.span.SetStatus(otelcodes.Error, code.String())
		}
	}
	x.span.End()
}

// carrier reads trace context from metadata.
type carrier metadata.MD

// Get gives the value of a key, or "".
func (c carrier) Get(key string) string { return first(metadata.MD(c), key) }

// Set sets a key.
func (c carrier) Set(key, value string) { c[key] = []string{value} }

// Keys gives all keys.
func (c carrier) Keys() []string {
	keys := make([]string, 0, len(c))
	for key := range c {
		keys = append(keys, key)
	}
	return keys
}
