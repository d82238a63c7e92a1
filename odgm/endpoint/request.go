package endpoint

import (
	"context"
	"errors"
	"runtime/debug"
	"strconv"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// request is a query that is being answered.
type request struct {
	e     *Endpoint
	class *class // nil for capabilities
	query *zenoh.Query
	key   keys.Key
	// beside is what is attached, nil if that is nothing that the platform knows.
	beside map[string]string
}

// refusal is an error with the words of OaaS-RS.
type refusal struct {
	text string
	err  error
}

func (r *refusal) Error() string { return r.text }
func (r *refusal) Unwrap() error { return r.err }

// refuse makes a refusal. The error is what is behind it.
func refuse(text string, err error) error { return &refusal{text, err} }

// operations are the names of kinds in metrics and traces.
var operations = map[keys.Kind]string{
	keys.Object: "get", keys.Objects: "get", keys.Set: "set", keys.BatchSet: "batch-set", keys.Entry: "entry", keys.ListObjects: "list-objects",
	keys.Invoke: "invoke", keys.InvokeAsync: "invoke-async", keys.Result: "result", keys.Capabilities: "capabilities",
}

// taking gives the handler of a queryable for keys of a kind. It waits for a free place, and holds up the queries behind it meanwhile.
func (e *Endpoint) taking(c *class, kind keys.Kind) func(*zenoh.Query) {
	places := e.requests
	if kind == keys.Invoke || kind == keys.Result { // these may wait for others
		places = e.calls
	}
	return func(q *zenoh.Query) {
		key := keys.Parse(q.KeyExpr().String())
		if key.Kind != kind && (kind != keys.Object || key.Kind != keys.ListObjects) {
			return // wildcards that match by chance: nothing of ours is named
		}
		q.Hold()
		select {
		case places <- struct{}{}:
		case <-q.Context().Done(): // nobody waits for the answer any more
			q.Drop()
			return
		case <-e.ctx.Done():
			q.Drop()
			return
		}
		r := &request{e: e, class: c, query: q, key: key}
		if !e.begin(func() { defer func() { <-places }(); r.serve() }) {
			<-places
			q.Drop()
		}
	}
}

// serve answers the query.
func (r *request) serve() {
	defer r.query.Drop()
	began := time.Now()
	operation := operations[r.key.Kind]
	if beside, err := keys.DecodeAttachment(r.query.Attachment()); err == nil { // else it is for somebody else: OaaS-RS does not read it
		r.beside = beside
	}
	ctx, cancel := context.WithCancel(r.query.Context())
	defer cancel()
	defer context.AfterFunc(r.e.ctx, cancel)()
	ctx, span := r.e.span(ctx, r.beside, operation, r.query.KeyExpr())
	var err error
	defer func() {
		if p := recover(); p != nil {
			r.e.log.Error("handler panicked", "key", r.query.KeyExpr(), "panic", p, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "the platform failed to answer; its log says why")
		}
		if err != nil {
			r.fail(ctx, err)
		}
		r.e.metrics.done(operation, err, time.Since(began))
		endSpan(span, err)
	}()
	err = r.answer(ctx)
}

func (r *request) answer(ctx context.Context) error {
	switch r.key.Kind {
	case keys.Object, keys.Objects:
		return r.get(ctx)
	case keys.Set:
		return r.set(ctx)
	case keys.BatchSet:
		return r.batchSet(ctx)
	case keys.Entry:
		return r.entry(ctx)
	case keys.ListObjects:
		return r.listObjects(ctx)
	case keys.Invoke:
		return r.invoke(ctx)
	case keys.Result:
		return r.result(ctx)
	default:
		return r.capabilities(ctx)
	}
}

// errReply is for an answer that could not be sent: nobody is told, but metrics and traces.
var errReply = errors.New("reply")

// reply sends an answer. Who attached what the platform knows gets what is to be known of the answer, too.
func (r *request) reply(ctx context.Context, m proto.Message, known map[string]string) error {
	payload, err := proto.MarshalOptions{}.MarshalAppend([]byte{}, m)
	if err != nil {
		return fault.Wrap(fault.Internal, err, "encode the answer")
	}
	return r.send(ctx, r.key, payload, known)
}

// send sends an answer under the key of the query, or under another one if that has wildcards.
func (r *request) send(ctx context.Context, k keys.Key, payload []byte, known map[string]string) error {
	key := r.query.KeyExpr()
	if key.IsWild() {
		if r.class != nil {
			k.Class = r.class.name
		}
		if made, err := zenoh.NewKeyExpr(k.String()); err == nil && made.Intersects(key) {
			key = made
		}
	}
	var o *zenoh.ReplyOptions
	if r.beside != nil && known != nil {
		o = &zenoh.ReplyOptions{Attachment: keys.EncodeAttachment(known)}
	}
	if err := r.query.Reply(ctx, key, payload, o); err != nil {
		return errors.Join(errReply, err)
	}
	return nil
}

// fail sends an error. The code is in the encoding for those who know attachments, as an error has none.
func (r *request) fail(ctx context.Context, err error) {
	if errors.Is(err, errReply) {
		r.e.log.Debug("answer not sent", "key", r.query.KeyExpr(), "error", err)
		return
	}
	code := fault.CodeOf(err)
	if code == fault.Internal {
		r.e.log.Error("query failed", "key", r.query.KeyExpr(), "error", err, "cause", errors.Unwrap(err))
	}
	var o *zenoh.ReplyErrOptions
	if r.beside != nil {
		o = &zenoh.ReplyErrOptions{Encoding: zenoh.EncodingZenohString.WithSchema(string(code))}
	}
	if err := r.query.ReplyErr(context.WithoutCancel(ctx), []byte(err.Error()), o); err != nil {
		r.e.log.Debug("error not sent", "key", r.query.KeyExpr(), "error", err)
	}
}

// header gives what came beside the message.
func (r *request) header(name string) string { return r.beside[name] }

var errInvalidID = fault.New(fault.InvalidObjectID, "invalid object id")

// target gives the object that a key names. Any partition means that of the id.
func (c *class) target(k keys.Key) (t odgm.Target, err error) {
	t = odgm.Target{Class: c.name}
	if k.Object != "" {
		if t.ID, err = object.NormalizeID(k.Object); err != nil {
			return t, errInvalidID
		}
	}
	if k.Partition == keys.Any {
		t.Partition = odgm.AnyPartition
		return t, nil
	}
	n, err := strconv.ParseUint(k.Partition, 10, 32)
	if err != nil {
		return t, fault.New(fault.NoPartition, "class %s has no partition %q: partitions are numbered from 0", c.name, message.Shortened(k.Partition))
	}
	t.Partition, err = message.Partition(c.name, int64(n))
	return t, err
}

// at makes the key concrete, for an answer to a query that left the partition open.
func (r *request) at(partition uint32) {
	r.key.Partition = strconv.FormatUint(uint64(partition), 10)
}

// tracerIfOn gives the tracer of endpoints, or nil: spans that nobody records cost, too.
func tracerIfOn() trace.Tracer {
	if _, off := otel.GetTracerProvider().(noop.TracerProvider); off {
		return nil
	}
	return otel.Tracer("github.com/hpcclab/oaas-go/odgm/endpoint")
}

var propagator = propagation.TraceContext{}

// span continues the trace that came beside a message, and begins the span of the request while tracing is on.
func (e *Endpoint) span(ctx context.Context, beside map[string]string, operation string, key zenoh.KeyExpr) (context.Context, trace.Span) {
	if beside[keys.Traceparent] != "" {
		ctx = propagator.Extract(ctx, propagation.MapCarrier(beside))
	}
	if e.tracer == nil {
		return ctx, nil
	}
	ctx, span := e.tracer.Start(ctx, "zenoh "+operation, trace.WithSpanKind(trace.SpanKindServer))
	if span.IsRecording() {
		span.SetAttributes(messagingAttributes(key)...)
	}
	return ctx, span
}

func endSpan(span trace.Span, err error) {
	if span == nil {
		return
	}
	if err != nil {
		span.SetStatus(codes.Error, err.Error())
	}
	span.End()
}
