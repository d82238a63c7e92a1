package router

import (
	"context"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// query is a request that waits for replies. The lock of the tables is for what changes.
type query struct {
	from  *face
	id    uint32 // as the asker numbers it
	qos   wire.QoS
	at    []asking // faces that have not said that they are done
	timer *time.Timer
}

// asking is one face that should answer, and our number for its request.
type asking struct {
	face *face
	id   uint32
}

// finish tells the asker that there is nothing more to come.
func (q *query) finish() {
	q.from.say(&wire.ResponseFinal{ID: q.id, QoS: q.qos}, q.qos)
}

// request hands a query on to the faces that its target means, or says at once that there is nobody.
func (f *face) request(m *wire.Request) error {
	r := f.r
	r.counters.queries.Add(1)
	q := &query{from: f, id: m.ID, qos: m.QoS}
	key, err := f.resolve(&m.Key)
	if err != nil {
		if err := f.ignore(err, "query"); err != nil {
			return err
		}
		q.finish()
		return nil
	}
	at, err := r.ask(q, key, m)
	switch {
	case err != nil:
		return err
	case len(at) == 0:
		q.finish()
		return nil
	}
	m.Key, m.NodeID, m.Query.Raw = fullKey(key), 0, m.Query.Encoded()
	for _, a := range at {
		m.ID = a.id
		how := transport.Delivery{QoS: m.QoS, NoWait: r.noWait(m.QoS), BestEffort: f.bestEffort()}
		if err := a.face.out.Send(context.Background(), m, how); err != nil {
			r.lost(err)
			r.answered(a.face, a.id)
		}
	}
	return nil
}

// ask finds who should answer a query and takes note of it, before anybody can answer.
func (r *Router) ask(q *query, key keyexpr.KeyExpr, m *wire.Request) ([]asking, error) {
	f := q.from
	r.mu.Lock()
	defer r.mu.Unlock()
	if f.gone || f.standby || !f.maySend(ask, key) {
		return nil, nil
	}
	if len(f.asked) >= r.config.Limits.Queries {
		return nil, tooMuch("%d queries without their final reply", len(f.asked))
	}
	for _, g := range r.candidates(f, key, m.Target) {
		g.lastRID++
		g.waiting[g.lastRID] = q
		q.at = append(q.at, asking{face: g, id: g.lastRID})
	}
	if len(q.at) == 0 {
		return nil, nil
	}
	f.asked[q] = struct{}{}
	timeout := orDefault(m.Timeout, r.config.QueryTimeout)
	q.timer = time.AfterFunc(timeout, func() { r.timeOut(q) })
	return append([]asking(nil), q.at...), nil
}

// candidates gives the faces that a query with that key and target goes to.
func (r *Router) candidates(f *face, key keyexpr.KeyExpr, target wire.Target) []*face {
	var all []*face
	var best *face
	var distance uint16
	r.walk++
	walk := r.walk
	for _, e := range r.declared[queryables].Intersecting(key) {
		includes := e.key.Includes(key)
		for i := range e.by {
			d := &e.by[i]
			complete := d.info.Complete && includes
			if (target == wire.AllComplete && !complete) || !reaches(f, d.face) || !d.face.mayGet(ask, key) {
				continue
			}
			if complete && target == wire.BestMatching && (best == nil || nearer(d, distance, best)) {
				best, distance = d.face, d.info.Distance
			}
			if d.face.mark != walk {
				d.face.mark = walk
				all = append(all, d.face)
			}
		}
	}
	if best != nil {
		return []*face{best}
	}
	return all
}

// nearer tells whether a declarer is a better one than the best so far. Of two at the same distance it is that with the smaller id, so that the
// same queries go the same way.
func nearer(d *declarer, distance uint16, best *face) bool {
	if d.info.Distance != distance {
		return d.info.Distance < distance
	}
	return d.face.peer.ZID.Compare(best.peer.ZID) < 0
}

// response hands a reply on to who asked. Late ones are dropped.
func (f *face) response(m *wire.Response) {
	r := f.r
	r.mu.Lock()
	q := f.waiting[m.ID]
	r.mu.Unlock()
	if q == nil {
		r.counters.late.Add(1)
		return
	}
	if !m.Key.IsZero() { // the numbers of who replies mean nothing to the asker
		key, err := f.resolve(&m.Key)
		if err != nil {
			r.counters.badKeys.Add(1)
			return
		}
		if !f.maySend(reply, key) || !q.from.mayGet(reply, key) {
			return
		}
		m.Key = fullKey(key)
	}
	m.ID, m.QoS, m.Raw = q.id, q.qos, m.Encoded()
	how := transport.Delivery{QoS: m.QoS, NoWait: r.noWait(m.QoS), BestEffort: f.bestEffort()}
	if err := q.from.out.Send(context.Background(), m, how); err != nil {
		r.lost(err)
		return
	}
	r.counters.replies.Add(1)
}

// answered takes note that a face has no more replies to a request, and tells the asker if nobody has.
func (r *Router) answered(f *face, id uint32) {
	r.mu.Lock()
	q := f.waiting[id]
	done := q != nil && r.settleQuery(q, f, id)
	r.mu.Unlock()
	if done {
		q.finish()
	}
}

// settleQuery counts a face as done, and tells whether it was the last.
func (r *Router) settleQuery(q *query, f *face, id uint32) (done bool) {
	delete(f.waiting, id)
	for i, a := range q.at {
		if a.face == f && a.id == id {
			q.at = append(q.at[:i], q.at[i+1:]...)
			break
		}
	}
	if len(q.at) > 0 {
		return false
	}
	r.dropQuery(q)
	return true
}

// dropQuery forgets a query.
func (r *Router) dropQuery(q *query) {
	q.timer.Stop()
	delete(q.from.asked, q)
	for _, a := range q.at {
		delete(a.face.waiting, a.id)
	}
	q.at = nil
}

// forgetQueries is for a face that has ended: what it asked is dropped, and what it should have answered it never will. It gives the queries that
// have nobody left to answer.
func (r *Router) forgetQueries(f *face) (finals []*query) {
	for q := range f.asked {
		r.dropQuery(q)
	}
	for id, q := range f.waiting {
		if r.settleQuery(q, f, id) {
			finals = append(finals, q)
		}
	}
	return finals
}

// timeOut ends a query that takes too long: each face that is silent counts as an error.
func (r *Router) timeOut(q *query) {
	r.mu.Lock()
	silent := q.at
	if len(silent) > 0 {
		r.dropQuery(q)
	}
	r.mu.Unlock()
	if len(silent) == 0 {
		return
	}
	r.counters.timeouts.Add(1)
	for _, a := range silent {
		q.from.say(&wire.Response{
			ID: q.id, QoS: q.qos, Responder: wire.EntityID{ZID: a.face.peer.ZID}, IsErr: true, Err: wire.ReplyErr{Payload: []byte("Timeout")},
		}, q.qos)
	}
	q.finish()
}
