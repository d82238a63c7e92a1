package zenoh

import (
	"context"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// SubscriberOptions are what a subscriber may want; nil is the defaults.
type SubscriberOptions struct {
	AllowedOrigin Locality // where publishers may be
}

// Subscriber receives the samples whose key intersects its own.
type Subscriber struct {
	s       *Session
	id      uint32
	key     KeyExpr
	origin  Locality
	sink    sink[Sample]
	channel <-chan Sample
}

func (b *Subscriber) entity() (uint32, KeyExpr) { return b.id, b.key }

// DeclareSubscriber makes the handler get the samples that are published on the key expression from now on.
func (s *Session) DeclareSubscriber(ctx context.Context, key KeyExpr, handler Handler[Sample], o *SubscriberOptions) (*Subscriber, error) {
	if o == nil {
		o = &SubscriberOptions{}
	}
	b := &Subscriber{s: s, id: s.newID(), key: key, origin: o.AllowedOrigin}
	s.mu.Lock()
	if err := s.declarable(key); err != nil {
		s.mu.Unlock()
		return nil, err
	}
	b.sink, b.channel = open(s, handler, sinkOptions[Sample]{weigh: (*Sample).weight, memory: &s.memory})
	s.subscribers.add(b)
	s.version.Add(1)
	faces := *s.faces.Load()
	s.mu.Unlock()
	if m := b.declaration(); m != nil {
		if err := announce(ctx, faces, m); err != nil {
			_ = b.Undeclare(context.WithoutCancel(ctx)) // the error is why it never was
			return nil, err
		}
	}
	s.rematch(key)
	return b, nil
}

// declaration is what others are told, or nil.
func (b *Subscriber) declaration() wire.Network {
	if b.origin == LocalitySessionLocal {
		return nil
	}
	return &wire.Declare{Kind: wire.DeclareSubscriber, ID: b.id, QoS: wire.QoSDeclare, Key: wire.WireExpr{Suffix: bytesOf(b.key.String())}}
}

// KeyExpr gives the key expression.
func (b *Subscriber) KeyExpr() KeyExpr { return b.key }

// Handler gives the channel of the handler, which is closed at the end, or nil for a closure.
func (b *Subscriber) Handler() <-chan Sample { return b.channel }

// Dropped gives the number of samples that were discarded because the handler was too slow.
func (b *Subscriber) Dropped() uint64 { return b.sink.dropped() }

// Undeclare ends the subscriber: samples that come later, and those that a closure has not got yet, are not handed out any more. It may be
// called again.
func (b *Subscriber) Undeclare(ctx context.Context) error {
	s := b.s
	s.mu.Lock()
	found := s.subscribers.remove(b)
	s.version.Add(1)
	faces := *s.faces.Load()
	s.mu.Unlock()
	b.sink.close(true)
	if !found {
		return nil
	}
	s.rematch(b.key)
	if b.origin == LocalitySessionLocal {
		return nil
	}
	return announce(ctx, faces, &wire.Declare{Kind: wire.UndeclareSubscriber, ID: b.id, QoS: wire.QoSDeclare})
}

// Drop is Undeclare that waits for nobody.
func (b *Subscriber) Drop() { _ = b.Undeclare(b.s.ctx) }

// from tells whether the subscriber wants what comes from this session, or from others.
func (l Locality) from(local bool) bool {
	return l == LocalityAny || (l == LocalitySessionLocal) == local
}
