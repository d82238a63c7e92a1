// Package invoke runs calls: it has a method's turn admitted by the mailbox, sends the state that the method declares to the function, checks
// what comes back, and makes one commit of it. Asynchronous calls are kept on disk and run by the same code.
//
// Guarantee: a call changes everything that its reply says or nothing at all; nothing of a reply is seen before it is committed, and no reply
// counts that came too late, was cut short or breaks the contract; a call that is repeated under its idempotency key is committed once. See
// ../DESIGN.md, sections 3 to 5.
package invoke

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"log/slog"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/container"
	"github.com/hpcclab/oaas-go/odgm/mailbox"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// Defaults of the configuration and of methods that do not say.
const (
	DefaultMaxReply = 16 << 20
	DefaultTimeout  = 30 * time.Second
)

// Shard is what calls need of the shard that has the object.
type Shard interface {
	Do(ctx context.Context, cmd *record.Command) (shard.Result, error)
	Object(ctx context.Context, id string, sel object.Selector) (object.Object, error)
	StoredResult(ctx context.Context, objectID, method, key string) (*record.StoredResult, error)
	// Wants tells whether a trigger waits for the end of the method, so that it is worth a commit.
	Wants(objectID, method string, end oprc.EventType) bool
}

var _ Shard = (*shard.Shard)(nil)

// Config is what an executor is made of.
type Config struct {
	// Boxes are the mailboxes of the process, shared with everything else that changes objects.
	Boxes  *mailbox.Boxes
	Logger *slog.Logger
	// Registerer takes the metrics; nil for none.
	Registerer prometheus.Registerer
	// MaxReply is the most bytes that a function may answer; 0 means DefaultMaxReply.
	MaxReply int
	// Now is the clock; nil means time.Now.
	Now func() time.Time
	// NewID makes the ids of calls, which must be unique and hard to guess; nil means NewID of this package.
	NewID func() string
	// Secret makes the proofs of calls. Processes that have the same one trust the proofs of each other; nil is a random one.
	Secret []byte
	// Backoff gives the pause before attempt n of a call (2 is the first that has one); nil means 100 ms doubling to 5 s, with jitter.
	Backoff func(attempt int) time.Duration
}

// Executor runs calls. It may be used by any number of goroutines.
type Executor struct {
	cfg     Config
	metrics *metrics
	tracer  trace.Tracer
	peers   peers
	once    once
	// secret makes the proofs of this process's calls; see proof.
	secret [32]byte
}

// New makes an executor.
func New(cfg Config) *Executor {
	if cfg.Boxes == nil {
		cfg.Boxes = mailbox.New(mailbox.Config{Registerer: cfg.Registerer})
	}
	if cfg.Logger == nil {
		cfg.Logger = slog.New(slog.DiscardHandler)
	}
	if cfg.MaxReply <= 0 {
		cfg.MaxReply = DefaultMaxReply
	}
	if cfg.Now == nil {
		cfg.Now = time.Now
	}
	if cfg.NewID == nil {
		cfg.NewID = NewID
	}
	if cfg.Backoff == nil {
		cfg.Backoff = backoff
	}
	x := &Executor{cfg: cfg, metrics: newMetrics(cfg.Registerer), tracer: otel.Tracer("github.com/hpcclab/oaas-go/odgm/invoke")}
	if len(cfg.Secret) > 0 {
		x.secret = sha256.Sum256(cfg.Secret)
	} else {
		_, _ = rand.Read(x.secret[:]) // never fails
	}
	return x
}

// Invoke runs one call to its end. Sh is the shard that has the object; for a stateless function it may be nil.
//
// Every error is an *fault.Error. After one, the call has changed nothing, except that calls which the function made meanwhile, and the writes of
// a function container, stand for themselves. Idempotency keys are for methods that may change something: a readonly method or a stateless function just runs again.
func (x *Executor) Invoke(ctx context.Context, sh Shard, m call.Method, c call.Call) (call.Answer, error) {
	begun := time.Now()
	if c.ID == "" {
		c.ID = x.cfg.NewID()
	}
	switch {
	case m.Timeout > 0:
	case m.Container:
		m.Timeout = container.DefaultTimeout
	default:
		m.Timeout = DefaultTimeout
	}
	answer, err := x.run(ctx, sh, m, c)
	outcome := "OK"
	if err != nil {
		failure := fault.From(err)
		outcome, err = string(failure.Code), failure
	}
	x.metrics.call(c.Ref.Class, c.Method, outcome, time.Since(begun))
	return answer, err
}

// run has the call admitted, and the failure recorded if it fails.
func (x *Executor) run(ctx context.Context, sh Shard, m call.Method, c call.Call) (call.Answer, error) {
	r := &running{Executor: x, shard: sh, method: m, call: c, token: x.cfg.NewID()}
	if err := r.enter(ctx); err != nil {
		return call.Answer{}, err
	}
	defer r.turn.Done()
	var answer call.Answer
	var err error
	switch {
	case m.Container:
		answer, err = r.onContainer(ctx)
	case m.Stateless:
		answer, err = r.stateless(ctx)
	default:
		answer, err = r.onObject(ctx)
	}
	if err != nil {
		r.recordFailure(ctx, fault.From(err))
	}
	return answer, err
}

