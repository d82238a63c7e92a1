package zenoh

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// inquiry is one query as it came in, which may be for several queryables. It ends when all of them are done with it.
type inquiry struct {
	s          *Session
	face       *face  // that asked, or nil
	local      *query // of this session, that asked, or nil
	id         uint32 // of the request
	qos        wire.QoS
	key        KeyExpr
	timeout    time.Duration
	parameters Parameters
	payload    []byte // nil is none
	attachment []byte
	encoding   Encoding
	source     SourceInfo

	open atomic.Int32 // queryables that are not done, and one while it is being handed out
}

func (in *inquiry) fill(m *wire.Query, t *transport.Transport) {
	in.parameters = Parameters(m.Parameters)
	in.payload, in.attachment = t.Own(m.Payload), t.Own(m.Attachment)
	in.encoding, in.source = encodingOf(m.Encoding), m.Source
}

// done is called once for each queryable, and once more.
func (in *inquiry) done() {
	switch {
	case in.open.Add(-1) != 0:
	case in.local != nil:
		in.local.final(nil)
	default:
		in.face.answer(&wire.ResponseFinal{ID: in.id, QoS: in.qos}, in.qos)
	}
}

// Query is a question to a queryable. It may be answered any number of times, from any goroutine, until it ends: see DeclareQueryable.
type Query struct {
	in        *inquiry
	queryable *Queryable
	held      atomic.Bool

	mu     sync.Mutex
	ended  bool
	ctx    context.Context
	cancel context.CancelFunc
}

// KeyExpr gives the key expression that is asked for.
func (q *Query) KeyExpr() KeyExpr { return q.in.key }

// Parameters gives what the selector has behind the question mark.
func (q *Query) Parameters() Parameters { return q.in.parameters }

// Payload gives the value that came with the question; nil is none.
func (q *Query) Payload() ZBytes { return q.in.payload }

// Encoding says what the payload is.
func (q *Query) Encoding() Encoding { return q.in.encoding }

// Attachment gives what was attached to the question, or nil.
func (q *Query) Attachment() ZBytes { return q.in.attachment }

// SourceInfo says where the question is from, if it tells.
func (q *Query) SourceInfo() SourceInfo { return q.in.source }

// AcceptsAnyKey tells whether replies may be under any key, and not only under those that are asked for.
func (q *Query) AcceptsAnyKey() bool { return q.in.parameters.has(ParameterAnyKE) }

// Context ends when the query does, when nobody waits for replies any more as its time is over, or when the session is closed.
func (q *Query) Context() context.Context {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ctx == nil {
		timeout := q.in.timeout
		if timeout == 0 {
			timeout = q.in.s.config.QueriesDefaultTimeout
		}
		q.ctx, q.cancel = context.WithTimeout(q.in.s.ctx, timeout)
		if q.ended {
			q.cancel()
		}
	}
	return q.ctx
}

// ReplyOptions are what may be said of a reply; nil is the defaults. Priority and congestion control are those of the query.
type ReplyOptions struct {
	Encoding   Encoding
	Attachment ZBytes
	Timestamp  Timestamp
	SourceInfo SourceInfo
}

// Reply answers with a value. It returns when that is queued. The key must intersect what is asked for, or the error is ErrKeyMismatch.
func (q *Query) Reply(ctx context.Context, key KeyExpr, payload ZBytes, o *ReplyOptions) error {
	sample := Sample{key: key, payload: payload}
	if o != nil {
		sample.encoding = o.Encoding
	}
	return q.reply(ctx, &sample, o)
}

// ReplyDelete answers that there is no value under a key.
func (q *Query) ReplyDelete(ctx context.Context, key KeyExpr, o *ReplyOptions) error {
	return q.reply(ctx, &Sample{key: key, kind: SampleKindDelete}, o)
}

