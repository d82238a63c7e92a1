package router

import (
	"context"
	"errors"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// route is where the publications of one face with one key go. It holds as long as the generation of the tables does.
type route struct {
	generation uint64
	key        keyexpr.KeyExpr
	puts       []*face
	deletes    []*face
}

// push hands a publication on to everybody who wants it. On a key that was seen before, and while nobody declares anything, this takes no lock
// of the tables and allocates nothing.
func (f *face) push(m *wire.Push) error {
	r := f.r
	r.counters.received.Add(1)
	to, err := f.routeOf(&m.Key)
	if err != nil {
		return f.ignore(err, "publication")
	}
	faces := to.puts
	if m.Data.Delete {
		faces = to.deletes
	}
	if len(faces) == 0 {
		return nil
	}
	m.Key, m.NodeID = fullKey(to.key), 0
	f.stamp(&m.Data)
	how := transport.Delivery{QoS: m.QoS, BestEffort: f.bestEffort(), NoWait: r.noWait(m.QoS)}
	for _, g := range faces {
		if err := g.out.Send(context.Background(), m, how); err != nil {
			r.lost(err)
			continue
		}
		r.counters.sent.Add(1)
	}
	return nil
}

// noWait tells whether a message is dropped rather than waited for when the queue of a session is full. What may be dropped does not wait
// here, even for the short time that its sender's own session would: a slow session must not slow its publishers down.
func (r *Router) noWait(q wire.QoS) bool {
	return q.Congestion == wire.Drop || r.config.SlowSessions == DropMessages
}

// lost counts a message that a session did not take.
func (r *Router) lost(err error) {
	switch {
	case errors.Is(err, transport.ErrCongested):
		r.counters.congested.Add(1)
	case errors.Is(err, transport.ErrUnresponsive):
		r.counters.unresponsive.Add(1)
	default:
		r.counters.ended.Add(1)
	}
}

// routeOf finds the route of a key that the neighbour sent.
func (f *face) routeOf(w *wire.WireExpr) (*route, error) {
	p := f.prefixOf(w)
	if p == nil {
		return nil, errUnknownScope
	}
	generation := f.r.generation.Load()
	if p.latest != nil && p.latest.generation == generation && p.suffix == string(w.Suffix) {
		return p.latest, nil
	}
	to := p.routes[string(w.Suffix)]
	if to != nil && to.generation == generation {
		p.latest, p.suffix = to, to.key.String()[len(p.text):]
		return to, nil
	}
	key, err := f.resolve(w)
	if err != nil {
		return nil, err
	}
	if to == nil {
		key = key.Clone()
	} else {
		key = to.key
	}
	to = f.r.findRoute(f, key)
	f.remember(p, to)
	return to, nil
}

// remember keeps a route. When there are too many it forgets all: they are found again.
func (f *face) remember(p *prefix, to *route) {
	suffix := to.key.String()[len(p.text):]
	if _, had := p.routes[suffix]; !had {
		if f.routes++; f.routes > f.r.config.Limits.Routes {
			f.forgetRoutes()
		}
	}
	if p.routes == nil {
		p.routes = make(map[string]*route, 1)
	}
	p.routes[suffix] = to
	p.latest, p.suffix = to, suffix
}

func (f *face) forgetRoutes() {
	f.routes = 1
	f.plain.routes = nil
	for _, p := range f.prefixes {
		p.routes, p.latest = nil, nil
	}
}

// findRoute walks through the tables. A face is found once, however many of its subscribers match.
func (r *Router) findRoute(f *face, key keyexpr.KeyExpr) *route {
	r.mu.Lock()
	defer r.mu.Unlock()
	to := &route{generation: r.generation.Load(), key: key}
	mayPut, mayDelete := f.maySend(put, key), f.maySend(del, key)
	if !mayPut && !mayDelete {
		return to
	}
	r.walk++
	for _, e := range r.declared[subscribers].Intersecting(key) {
		for i := range e.by {
			g := e.by[i].face
			if g.mark == r.walk || !reaches(f, g) {
				continue
			}
			g.mark = r.walk
			if mayPut && g.mayGet(put, key) {
				to.puts = append(to.puts, g)
			}
			if mayDelete && g.mayGet(del, key) {
				to.deletes = append(to.deletes, g)
			}
		}
	}
	return to
}

// stamp gives a sample the time at which it came if it has none, or one that is too far ahead, and has its body encoded as it came if nothing in it must
// be changed. The attachment of a deletion must: zenoh-pico gives it a number there that others do not know.
func (f *face) stamp(d *wire.Data) {
	clock := &f.r.clock
	anew := d.Delete && d.Attachment != nil
	switch {
	case f.r.config.NoTimestamps:
	case d.Timestamp.IsZero():
		d.Timestamp = clock.at(f.arrival())
	case !clock.observe(d.Timestamp, f.arrival):
		d.Timestamp, anew = clock.at(f.arrival()), true
	}
	if !anew {
		d.Raw = d.Encoded()
	}
}