// running is a call that has been admitted.
type running struct {
	*Executor
	shard  Shard
	method call.Method
	call   call.Call
	turn   *mailbox.Turn
	// token names the attempt in the chains of the calls that the function makes.
	token string
}

// enter waits for the turn of the object. Readonly methods, stateless functions and function containers do not wait.
func (r *running) enter(ctx context.Context) (err error) {
	c := &r.call
	if r.method.Stateless || r.method.ReadOnly || r.method.Container {
		r.turn, err = r.cfg.Boxes.Beside(c.Ref, c.Method, r.token, c.Chain)
		return err
	}
	ctx, span := r.span(ctx, "mailbox", trace.SpanKindInternal)
	r.turn, err = r.cfg.Boxes.Run(ctx, c.Ref, c.Method, r.token, c.Chain)
	endSpan(span, err)
	return err
}

// hop is this attempt as a step of call chains.
func (r *running) hop() call.Hop {
	return call.Hop{Ref: r.call.Ref, Method: r.call.Method, Call: r.token, Proof: r.proof(r.token)}
}

// countsAsFailure tells whether a failure is the method's end as triggers on errors mean it: it ran, and has failed.
func countsAsFailure(code fault.Code) bool {
	switch code {
	case fault.FunctionError, fault.BadReply, fault.FunctionUnavailable, fault.DeadlineExceeded, fault.Conflict, fault.Cancelled,
		fault.LoopDetected, fault.TooLarge:
		return true
	}
	return false
}

// recordFailure fires the triggers on the method's failure, within its turn. The end of an asynchronous call is recorded by Async, which knows
// whether it will run again.
func (r *running) recordFailure(ctx context.Context, failure *fault.Error) {
	c := &r.call
	if c.Invocation != "" || r.shard == nil || !countsAsFailure(failure.Code) {
		return
	}
	ctx = context.WithoutCancel(ctx) // the failure may be that the context has ended
	if !r.shard.Wants(c.Ref.ID, c.Method, oprc.EventType_EVENT_TYPE_FUNC_ERROR) {
		return
	}
	if _, err := r.shard.Do(ctx, failedCommand(ctx, c, failure)); err != nil {
		r.cfg.Logger.WarnContext(ctx, "triggers on the failure of a method are lost", "object", c.Ref.String(), "method", c.Method, "call", c.ID,
			"failure", failure.Message, "err", err)
	}
}

// failedCommand is the command that records the failure of a call.
func failedCommand(ctx context.Context, c *call.Call, failure *fault.Error) *record.Command {
	return &record.Command{Body: &record.Command_Failed{Failed: &record.Failed{
		Object: c.Ref.ID, Method: c.Method, Invocation: c.Invocation, Depth: c.Depth, Traceparent: traceparent(ctx),
		Failure: &record.Failure{
			Code: string(failure.Code), Message: failure.Message, Status: int32(failure.Status), Body: failure.Body, ContentType: failure.ContentType,
		},
	}}}
}

func (r *running) span(ctx context.Context, name string, kind trace.SpanKind) (context.Context, trace.Span) {
	if _, off := otel.GetTracerProvider().(noop.TracerProvider); off {
		return ctx, noop.Span{} // ctx keeps the trace of the caller, which is handed on
	}
	ctx, span := r.tracer.Start(ctx, name, trace.WithSpanKind(kind))
	if span.IsRecording() {
		c := &r.call
		span.SetAttributes(
			attribute.String("oaas.class", c.Ref.Class), attribute.Int("oaas.partition", int(c.Ref.Partition)),
			attribute.String("oaas.object", c.Ref.ID), attribute.String("oaas.method", c.Method), attribute.String("oaas.call", c.ID))
	}
	return ctx, span
}

func endSpan(span trace.Span, err error) {
	if err != nil && span.IsRecording() {
		span.SetStatus(codes.Error, err.Error())
		span.SetAttributes(attribute.String("oaas.code", string(fault.CodeOf(err))))
	}
	span.End()
}

// traceparent gives the W3C form of the trace that ctx belongs to, or "".
func traceparent(ctx context.Context) string {
	parent, _ := traceContext(ctx)
	return parent
}

// traceContext gives the W3C form of the trace that ctx belongs to, with what vendors added to it; or nothing.
func traceContext(ctx context.Context) (parent, state string) {
	if !trace.SpanContextFromContext(ctx).IsValid() {
		return "", ""
	}
	carrier := propagation.MapCarrier{}
	propagation.TraceContext{}.Inject(ctx, carrier)
	return carrier.Get("traceparent"), carrier.Get("tracestate")
}

// withTraceparent continues a trace from its W3C form.
func withTraceparent(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}