func (q *Query) reply(ctx context.Context, sample *Sample, o *ReplyOptions) error {
	if o != nil {
		sample.attachment, sample.timestamp, sample.source = o.Attachment, o.Timestamp, o.SourceInfo
	}
	if sample.timestamp.IsZero() && q.in.s.config.Timestamping {
		sample.timestamp = q.in.s.clock.NewTimestamp()
	}
	if !sample.key.Intersects(q.in.key) && !q.AcceptsAnyKey() || sample.key.IsZero() {
		return fmt.Errorf("reply on %s to %s: %w", sample.key, q.in.key, ErrKeyMismatch)
	}
	sample.qos = q.in.qos
	if q.in.local != nil {
		own := *sample
		own.payload, own.attachment = ZBytes(own.payload).Clone(), ZBytes(own.attachment).Clone()
		return q.hand(&Reply{sample: own, replier: q.queryable.ID()})
	}
	m := responses.Get().(*wire.Response)
	m.Key.Suffix = bytesOf(sample.key.String())
	sample.put(&m.Reply.Data)
	err := q.respond(ctx, m)
	*m = wire.Response{}
	responses.Put(m)
	return err
}

// responses are messages to be used again.
var responses = sync.Pool{New: func() any { return new(wire.Response) }}

// ReplyErrOptions are what may be said of an error; nil is the defaults.
type ReplyErrOptions struct{ Encoding Encoding }

// ReplyErr answers with an error.
func (q *Query) ReplyErr(ctx context.Context, payload ZBytes, o *ReplyErrOptions) error {
	if o == nil {
		o = &ReplyErrOptions{}
	}
	if q.in.local != nil {
		return q.hand(&Reply{err: &ReplyError{payload: payload.Clone(), encoding: o.Encoding}, replier: q.queryable.ID()})
	}
	return q.respond(ctx, &wire.Response{IsErr: true, Err: wire.ReplyErr{Encoding: o.Encoding.wire(), Payload: payload}})
}

// hand gives a reply to a get of the same session.
func (q *Query) hand(r *Reply) error {
	if q.isEnded() {
		return fmt.Errorf("reply to %s: %w", q.in.key, ErrQueryEnded)
	}
	q.in.local.reply(r)
	return nil
}

// respond sends a reply to the node that asked.
func (q *Query) respond(ctx context.Context, m *wire.Response) error {
	if q.isEnded() {
		return fmt.Errorf("reply to %s: %w", q.in.key, ErrQueryEnded)
	}
	m.ID, m.QoS, m.Responder = q.in.id, q.in.qos, q.queryable.ID()
	how := transport.Delivery{QoS: q.in.qos}
	how.QoS.Congestion = wire.Block // who asked waits for it
	if err := q.in.face.t.Send(ctx, m, how); err != nil {
		return fmt.Errorf("reply to %s: %w", q.in.key, lost(err))
	}
	return nil
}

func (q *Query) isEnded() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.ended
}

// Hold makes the query outlive the closure that got it: it ends with Drop.
func (q *Query) Hold() { q.held.Store(true) }

// Drop ends the query. Who asked is told when all queryables are done. It may be called again.
func (q *Query) Drop() {
	q.mu.Lock()
	ended := q.ended
	q.ended = true
	if q.cancel != nil {
		q.cancel()
	}
	q.mu.Unlock()
	if !ended {
		q.in.done()
	}
}

// returned is called when a closure is done with the query.
func (q *Query) returned() {
	if !q.held.Load() {
		q.Drop()
	}
}

// refuse answers for a queryable that has no room for the query.
func (q *Query) refuse() {
	text := []byte("queryable overloaded")
	if q.in.local != nil {
		q.in.local.reply(&Reply{err: &ReplyError{payload: text, encoding: EncodingZenohString}, replier: q.queryable.ID()})
	} else {
		q.in.face.answer(&wire.Response{
			ID: q.in.id, QoS: q.in.qos, Responder: q.queryable.ID(), IsErr: true,
			Err: wire.ReplyErr{Encoding: EncodingZenohString.wire(), Payload: text},
		}, q.in.qos)
	}
	q.Drop()
}
