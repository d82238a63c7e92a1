package odgm

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/cloudevents/sdk-go/v2/event"
	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/propagation"

	"github.com/hpcclab/oaas-go/api/fault"
	changes "github.com/hpcclab/oaas-go/broker/event"
	"github.com/hpcclab/oaas-go/broker/eventing"

	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/outbox"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/shard"
)

// Delivery tells of one attempt to deliver an event.
type Delivery struct {
	Event   *record.Event
	Err     error
	Elapsed time.Duration
}

// eventMetrics counts events that come and go.
type eventMetrics struct {
	received *prometheus.CounterVec
	unrouted prometheus.Counter
	delay    prometheus.Histogram
}

func newEventMetrics(r prometheus.Registerer) (*eventMetrics, error) {
	m := &eventMetrics{
		received: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oaas_events_received_total", Help: "CloudEvents dispatched to subscriptions, by outcome.",
		}, []string{"outcome"}),
		unrouted: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "oaas_events_unrouted_total", Help: "Emitted events that no class subscribes to and that were therefore dropped.",
		}),
		delay: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oaas_event_delay_seconds", Help: "Time from the command that fired an event to the first or a later call of its target.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 1.4, 40),
		}),
	}
	for _, c := range []prometheus.Collector{m.received, m.unrouted, m.delay} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register event metrics: %w", err)
		}
	}
	return m, nil
}

// deliver brings an event of an outbox to its target. Trying again is useless when the request itself is refused.
func (g *Grid) deliver(ctx context.Context, ev *record.Event) error {
	if err := g.gate.wait(ctx); err != nil {
		return err
	}
	begun := time.Now()
	g.events.delay.Observe(begun.Sub(time.Unix(0, ev.GetTime())).Seconds())
	err := g.deliverOnce(withTrace(ctx, ev.GetTraceparent()), ev)
	if g.cfg.OnDelivery != nil {
		g.cfg.OnDelivery(Delivery{Event: ev, Err: err, Elapsed: time.Since(begun)})
	}
	if err != nil && hopeless(err) {
		return outbox.Final(err)
	}
	return err
}

func (g *Grid) deliverOnce(ctx context.Context, ev *record.Event) error {
	change := changeOf(ev)
	sink := ev.GetTarget().GetSink()
	if sink == "" {
		return g.deliverCall(ctx, ev, change)
	}
	if sink == shard.DefaultSink {
		sink = g.cfg.DefaultSink
	}
	ce, err := change.CloudEvent()
	if err != nil {
		return outbox.Final(err)
	}
	if sink != "" {
		return g.sinks.Send(ctx, sink, *ce)
	}
	_, err = g.Dispatch(ctx, *ce)
	if fault.CodeOf(err) == fault.NoSubscription {
		g.events.unrouted.Inc() // as a Broker without a Trigger for the type
		return nil
	}
	return err
}

// deliverCall calls the method that an event is for. The event's id is the idempotency key, so the effect comes once.
func (g *Grid) deliverCall(ctx context.Context, ev *record.Event, change *changes.Change) error {
	target := ev.GetTarget()
	payload, err := change.TriggerPayload().JSON()
	if err != nil {
		return outbox.Final(err)
	}
	number := int(target.GetPartition())
	if target.GetByHash() {
		number = AnyPartition
	}
	from := &origin{caller: "trigger", class: ev.GetClass()}
	if ev.GetObjectTrigger() {
		from.class = "" // whoever can write the object has declared it
	}
	_, err = g.invoke(ctx, call.Call{
		Method: target.GetMethod(), Payload: payload, ContentType: "application/json", Options: target.GetOptions(),
		IdempotencyKey: "event:" + changes.Source(ev.GetClass(), ev.GetPartition(), ev.GetObject()) + ":" + ev.GetId(), Depth: ev.GetDepth(),
	}, Target{Class: target.GetClass(), Partition: number, ID: target.GetObject()}, from)
	return err
}

// hopeless reports whether the same event would be refused again.
func hopeless(err error) bool {
	switch fe := fault.From(err); fe.Code {
	case fault.InvalidArgument, fault.InvalidObjectID, fault.IdempotencyMismatch, fault.TooLarge, fault.DecodeError, fault.UnsupportedType, fault.Forbidden:
		return true
	case fault.FunctionError:
		const requestTimeout, tooEarly, tooMany = 408, 425, 429
		return fe.Status >= 400 && fe.Status < 500 && fe.Status != requestTimeout && fe.Status != tooEarly && fe.Status != tooMany
	default:
		return false
	}
}

func changeOf(ev *record.Event) *changes.Change {
	return &changes.Change{
		ID: ev.GetId(), Type: ev.GetType(), Kind: int32(ev.GetKind()), Class: ev.GetClass(), Partition: ev.GetPartition(), Object: ev.GetObject(),
		Version: ev.GetVersion(), Key: ev.GetKey(), Method: ev.GetMethod(), Data: ev.GetData(), ContentType: ev.GetContentType(),
		Time: time.Unix(0, ev.GetTime()), Depth: ev.GetDepth(), Traceparent: ev.GetTraceparent(), Subject: ev.GetSubject(), Extensions: ev.GetExtensions(),
	}
}

// Dispatched says which subscriptions an event matched and what came of it.
type Dispatched struct {
	Calls []DispatchedCall
}

// DispatchedCall is one call that an event caused.
type DispatchedCall struct {
	Class, Object, Method string
	Err                   error
}

