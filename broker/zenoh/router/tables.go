package router

import (
	"slices"
	"sync"
	"sync/atomic"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// kind is what an entity is.
type kind uint8

const (
	subscribers kind = iota
	queryables
	tokens
	kinds
)

// options has the bit of each kind in an interest.
var options = [kinds]wire.InterestOptions{wire.InterestSubscribers, wire.InterestQueryables, wire.InterestTokens}

// declares and undeclares have the declarations of each kind.
var (
	declares   = [kinds]wire.DeclareKind{wire.DeclareSubscriber, wire.DeclareQueryable, wire.DeclareToken}
	undeclares = [kinds]wire.DeclareKind{wire.UndeclareSubscriber, wire.UndeclareQueryable, wire.UndeclareToken}
)

// String names the kind as the admin space does.
func (k kind) String() string { return [kinds]string{"subscriber", "queryable", "token"}[k] }

// tables has all that faces declared. One lock is for all of it, and nobody sends data or waits while they hold it.
type tables struct {
	mu       sync.Mutex
	closing  bool
	admitted map[wire.ZID]transport.Peer // sessions that have their place
	faces    map[*face]struct{}
	walk     uint64 // number of the last walk that marks faces

	declared [kinds]keyexpr.Tree[*entity]
	watched  [kinds]keyexpr.Tree[*watchers]
	watchAll [kinds]watchers // interests in every key

	// generation changes with everything that a route depends on. Who routes reads it before looking at the tables.
	generation atomic.Uint64
}

func (t *tables) init() {
	t.admitted = map[wire.ZID]transport.Peer{}
	t.faces = map[*face]struct{}{}
	t.generation.Store(1)
}

// entity is a key with all faces that declared it, in the order in which they did.
type entity struct {
	key keyexpr.KeyExpr
	by  []declarer
}

type declarer struct {
	face  *face
	infos map[uint32]wire.QueryableInfo // of queryables, by the numbers of the face
	count int
	info  wire.QueryableInfo // of all of them together
}

// of gives what a face declared, or nil.
func (e *entity) of(f *face) *declarer {
	for i := range e.by {
		if e.by[i].face == f {
			return &e.by[i]
		}
	}
	return nil
}

// merge makes one information of two: complete if either is, and as near as the nearer one.
func merge(a, b wire.QueryableInfo) wire.QueryableInfo {
	return wire.QueryableInfo{Complete: a.Complete || b.Complete, Distance: min(a.Distance, b.Distance)}
}

// mergeAll gives the information of all queryables of a face with one key.
func (d *declarer) mergeAll() {
	there := false
	for _, info := range d.infos {
		d.info, there = join(d.info, info, there), true
	}
}

// add makes a face known.
func (r *Router) add(f *face) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closing {
		return false
	}
	r.faces[f] = struct{}{}
	r.generation.Add(1)
	return true
}

// removeAtOnce is how many declarations of a face that ended are taken back in one go, while others wait.
const removeAtOnce = 256

// remove makes as if a face that has ended took everything back.
func (r *Router) remove(f *face) {
	r.mu.Lock()
	f.gone = true
	delete(r.faces, f)
	r.forgetInterests(f)
	r.generation.Add(1)
	done := 0
	for k := range kinds {
		for id, key := range f.entities[k] {
			delete(f.entities[k], id)
			r.withdraw(f, k, id, key)
			if done++; done%removeAtOnce == 0 {
				r.mu.Unlock()
				r.mu.Lock()
			}
		}
	}
	finals := r.forgetQueries(f)
	r.mu.Unlock()
	f.backlog.close()
	for _, q := range finals {
		q.finish()
	}
}

// declare acts on a declaration of the neighbour.
func (f *face) declare(m *wire.Declare) error {
	switch m.Kind {
	case wire.DeclareKeyExpr:
		return f.declareKey(m)
	case wire.UndeclareKeyExpr:
		f.undeclareKey(m.ID)
		return nil
	case wire.DeclareFinal:
		return nil
	}
	if i := slices.Index(declares[:], m.Kind); i >= 0 {
		return f.declareEntity(kind(i), m)
	}
	f.undeclareEntity(kind(slices.Index(undeclares[:], m.Kind)), m)
	return nil
}

func (f *face) declareEntity(k kind, m *wire.Declare) error {
	key, err := f.keep(&m.Key)
	if err != nil {
		return f.ignore(err, "declaration of a "+k.String())
	}
	if !f.mayDeclare(k, key) {
		return nil
	}
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	if k == tokens && f.r.sameWay(f, m.ID, key) {
		return nil
	}
	old, twice := f.entities[k][m.ID]
	switch {
	case twice && old != key:
		f.log.Debug("declaration ignored", "kind", k.String(), "id", m.ID, "key", key, "error", "its number is taken")
		return nil
	case !twice:
		if err := f.spend(key.String()); err != nil {
			return err
		}
		if f.entities[k] == nil {
			f.entities[k] = map[uint32]keyexpr.KeyExpr{}
		}
		f.entities[k][m.ID] = key
	}
	f.r.enter(f, k, m.ID, key, m.Queryable, !twice)
	return nil
}

func (f *face) undeclareEntity(k kind, m *wire.Declare) {
	f.r.mu.Lock()
	defer f.r.mu.Unlock()
	key, known := f.entities[k][m.ID]
	if !known {
		if k == tokens {
			delete(f.round, m.ID)
		}
		return // refused before, or a token of before an interest
	}
	delete(f.entities[k], m.ID)
	f.unspend(key.String())
	f.r.withdraw(f, k, m.ID, key)
}

// enter puts an entity of a face into the tables, or what changed of it, and tells whom it concerns.
func (r *Router) enter(f *face, k kind, id uint32, key keyexpr.KeyExpr, info wire.QueryableInfo, fresh bool) {
	e, ok := r.declared[k].Get(key)
	if !ok {
		e = &entity{key: key}
		r.declared[k].Set(key, e)
	}
	d := e.of(f)
	if d == nil {
		e.by = append(e.by, declarer{face: f, info: info})
		d = &e.by[len(e.by)-1]
	}
	if fresh {
		d.count++
	}
	if k == queryables {
		if d.infos == nil {
			d.infos = map[uint32]wire.QueryableInfo{}
		}
		d.infos[id] = info
		d.mergeAll()
	}
	r.changed(k, key)
}

// withdraw takes an entity of a face out of the tables, and tells whom it concerns.
func (r *Router) withdraw(f *face, k kind, id uint32, key keyexpr.KeyExpr) {
	e, ok := r.declared[k].Get(key)
	if !ok {
		return
	}
	d := e.of(f)
	if d == nil {
		return
	}
	if d.count--; d.count > 0 {
		delete(d.infos, id)
		d.mergeAll()
	} else {
		e.by = slices.DeleteFunc(e.by, func(d declarer) bool { return d.face == f })
	}
	if len(e.by) == 0 {
		r.declared[k].Delete(key)
	}
	r.changed(k, key)
}

// changed makes known that the faces which declared a key are others now.
func (r *Router) changed(k kind, key keyexpr.KeyExpr) {
	if k == subscribers {
		r.generation.Add(1)
	}
	r.notify(k, key)
}

// reaches tells whether what one face sends may go to another, and whether the one may know what the other declared.
func reaches(from, to *face) bool {
	switch {
	case from == to, from.gone, to.gone, to.standby, from.standby:
		return false
	case from.kind == upstream && to.kind == upstream: // no way through: they reach each other without this router, or shall not
		return false
	case from.peer.WhatAmI == wire.Peer && to.peer.WhatAmI == wire.Peer:
		return !linked(from, to)
	}
	return true
}
