package zenoh

import (
	"context"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Liveliness is about tokens: key expressions that are there as long as the session that declared them is connected.
type Liveliness struct{ s *Session }

// Liveliness gives access to tokens.
func (s *Session) Liveliness() Liveliness { return Liveliness{s} }

// LivelinessToken is a token of this session.
type LivelinessToken struct {
	s   *Session
	id  uint32
	key KeyExpr
}

func (t *LivelinessToken) entity() (uint32, KeyExpr) { return t.id, t.key }

// DeclareToken makes a token.
func (l Liveliness) DeclareToken(ctx context.Context, key KeyExpr) (*LivelinessToken, error) {
	s := l.s
	t := &LivelinessToken{s: s, id: s.newID(), key: key}
	s.mu.Lock()
	if err := s.declarable(key); err != nil {
		s.mu.Unlock()
		return nil, fmt.Errorf("declare token %s: %w", key, err)
	}
	s.tokens.add(t)
	up := s.countToken(key, 1)
	faces := *s.faces.Load()
	s.mu.Unlock()
	s.tell(up)
	if err := announce(ctx, faces, t.declaration()); err != nil {
		_ = t.Undeclare(context.WithoutCancel(ctx)) // the error is why it never was
		return nil, fmt.Errorf("declare token %s: %w", key, err)
	}
	return t, nil
}

func (t *LivelinessToken) declaration() wire.Network {
	return &wire.Declare{Kind: wire.DeclareToken, ID: t.id, QoS: wire.QoSDeclare, Key: wire.WireExpr{Suffix: bytesOf(t.key.String())}}
}

// KeyExpr gives the key expression.
func (t *LivelinessToken) KeyExpr() KeyExpr { return t.key }

// Undeclare ends the token. It may be called again.
func (t *LivelinessToken) Undeclare(ctx context.Context) error {
	s := t.s
	s.mu.Lock()
	if !s.tokens.remove(t) {
		s.mu.Unlock()
		return nil
	}
	down := s.countToken(t.key, -1)
	faces := *s.faces.Load()
	s.mu.Unlock()
	s.tell(down)
	return announce(ctx, faces, &wire.Declare{Kind: wire.UndeclareToken, ID: t.id, QoS: wire.QoSDeclare, WithKey: true})
}

// Drop is Undeclare that waits for nobody.
func (t *LivelinessToken) Drop() { _ = t.Undeclare(t.s.ctx) }

// LivelinessGetOptions are what may be said of a get of tokens; nil is the defaults.
type LivelinessGetOptions struct {
	Timeout time.Duration // 0 is Config.QueriesDefaultTimeout
}

// Get asks which tokens there are, of this session and of others: each key that intersects is a reply, without a payload. It ends as
// Session.Get does.
func (l Liveliness) Get(ctx context.Context, key KeyExpr, handler Handler[Reply], o *LivelinessGetOptions) (<-chan Reply, error) {
	s := l.s
	options := &GetOptions{Consolidation: ConsolidationNone}
	if o != nil {
		options.Timeout = o.Timeout
	}
	q := s.newQuery(ctx, key, "", options)
	q.interest, q.unique, q.id = true, true, s.newID()
	targets, known, err := s.whoKnowsTokens(ctx, q)
	if err != nil {
		return nil, fmt.Errorf("get tokens %s: %w", key, err)
	}
	channel, err := q.open(ctx, handler, targets)
	if err != nil {
		return nil, fmt.Errorf("get tokens %s: %w", key, err)
	}
	q.watch(ctx)
	for _, token := range known {
		q.reply(&Reply{sample: Sample{key: token}})
	}
	m := &wire.Interest{
		ID: q.id, Mode: wire.InterestCurrent, Options: wire.InterestTokens, Restricted: true, QoS: wire.QoSDeclare,
		Key: wire.WireExpr{Suffix: bytesOf(key.String())},
	}
	for _, t := range targets {
		if err := t.face.t.Send(ctx, m, transport.Delivery{QoS: m.QoS}); err != nil {
			q.fail(t.face, fmt.Errorf("%w: %w", ErrSessionLost, err))
		}
	}
	q.final(nil)
	return channel, nil
}

// whoKnowsTokens gives the nodes that have to be asked, and the tokens that this session knows of: its own and those of peers.
func (s *Session) whoKnowsTokens(ctx context.Context, q *query) (targets []target, known []KeyExpr, err error) {
	if s.config.Mode == Client {
		waiting, cancel := context.WithTimeout(ctx, min(q.timeout, blockTime))
		defer cancel()
		if _, err := s.connected(waiting); err != nil {
			return nil, nil, err
		}
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if err := s.declarable(q.key); err != nil {
		return nil, nil, err
	}
	for t := range s.tokens.matching(q.key) {
		known = append(known, t.key)
	}
	for _, f := range *s.faces.Load() {
		if f.asks {
			targets = append(targets, target{face: f})
			continue
		}
		for _, key := range f.tokens {
			if key.Intersects(q.key) {
				known = append(known, key)
			}
		}
	}
	return targets, known, nil
}
