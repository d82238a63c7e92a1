package zenoh

import (
	"context"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// QuerierOptions are what all gets of a querier have in common; nil is the defaults.
type QuerierOptions struct {
	Target             QueryTarget
	Consolidation      ConsolidationMode
	Timeout            time.Duration
	Priority           Priority
	CongestionControl  CongestionControl
	Express            bool
	AllowedDestination Locality
}

// QuerierGetOptions are what may be said of one get; nil is the defaults.
type QuerierGetOptions struct {
	Payload    ZBytes
	Encoding   Encoding
	Attachment ZBytes
	SourceInfo SourceInfo
}

// Querier asks on one key expression, which travels as a number, and only nodes behind which there is a queryable.
type Querier struct {
	matcher
	o    QuerierOptions
	name *namedKey
}

// DeclareQuerier makes a querier. Until the network has told whether there are queryables, it asks.
func (s *Session) DeclareQuerier(ctx context.Context, key KeyExpr, o *QuerierOptions) (*Querier, error) {
	q := &Querier{}
	if o != nil {
		q.o = *o
	}
	q.matcher = matcher{
		s: s, id: s.newID(), key: key, kind: wire.InterestQueryables, destination: q.o.AllowedDestination,
		complete: q.o.Target == QueryTargetAllComplete,
	}
	if err := q.declare(ctx); err != nil {
		return nil, fmt.Errorf("declare querier on %s: %w", key, err)
	}
	if q.o.AllowedDestination == LocalitySessionLocal {
		return q, nil
	}
	var err error
	if q.name, err = s.nameKey(ctx, key); err != nil {
		_ = q.matcher.undeclare(context.WithoutCancel(ctx)) // the error is why it never was
		return nil, fmt.Errorf("declare querier on %s: %w", key, err)
	}
	return q, nil
}

// KeyExpr gives the key expression.
func (q *Querier) KeyExpr() KeyExpr { return q.key }

// ID gives the name of the querier in the network, for SourceInfo.
func (q *Querier) ID() EntityGlobalID { return EntityGlobalID{ZID: q.s.ZID(), EID: q.id} }

// Get asks; see Session.Get.
func (q *Querier) Get(ctx context.Context, parameters Parameters, handler Handler[Reply], o *QuerierGetOptions) (<-chan Reply, error) {
	if q.ended.Load() {
		return nil, fmt.Errorf("get %s: querier %w", q.key, ErrUndeclared)
	}
	get := &GetOptions{
		Target: q.o.Target, Consolidation: q.o.Consolidation, Timeout: q.o.Timeout, Priority: q.o.Priority,
		CongestionControl: q.o.CongestionControl, Express: q.o.Express, AllowedDestination: q.o.AllowedDestination,
	}
	if o != nil {
		get.Payload, get.Encoding, get.Attachment, get.SourceInfo = o.Payload, o.Encoding, o.Attachment, o.SourceInfo
	}
	return q.s.get(ctx, &q.matcher, q.key, parameters, handler, get)
}

// Undeclare ends the querier; gets that are under way go on. It may be called again.
func (q *Querier) Undeclare(ctx context.Context) error {
	if q.ended.Swap(true) {
		return nil
	}
	err := q.matcher.undeclare(ctx)
	if q.name == nil {
		return err
	}
	if e := q.s.releaseKey(ctx, q.name); err == nil {
		err = e
	}
	return err
}

// Drop is Undeclare that waits for nobody.
func (q *Querier) Drop() { _ = q.Undeclare(q.s.ctx) }
