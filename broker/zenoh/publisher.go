package zenoh

import (
	"context"
	"fmt"
	"sync/atomic"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// PublisherOptions are what all publications of a publisher have in common; nil is the defaults.
type PublisherOptions struct {
	Encoding           Encoding
	Priority           Priority
	CongestionControl  CongestionControl
	Express            bool
	Reliability        Reliability
	AllowedDestination Locality
}

// PublisherPutOptions are what may be said of one publication; nil is the defaults.
type PublisherPutOptions struct {
	Encoding   *Encoding // nil is that of the publisher
	Attachment ZBytes
	Timestamp  Timestamp
	SourceInfo SourceInfo
}

// PublisherDeleteOptions are what may be said of one deletion; nil is the defaults.
type PublisherDeleteOptions struct {
	Attachment ZBytes
	Timestamp  Timestamp
	SourceInfo SourceInfo
}

// Publisher publishes on one key, which travels as a number, and only to nodes behind which somebody subscribed.
type Publisher struct {
	matcher
	o     PublisherOptions
	name  *namedKey
	route atomic.Pointer[route]
}

// DeclarePublisher makes a publisher. Until the network has told whether there are subscribers, it sends what is published.
func (s *Session) DeclarePublisher(ctx context.Context, key KeyExpr, o *PublisherOptions) (*Publisher, error) {
	p := &Publisher{}
	if o != nil {
		p.o = *o
	}
	p.matcher = matcher{s: s, id: s.newID(), key: key, kind: wire.InterestSubscribers, destination: p.o.AllowedDestination}
	if err := p.declare(ctx); err != nil {
		return nil, fmt.Errorf("declare publisher on %s: %w", key, err)
	}
	if p.o.AllowedDestination != LocalitySessionLocal {
		name, err := s.nameKey(ctx, key)
		if err != nil {
			_ = p.matcher.undeclare(context.WithoutCancel(ctx)) // the error is why it never was
			return nil, fmt.Errorf("declare publisher on %s: %w", key, err)
		}
		p.name = name
	}
	return p, nil
}

// KeyExpr gives the key.
func (p *Publisher) KeyExpr() KeyExpr { return p.key }

// ID gives the name of the publisher in the network, for SourceInfo.
func (p *Publisher) ID() EntityGlobalID { return EntityGlobalID{ZID: p.s.ZID(), EID: p.id} }

// Put publishes a value; see Session.Put.
func (p *Publisher) Put(ctx context.Context, payload ZBytes, o *PublisherPutOptions) error {
	out := publication{Sample: Sample{key: p.key, payload: payload, encoding: p.o.Encoding}}
	if o != nil {
		out.attachment, out.timestamp, out.source = o.Attachment, o.Timestamp, o.SourceInfo
		if o.Encoding != nil {
			out.encoding = *o.Encoding
		}
	}
	return p.publish(ctx, &out)
}

// Delete publishes that there is no value any more; see Session.Put.
func (p *Publisher) Delete(ctx context.Context, o *PublisherDeleteOptions) error {
	out := publication{Sample: Sample{key: p.key, kind: SampleKindDelete}}
	if o != nil {
		out.attachment, out.timestamp, out.source = o.Attachment, o.Timestamp, o.SourceInfo
	}
	return p.publish(ctx, &out)
}

func (p *Publisher) publish(ctx context.Context, out *publication) error {
	out.qos = qosOf(p.o.Priority, p.o.CongestionControl, wire.Drop, p.o.Express)
	out.bestEffort, out.destination = p.o.Reliability == ReliabilityBestEffort, p.o.AllowedDestination
	r := p.route.Load()
	if r == nil || r.version != p.s.version.Load() {
		r = &route{}
		if p.ended.Load() {
			return fmt.Errorf("publish on %s: publisher %w", p.key, ErrUndeclared)
		}
		if err := p.s.routeOf(p.key, &p.matcher, p.o.AllowedDestination, r); err != nil {
			return fmt.Errorf("publish on %s: %w", p.key, err)
		}
		p.route.Store(r)
	}
	return p.s.publish(ctx, r, out)
}

// Undeclare ends the publisher. It may be called again.
func (p *Publisher) Undeclare(ctx context.Context) error {
	if p.ended.Swap(true) {
		return nil
	}
	err := p.matcher.undeclare(ctx)
	if p.name == nil {
		return err
	}
	if e := p.s.releaseKey(ctx, p.name); err == nil {
		err = e
	}
	return err
}

// Drop is Undeclare that waits for nobody.
func (p *Publisher) Drop() { _ = p.Undeclare(p.s.ctx) }
