package gateway

import (
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"

	"github.com/gin-gonic/gin"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"github.com/hpcclab/oaas-go/api/fault"
)

// route is one method on one path, with what is known of it beforehand.
type route struct {
	method, template string
	// span is the name of the route's spans.
	span    string
	serve   func(*exchange) error
	metrics *routeMetrics
	// free routes are answered even when too many requests are in flight.
	free bool
	// data routes may be used by web pages of other origins.
	data bool
}

// exchange is one request and its answer. It is not used again afterwards, so the context in it may be kept.
type exchange struct {
	g     *Gateway
	route *route
	c     *gin.Context
	w     http.ResponseWriter
	r     *http.Request
	// ctx is what the work for the request is done under.
	ctx   deadline
	span  trace.Span
	began time.Time
	// conditional is set when the request's headers have a precondition.
	conditional bool
}

// handle makes a handler of gin's from a route.
func (g *Gateway) handle(rt *route) gin.HandlerFunc {
	return func(c *gin.Context) {
		x := &exchange{g: g, route: rt, c: c, w: c.Writer, r: c.Request, began: time.Now()}
		rt.metrics.active.Inc()
		inFlight := g.inFlight.Add(1)
		defer x.finish()
		x.begin()
		if err := x.answer(inFlight); err != nil {
			x.fail(err)
		}
	}
}

// answer runs the route's handler, if the request is admitted.
func (x *exchange) answer(inFlight int64) error {
	if x.route.data {
		x.allowOrigin()
	}
	err := x.setTimeout()
	x.limitReading()
	if err != nil {
		return err
	}
	if !x.route.free && inFlight > int64(x.g.cfg.MaxInFlight) {
		busy := fault.New(fault.Busy, "%d requests are being answered, which is the limit", x.g.cfg.MaxInFlight)
		busy.RetryAfter = time.Second
		return busy
	}
	return x.route.serve(x)
}

var propagator = propagation.TraceContext{}

// begin continues the client's trace, and makes the request's span while tracing is on.
func (x *exchange) begin() {
	ctx := x.r.Context()
	if len(x.r.Header["Traceparent"]) > 0 {
		ctx = propagator.Extract(ctx, propagation.HeaderCarrier(x.r.Header))
	}
	if x.g.tracer != nil {
		ctx, x.span = x.g.tracer.Start(ctx, x.route.span, trace.WithSpanKind(trace.SpanKindServer))
		if x.span.IsRecording() {
			x.span.SetAttributes(
				attribute.String("http.request.method", x.r.Method),
				attribute.String("http.route", x.route.template),
				attribute.String("url.path", x.r.URL.Path),
			)
		}
	}
	x.ctx.Context = ctx
	x.ctx.at = x.began.Add(x.g.cfg.RequestTimeout)
}

// setTimeout replaces the time for the request by what the header Oaas-Timeout says, at most the configured maximum.
func (x *exchange) setTimeout() error {
	values := x.r.Header["Oaas-Timeout"]
	if len(values) == 0 {
		return nil
	}
	timeout, err := parseTimeout("header Oaas-Timeout", values[0])
	if err != nil {
		return err
	}
	x.ctx.at = x.began.Add(min(timeout, x.g.cfg.MaxTimeout))
	return nil
}

func parseTimeout(what, text string) (time.Duration, error) {
	timeout, err := time.ParseDuration(text)
	if err != nil || timeout <= 0 {
		return 0, fault.New(fault.InvalidArgument, "%s: %q is not a duration such as 500ms, 5s or 1m", what, text)
	}
	return timeout, nil
}

// finish ends the exchange, also when its handler panicked: then the client gets 500, or a broken connection if the answer had begun.
func (x *exchange) finish() {
	cut := false
	if p := recover(); p != nil {
		cut = x.recovered(p)
	}
	x.ctx.release()
	x.g.inFlight.Add(-1)
	status, took := x.c.Writer.Status(), time.Since(x.began)
	x.route.metrics.active.Dec()
	x.route.metrics.done(status, took)
	x.endSpan(status)
	if x.g.log.Enabled(x.ctx.Context, slog.LevelDebug) {
		x.g.log.LogAttrs(x.ctx.Context, slog.LevelDebug, "request", slog.String("method", x.r.Method), slog.String("path", x.r.URL.Path),
			slog.Int("status", status), slog.Duration("took", took))
	}
	if cut {
		panic(http.ErrAbortHandler) // the server closes the connection and says nothing
	}
}

// recovered answers for a handler that panicked, and says whether the connection has to be cut.
func (x *exchange) recovered(p any) (cut bool) {
	if p == http.ErrAbortHandler {
		return true
	}
	x.g.log.Error("handler panicked", "method", x.r.Method, "route", x.route.template, "panic", p, "stack", string(debug.Stack()))
	if x.c.Writer.Written() {
		return true
	}
	x.writeFault(fault.New(fault.Internal, "the platform failed to answer; its log says why"), http.StatusInternalServerError)
	return false
}

func (x *exchange) endSpan(status int) {
	if x.span == nil {
		return
	}
	if x.span.IsRecording() {
		x.span.SetAttributes(attribute.Int("http.response.status_code", status))
		if status >= http.StatusInternalServerError {
			x.span.SetStatus(codes.Error, http.StatusText(status))
		}
	}
	x.span.End()
}
