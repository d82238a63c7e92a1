package zenoh

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// PutOptions are what may be said of a publication; nil is the defaults.
type PutOptions struct {
	Encoding           Encoding
	Attachment         ZBytes
	Timestamp          Timestamp // zero is none, or the time of the session's clock if Config.Timestamping
	SourceInfo         SourceInfo
	Priority           Priority
	CongestionControl  CongestionControl
	Express            bool // do not wait to share a batch with others
	Reliability        Reliability
	AllowedDestination Locality
}

// DeleteOptions are what may be said of a deletion; nil is the defaults.
type DeleteOptions struct {
	Attachment         ZBytes
	Timestamp          Timestamp
	SourceInfo         SourceInfo
	Priority           Priority
	CongestionControl  CongestionControl
	Express            bool
	Reliability        Reliability
	AllowedDestination Locality
}

// Put publishes a value under a key. It returns when the value is queued for the connection and for own subscribers; the payload may be used
// again then. Without a connection it waits for one with CongestionControlBlock, as for a link that is full, and fails with ErrNotConnected
// otherwise. Own subscribers get the value in any case.
func (s *Session) Put(ctx context.Context, key KeyExpr, payload ZBytes, o *PutOptions) error {
	if o == nil {
		o = &PutOptions{}
	}
	return s.publish(ctx, nil, &publication{
		Sample: Sample{
			key: key, payload: payload, attachment: o.Attachment, encoding: o.Encoding, timestamp: o.Timestamp, source: o.SourceInfo,
			qos:        qosOf(o.Priority, o.CongestionControl, wire.Drop, o.Express),
			bestEffort: o.Reliability == ReliabilityBestEffort,
		},
		destination: o.AllowedDestination,
	})
}

// Delete publishes that there is no value under a key any more; see Put.
func (s *Session) Delete(ctx context.Context, key KeyExpr, o *DeleteOptions) error {
	if o == nil {
		o = &DeleteOptions{}
	}
	return s.publish(ctx, nil, &publication{
		Sample: Sample{
			kind: SampleKindDelete, key: key, attachment: o.Attachment, timestamp: o.Timestamp, source: o.SourceInfo,
			qos:        qosOf(o.Priority, o.CongestionControl, wire.Drop, o.Express),
			bestEffort: o.Reliability == ReliabilityBestEffort,
		},
		destination: o.AllowedDestination,
	})
}

func qosOf(p Priority, c CongestionControl, fallback wire.CongestionControl, express bool) wire.QoS {
	return wire.QoS{Priority: p, Congestion: c.wire(fallback), Express: express}
}

// publication is a sample on its way out.
type publication struct {
	Sample
	destination Locality
}

// target is a node that a publication goes to, with the key as that node knows it.
type target struct {
	face *face
	key  wire.WireExpr
}

// route is where the publications under a key go.
type route struct {
	version uint64
	targets []target
	local   []*Subscriber
	nobody  bool // there is no connection
}

// routeOf finds where publications go. With a matcher, nodes that are known to have no subscriber are left out.
func (s *Session) routeOf(key KeyExpr, m *matcher, destination Locality, r *route) error {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.declarable(key); err != nil {
		return err
	}
	r.version = s.version.Load()
	if destination != LocalityRemote {
		r.local = s.subscribersOf(key, true)
	}
	faces := *s.faces.Load()
	r.nobody = len(faces) == 0
	if destination == LocalitySessionLocal {
		r.nobody = false
		return nil
	}
	for _, f := range faces {
		if f.wants(&f.subscribers, m, key) {
			r.targets = append(r.targets, target{f, f.wireExpr(key)})
		}
	}
	return nil
}

// declarable gives the error for a key that is none, or a session that is closed. It is called with the lock held.
func (s *Session) declarable(key KeyExpr) error {
	if key.IsZero() {
		return errNoKey
	}
	return s.usable()
}

var errNoKey = errors.New("the key expression is the zero one")

// pushes are messages to be used again.
var pushes = sync.Pool{New: func() any { return new(wire.Push) }}

// publish sends a publication to others and to own subscribers.
func (s *Session) publish(ctx context.Context, r *route, p *publication) error {
	if r == nil {
		r = &route{}
		if err := s.routeOf(p.key, nil, p.destination, r); err != nil {
			return fmt.Errorf("publish on %s: %w", p.key, err)
		}
	}
	if p.timestamp.IsZero() && s.config.Timestamping {
		p.timestamp = s.clock.NewTimestamp()
	}
	if len(r.local) > 0 {
		p.deliver(r.local)
	}
	if r.nobody {
		var err error
		if r, err = s.waitToPublish(ctx, p); err != nil {
			return fmt.Errorf("publish on %s: %w", p.key, err)
		}
	}
	if len(r.targets) == 0 {
		return nil
	}
	if err := p.send(ctx, r.targets); err != nil {
		return fmt.Errorf("publish on %s: %w", p.key, err)
	}
	return nil
}

// deliver hands the sample to own subscribers, on memory of its own.
func (p *publication) deliver(subscribers []*Subscriber) {
	sample := p.Sample
	sample.payload, sample.attachment = ZBytes(p.payload).Clone(), ZBytes(p.attachment).Clone()
	for _, b := range subscribers {
		b.sink.push(&sample)
	}
}

// send queues the publication for each node. An error of one does not keep it from the others.
func (p *publication) send(ctx context.Context, targets []target) error {
	m := pushes.Get().(*wire.Push)
	m.QoS = p.qos
	p.put(&m.Data)
	how := transport.Delivery{QoS: p.qos, BestEffort: p.bestEffort}
	var err error
	for i := range targets {
		m.Key = targets[i].key
		if e := targets[i].face.t.Send(ctx, m, how); e != nil {
			err = errors.Join(err, lost(e))
		}
	}
	m.Key.Suffix, m.Data.Encoding.Schema, m.Data.Attachment, m.Data.Payload = nil, nil, nil, nil // holds nothing of the caller's
	pushes.Put(m)
	return err
}

// lost makes the error of a connection that ended that of this package.
func lost(err error) error {
	if errors.Is(err, transport.ErrClosed) && !errors.Is(err, ErrUnresponsive) {
		return fmt.Errorf("%w: %w", ErrNotConnected, err)
	}
	return err
}

// blockTime is how long what must not be dropped waits for a connection.
const blockTime = 5 * time.Second

// waitToPublish waits for a connection, if the publication must not be dropped.
func (s *Session) waitToPublish(ctx context.Context, p *publication) (*route, error) {
	switch {
	case s.config.Mode == Peer:
		return &route{}, nil // may be alone
	case p.qos.Congestion != wire.Block:
		s.missed.Add(1)
		return nil, ErrNotConnected
	}
	ctx, cancel := context.WithTimeout(ctx, blockTime)
	defer cancel()
	if _, err := s.connected(ctx); err != nil {
		s.missed.Add(1)
		return nil, err
	}
	r := &route{}
	return r, s.routeOf(p.key, nil, p.destination, r)
}
