package zenoh

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// GetOptions are what may be said of a get; nil is the defaults.
type GetOptions struct {
	Target             QueryTarget
	Consolidation      ConsolidationMode
	Timeout            time.Duration // 0 is Config.QueriesDefaultTimeout
	Payload            ZBytes        // nil is none
	Encoding           Encoding      // of the payload
	Attachment         ZBytes
	SourceInfo         SourceInfo
	Priority           Priority
	CongestionControl  CongestionControl
	Express            bool
	AllowedDestination Locality
}

// Get asks the queryables whose key intersects. The handler gets the replies; for a channel, Get gives it too. It is closed after the last
// reply, which is an error if the get did not end well: ErrTimeout, ErrSessionLost, ErrSessionClosed, ErrOverflow, or that of the context.
// Without a connection Get waits for one for a while, then fails with ErrNotConnected. A reply that is a *ReplyError of none of those is the
// answer of a queryable, and does not end anything.
//
// A channel may be left before it is closed if the context is ended then. Replies that nobody reads are kept meanwhile.
func (s *Session) Get(ctx context.Context, key KeyExpr, parameters Parameters, handler Handler[Reply], o *GetOptions) (<-chan Reply, error) {
	return s.get(ctx, nil, key, parameters, handler, o)
}

func (s *Session) get(ctx context.Context, m *matcher, key KeyExpr, p Parameters, handler Handler[Reply], o *GetOptions) (<-chan Reply, error) {
	if o == nil {
		o = &GetOptions{}
	}
	q := s.newQuery(ctx, key, p, o)
	targets, err := s.whomToAsk(ctx, m, q, o)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	channel, err := q.open(ctx, handler, targets)
	if err != nil {
		return nil, fmt.Errorf("get %s: %w", key, err)
	}
	q.watch(ctx)
	q.send(ctx, targets, o)
	if o.AllowedDestination != LocalityRemote && s.answers() {
		in := &inquiry{
			s: s, local: q, key: key, qos: q.qos, timeout: q.timeout, parameters: p, payload: o.Payload.Clone(),
			attachment: o.Attachment.Clone(), encoding: o.Encoding, source: o.SourceInfo,
		}
		q.expect()
		s.inquire(in, o.Target, true)
	}
	q.final(nil) // all are asked
	return channel, nil
}

// answers tells whether the session has queryables of its own.
func (s *Session) answers() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return len(s.queryables.byID) > 0
}

func (s *Session) newQuery(ctx context.Context, key KeyExpr, p Parameters, o *GetOptions) *query {
	q := &query{
		s: s, key: key, anyKey: p.has(ParameterAnyKE), parameters: p, mode: o.Consolidation, timeout: o.Timeout,
		qos: qosOf(o.Priority, o.CongestionControl, wire.Block, o.Express), pending: 1,
	}
	if q.timeout == 0 {
		q.timeout = s.config.QueriesDefaultTimeout
	}
	if end, ok := ctx.Deadline(); ok {
		q.timeout = max(min(q.timeout, time.Until(end)), time.Millisecond)
	}
	if q.mode == ConsolidationAuto {
		if q.mode = ConsolidationLatest; p.has(ParameterTime) {
			q.mode = ConsolidationNone
		}
	}
	return q
}

// whomToAsk finds the nodes that a get goes to.
func (s *Session) whomToAsk(ctx context.Context, m *matcher, q *query, o *GetOptions) ([]target, error) {
	if o.AllowedDestination != LocalitySessionLocal && s.config.Mode == Client && len(*s.faces.Load()) == 0 {
		waiting, cancel := context.WithTimeout(ctx, min(q.timeout, blockTime))
		defer cancel()
		if _, err := s.connected(waiting); err != nil {
			return nil, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.declarable(q.key); err != nil || o.AllowedDestination == LocalitySessionLocal {
		return nil, err
	}
	var targets []target
	for _, f := range *s.faces.Load() {
		best, complete := f.completeFor(q.key)
		switch {
		case o.Target == QueryTargetBestMatching && complete && best:
			return []target{{f, f.wireExpr(q.key)}}, nil
		case f.wants(&f.queryables, m, q.key):
			targets = append(targets, target{f, f.wireExpr(q.key)})
		}
	}
	return targets, nil
}

// completeFor tells whether a peer has a queryable that is complete for the key. It is called with the lock of the session held.
func (f *face) completeFor(key KeyExpr) (peer, complete bool) {
	if f.asks {
		return false, false
	}
	for r := range f.queryables.matching(key) {
		if r.info.Complete && r.key.Includes(key) {
			return true, true
		}
	}
	return true, false
}

// getCapacity is that of the channel of a get whose handler is nil. It is small, as most gets have few replies and more are kept anyway.
const getCapacity = 4

// open makes the query known, which is going to be asked of those nodes, and gives the channel for replies.
func (q *query) open(ctx context.Context, h Handler[Reply], targets []target) (channel <-chan Reply, err error) {
	if h == nil {
		h = NewFifoChannel[Reply](getCapacity)
	}
	q.sink, channel, err = openWhileOpen(q.s, h, sinkOptions[Reply]{weigh: (*Reply).weight, spill: ctx})
	if err != nil {
		return nil, err
	}
	if err := q.s.queries.add(q, targets); err != nil {
		q.sink.close(true)
		return nil, err
	}
	return channel, nil
}

// watch ends the query when its time is over or its context ends.
func (q *query) watch(ctx context.Context) {
	timer := time.AfterFunc(q.timeout, func() { q.end(ErrTimeout) })
	var detach func() bool
	if ctx.Done() != nil {
		detach = context.AfterFunc(ctx, func() { q.end(context.Cause(ctx)) })
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	q.timer, q.detach = timer, detach
	if q.ended {
		q.unwatch()
	}
}

// unwatch is called with the lock held.
func (q *query) unwatch() {
	if q.timer != nil {
		q.timer.Stop()
	}
	if q.detach != nil {
		q.detach()
	}
}

// send asks each node.
func (q *query) send(ctx context.Context, targets []target, o *GetOptions) {
	m := &wire.Request{
		ID: q.id, QoS: q.qos, Target: o.Target, Timeout: q.timeout,
		Query: wire.Query{
			Consolidation: q.mode, Parameters: bytesOf(string(q.parameters)), Source: o.SourceInfo, Encoding: o.Encoding.wire(),
			Payload: o.Payload, Attachment: o.Attachment,
		},
	}
	for _, t := range targets {
		m.Key = t.key
		if err := t.face.t.Send(ctx, m, transport.Delivery{QoS: q.qos}); err != nil {
			if errors.Is(err, transport.ErrClosed) {
				err = fmt.Errorf("%w: %w", ErrSessionLost, err)
			}
			q.fail(t.face, err)
		}
	}
}