// Dispatch calls the methods that subscribe to the type of a CloudEvent. Source and id of the event are the idempotency key, so an event that is sent again,
// for example because one of several calls failed, has each effect once. It fails with the first failure of a call, after all were tried, and with
// NoSubscription when there is none.
func (g *Grid) Dispatch(ctx context.Context, ev event.Event) (Dispatched, error) {
	var done Dispatched
	if parent, ok := ev.Extensions()[changes.AttrTraceparent].(string); ok {
		ctx = withTrace(ctx, parent)
	}
	for _, spec := range g.Classes() {
		for _, sub := range spec.Subscriptions {
			if !sub.matches(ev) {
				continue
			}
			done.Calls = append(done.Calls, g.dispatchTo(ctx, spec.Name, sub, ev))
		}
	}
	if len(done.Calls) == 0 {
		g.events.received.WithLabelValues("no subscription").Inc()
		return done, NoSubscription(ev)
	}
	for _, c := range done.Calls {
		if c.Err != nil {
			g.events.received.WithLabelValues("failed").Inc()
			return done, c.Err
		}
	}
	g.events.received.WithLabelValues("accepted").Inc()
	return done, nil
}

// NoSubscription is the error for an event that no class subscribes to.
func NoSubscription(ev event.Event) error {
	return fault.New(fault.NoSubscription, "no deployed class subscribes to events of type %q from %q", ev.Type(), ev.Source())
}

// Subscribes tells whether a subscription of the class is for the event.
func (c *Class) Subscribes(ev event.Event) bool {
	return slices.ContainsFunc(c.Subscriptions, func(s Subscription) bool { return s.matches(ev) })
}

func (s *Subscription) matches(ev event.Event) bool {
	return s.Type == ev.Type() && (s.Source == "" || s.Source == ev.Source())
}

func (g *Grid) dispatchTo(ctx context.Context, class string, sub Subscription, ev event.Event) DispatchedCall {
	done := DispatchedCall{Class: class, Method: sub.Method}
	done.Object, done.Err = sub.objectOf(ev)
	if done.Err != nil {
		return done
	}
	_, done.Err = g.invoke(ctx, call.Call{
		Method: sub.Method, Payload: ev.Data(), ContentType: ev.DataContentType(), IdempotencyKey: eventing.IdempotencyKey(ev.Source(), ev.ID()),
		Depth:   changes.Depth(ev),
		Options: map[string]string{"ce-type": ev.Type(), "ce-source": ev.Source(), "ce-id": ev.ID(), "ce-subject": ev.Subject()},
	}, Target{Class: class, Partition: AnyPartition, ID: done.Object}, &origin{caller: "event", class: class})
	return done
}

// objectOf gives the id of the object that an event is for.
func (s *Subscription) objectOf(ev event.Event) (string, error) {
	switch {
	case s.Object != "":
		return s.Object, nil
	case s.ObjectFrom == "" || s.ObjectFrom == "subject":
		if ev.Subject() == "" {
			return "", fault.New(fault.InvalidArgument, "event %s of type %s has no subject, which names the object to call %s on", ev.ID(), ev.Type(), s.Method)
		}
		return ev.Subject(), nil
	}
	value, found := ev.Extensions()[s.ObjectFrom]
	if !found {
		return "", fault.New(fault.InvalidArgument, "event %s of type %s has no attribute %q, which names the object to call %s on",
			ev.ID(), ev.Type(), s.ObjectFrom, s.Method)
	}
	return fmt.Sprint(value), nil
}

// DeadLetters gives events that were given up, of one partition of a class, with numbers above after.
func (g *Grid) DeadLetters(ctx context.Context, name string, number int, after uint64, limit int) ([]*record.Event, error) {
	c, err := g.class(name)
	if err != nil {
		return nil, err
	}
	if number != AnyPartition {
		p, err := c.partition(number)
		if err != nil {
			return nil, err
		}
		return p.shard.DeadLetters(ctx, after, limit)
	}
	var all []*record.Event
	for _, p := range c.partitions {
		events, err := p.shard.DeadLetters(ctx, after, limit-len(all))
		if err != nil {
			return nil, err
		}
		if all = append(all, events...); len(all) >= limit {
			break
		}
	}
	return all, nil
}

// Replay sends dead letters again, or drops them; it gives their number. Numbers are those of one partition; all of a class can be named with
// AnyPartition.
func (g *Grid) Replay(ctx context.Context, name string, number int, seqs []uint64, all, drop bool) (int, error) {
	c, err := g.class(name)
	if err != nil {
		return 0, err
	}
	if number == AnyPartition && len(c.partitions) == 1 {
		number = 0
	}
	if number != AnyPartition {
		p, err := c.partition(number)
		if err != nil {
			return 0, err
		}
		return p.shard.Replay(ctx, seqs, all, drop)
	}
	if !all {
		return 0, fault.New(fault.InvalidArgument, "dead letters are numbered in each partition: name the partition of %v instead of _", seqs)
	}
	total := 0
	for _, p := range c.partitions {
		n, err := p.shard.Replay(ctx, nil, true, drop)
		total += n
		if err != nil {
			return total, err
		}
	}
	return total, nil
}

// withTrace continues the trace of a traceparent.
func withTrace(ctx context.Context, parent string) context.Context {
	if parent == "" {
		return ctx
	}
	return propagation.TraceContext{}.Extract(ctx, propagation.MapCarrier{"traceparent": parent})
}
