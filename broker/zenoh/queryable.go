package zenoh

import (
	"context"
	"fmt"
	"slices"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// QueryableOptions are what a queryable may want; nil is the defaults.
type QueryableOptions struct {
	Complete      bool     // it has all there is under its key expression
	AllowedOrigin Locality // where those who ask may be
	Concurrency   int      // calls of a Closure at once; 1
}

// Queryable answers the queries whose key intersects its own.
type Queryable struct {
	s       *Session
	id      uint32
	key     KeyExpr
	o       QueryableOptions
	sink    sink[*Query]
	channel <-chan *Query
}

func (q *Queryable) entity() (uint32, KeyExpr) { return q.id, q.key }

// DeclareQueryable makes the handler get queries. A query that a Closure gets ends when the closure returns, unless it called Query.Hold; one
// that comes from a channel ends with Query.Drop.
func (s *Session) DeclareQueryable(ctx context.Context, key KeyExpr, handler Handler[*Query], o *QueryableOptions) (*Queryable, error) {
	q := &Queryable{s: s, id: s.newID(), key: key}
	if o != nil {
		q.o = *o
	}
	if c, ok := handler.(Closure[*Query]); ok {
		call := c.Call
		handler = Closure[*Query]{Drop: c.Drop, Call: func(query *Query) {
			defer query.returned()
			call(query)
		}}
	}
	s.mu.Lock()
	if err := s.declarable(key); err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("declare queryable on %s: %w", key, err)
	}
	q.sink, q.channel = open(s, handler, sinkOptions[*Query]{
		workers: q.o.Concurrency,
		weigh:   func(query **Query) int { return len((*query).in.payload) + len((*query).in.attachment) },
		discard: func(query **Query) { (*query).Drop() },
	})
	s.queryables.add(q)
	faces := *s.faces.Load()
	s.mu.Unlock()
	if m := q.declaration(); m != nil {
		if err := announce(ctx, faces, m); err != nil {
			_ = q.Undeclare(context.WithoutCancel(ctx)) // the error is why it never was
			return nil, fmt.Errorf("declare queryable on %s: %w", key, err)
		}
	}
	s.rematch(key)
	return q, nil
}

// declaration is what others are told, or nil.
func (q *Queryable) declaration() wire.Network {
	if q.o.AllowedOrigin == LocalitySessionLocal {
		return nil
	}
	return &wire.Declare{
		Kind: wire.DeclareQueryable, ID: q.id, QoS: wire.QoSDeclare, Key: wire.WireExpr{Suffix: bytesOf(q.key.String())},
		Queryable: wire.QueryableInfo{Complete: q.o.Complete},
	}
}

// KeyExpr gives the key expression.
func (q *Queryable) KeyExpr() KeyExpr { return q.key }

// ID gives the name of the queryable in the network, which is that of the replier in its replies.
func (q *Queryable) ID() EntityGlobalID { return EntityGlobalID{ZID: q.s.ZID(), EID: q.id} }

// Handler gives the channel of the handler, which is closed at the end, or nil for a closure.
func (q *Queryable) Handler() <-chan *Query { return q.channel }

// Undeclare ends the queryable. Queries that a closure has not got yet end without a reply. It may be called again.
func (q *Queryable) Undeclare(ctx context.Context) error {
	s := q.s
	s.mu.Lock()
	found := s.queryables.remove(q)
	faces := *s.faces.Load()
	s.mu.Unlock()
	q.sink.close(true)
	if !found {
		return nil
	}
	s.rematch(q.key)
	if q.o.AllowedOrigin == LocalitySessionLocal {
		return nil
	}
	return announce(ctx, faces, &wire.Declare{Kind: wire.UndeclareQueryable, ID: q.id, QoS: wire.QoSDeclare, WithKey: true})
}

// Drop is Undeclare that waits for nobody.
func (q *Queryable) Drop() { _ = q.Undeclare(q.s.ctx) }

// request hands a query of another node to queryables.
func (f *face) request(m *wire.Request) {
	in := &inquiry{s: f.s, face: f, id: m.ID, qos: m.QoS, key: f.key(&m.Key), timeout: m.Timeout}
	in.fill(&m.Query, f.t)
	f.s.inquire(in, m.Target, false)
}

// inquire hands an inquiry to the queryables that it is for, and ends it when all have.
func (s *Session) inquire(in *inquiry, target QueryTarget, local bool) {
	var list []*Queryable
	s.mu.RLock()
	for q := range s.queryables.matching(in.key) {
		if q.o.AllowedOrigin.from(local) && (target != QueryTargetAllComplete || q.o.Complete && q.key.Includes(in.key)) {
			list = append(list, q)
		}
	}
	s.mu.RUnlock()
	if target == QueryTargetBestMatching {
		for _, q := range list {
			if q.o.Complete && q.key.Includes(in.key) {
				list = []*Queryable{q}
				break
			}
		}
	}
	in.open.Store(int32(len(list) + 1))
	for _, q := range slices.Clip(list) {
		query := &Query{in: in, queryable: q}
		if !q.sink.push(&query) {
			query.refuse()
		}
	}
	in.done()
}
