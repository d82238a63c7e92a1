package zenoh

import (
	"slices"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// queries are the gets of a session that wait for replies.
type queries struct {
	mu        sync.Mutex
	byID      map[uint32]*query
	interests map[uint32]*query // liveliness gets, by the id of their interest
	next      uint32
	closed    bool
}

// query is one get.
type query struct {
	s          *Session
	id         uint32
	interest   bool // it is a liveliness get
	key        KeyExpr
	parameters Parameters
	anyKey     bool
	mode       ConsolidationMode
	unique     bool // only the first reply of each key is wanted
	qos        wire.QoS
	timeout    time.Duration
	sink       sink[Reply]

	mu      sync.Mutex
	pending int // nodes, and local queryables, that are not done; and one while they are being asked
	asked   []*face
	last    latest // for consolidation
	bytes   int    // of that
	failed  error  // why replies are missing
	ended   bool
	timer   *time.Timer // that ends it
	detach  func() bool // from its context
}

// add makes a query known, which is asked of those nodes.
func (p *queries) add(q *query, targets []target) error {
	q.asked = make([]*face, len(targets))
	for i, t := range targets {
		q.asked[i] = t.face
	}
	q.pending += len(targets)
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return ErrSessionClosed
	}
	if p.byID == nil {
		p.byID, p.interests = make(map[uint32]*query), make(map[uint32]*query)
	}
	if q.interest {
		p.interests[q.id] = q
		return nil
	}
	for p.next++; p.byID[p.next] != nil; p.next++ {
	}
	q.id = p.next
	p.byID[q.id] = q
	return nil
}

func (p *queries) find(id uint32) *query {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.byID[id]
}

func (p *queries) findInterest(id uint32) *query {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.interests[id]
}

func (p *queries) forget(q *query) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if q.interest {
		delete(p.interests, q.id)
	} else {
		delete(p.byID, q.id)
	}
}

// final takes note that a node has sent all its replies.
func (p *queries) final(id uint32, f *face) {
	if q := p.find(id); q != nil {
		q.final(f)
	}
}

// finalInterest is final for liveliness gets. It tells whether it was one.
func (p *queries) finalInterest(id uint32, f *face) bool {
	q := p.findInterest(id)
	if q != nil {
		q.final(f)
	}
	return q != nil
}

// end fails all that wait for a node, or with nil all that wait, and then takes no more.
func (p *queries) end(f *face, err error) (failed int) {
	p.mu.Lock()
	var list []*query
	for _, m := range []map[uint32]*query{p.byID, p.interests} {
		for _, q := range m {
			list = append(list, q)
		}
	}
	p.closed = p.closed || f == nil
	p.mu.Unlock()
	for _, q := range list {
		if f == nil {
			q.end(err)
		} else if q.fail(f, err) {
			failed++
		}
	}
	return failed
}

// keyOf gives the key of a reply, or the zero one if the query does not ask for it.
func (q *query) keyOf(text []byte) KeyExpr {
	if string(text) == q.key.String() {
		return q.key
	}
	key, err := NewKeyExpr(string(text))
	if err != nil || !q.anyKey && !key.Intersects(q.key) {
		return KeyExpr{}
	}
	return key
}

// expect takes note of one more who will answer.
func (q *query) expect() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.pending++
}

// final takes note that a node, or with nil somebody else, has sent all replies.
func (q *query) final(f *face) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.ended {
		return
	}
	if f != nil {
		i := slices.Index(q.asked, f)
		if i < 0 {
			return
		}
		q.asked = slices.Delete(q.asked, i, i+1)
	}
	if q.pending--; q.pending == 0 {
		q.endLocked(nil)
	}
}

// fail takes note that a node is gone, if it was asked.
func (q *query) fail(f *face, err error) bool {
	q.mu.Lock()
	if q.ended || !slices.Contains(q.asked, f) {
		q.mu.Unlock()
		return false
	}
	q.failed = err
	q.mu.Unlock()
	q.final(f)
	return true
}

// end ends the query before all have answered.
func (q *query) end(err error) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.endLocked(err)
}

func (q *query) endLocked(err error) {
	if q.ended {
		return
	}
	q.ended = true
	if q.mode == ConsolidationLatest {
		for i := range q.last.replies {
			q.push(&q.last.replies[i])
		}
	}
	if err == nil {
		err = q.failed
	}
	if err != nil {
		q.sink.end(new(ownError(err)))
	} else {
		q.sink.close(false)
	}
	q.unwatch()
	q.s.queries.forget(q)
}
