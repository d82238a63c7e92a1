package router

import (
	"errors"
	"slices"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// interest is what a face wants to be told from now on.
type interest struct {
	face     *face
	id       uint32
	kinds    [kinds]bool
	key      keyexpr.KeyExpr // zero is every key
	combined bool            // one answer for all that intersects, with the interest's own key
}

// watchers are interests with the same key.
type watchers map[*interest]struct{}

// notice is something that a face was told, or is taken to know.
type notice struct {
	id     uint32
	info   wire.QueryableInfo
	silent bool // it was there before the face asked for changes, which it was told nothing of
}

// interest acts on an interest of the neighbour.
func (f *face) interest(m *wire.Interest) error {
	r := f.r
	if m.Mode == wire.InterestFinal {
		r.mu.Lock()
		defer r.mu.Unlock()
		if i := f.interests[m.ID]; i != nil {
			r.unwatch(i)
		}
		return nil
	}
	i := &interest{face: f, id: m.ID}
	var err error
	if m.Restricted {
		i.key, err = f.keep(&m.Key)
	}
	current := m.Mode != wire.InterestFuture
	if errors.Is(err, ErrLimit) {
		return err
	}
	for k := range kinds {
		i.kinds[k] = err == nil && m.Options&options[k] != 0 && f.mayWatch(k, i.key, m.Mode != wire.InterestCurrent)
	}
	i.combined = m.Restricted && m.Options&wire.InterestAggregate != 0
	r.mu.Lock()
	defer r.mu.Unlock()
	if m.Mode != wire.InterestCurrent && err == nil {
		if err := r.watch(i); err != nil {
			return err
		}
	}
	r.answer(i, m.Mode)
	if current {
		f.say(&wire.Declare{Kind: wire.DeclareFinal, Answer: true, InterestID: m.ID, QoS: wire.QoSDeclare}, wire.QoSDeclare)
	}
	return f.ignoreUnless(err)
}

// ignoreUnless passes over an interest in a key that means nothing.
func (f *face) ignoreUnless(err error) error {
	if err == nil {
		return nil
	}
	return f.ignore(err, "interest")
}

// watch keeps an interest, in place of an older one of that number.
func (r *Router) watch(i *interest) error {
	f := i.face
	if old := f.interests[i.id]; old != nil {
		r.unwatch(old)
	}
	if len(f.interests) >= r.config.Limits.Interests {
		return tooMuch("%d interests", len(f.interests))
	}
	if err := f.spend(i.key.String()); err != nil {
		return err
	}
	f.interests[i.id] = i
	if !i.combined {
		f.plainly[i] = struct{}{}
	}
	for k := range kinds {
		if !i.kinds[k] {
			continue
		}
		if i.combined {
			if f.combined[k] == nil {
				f.combined[k] = map[keyexpr.KeyExpr]int{}
			}
			f.combined[k][i.key]++
		}
		r.watchersOf(k, i.key)[i] = struct{}{}
	}
	return nil
}

// watchersOf gives the interests with a key, which there may be none of yet.
func (r *Router) watchersOf(k kind, key keyexpr.KeyExpr) watchers {
	if key.IsZero() {
		if r.watchAll[k] == nil {
			r.watchAll[k] = watchers{}
		}
		return r.watchAll[k]
	}
	w, ok := r.watched[k].Get(key)
	if !ok {
		w = &watchers{}
		r.watched[k].Set(key, w)
	}
	return *w
}

// unwatch forgets an interest, and silently what the face was told for no other reason.
func (r *Router) unwatch(i *interest) {
	f := i.face
	delete(f.interests, i.id)
	delete(f.plainly, i)
	f.unspend(i.key.String())
	for k := range kinds {
		if !i.kinds[k] {
			continue
		}
		if i.combined {
			if f.combined[k][i.key]--; f.combined[k][i.key] == 0 {
				delete(f.combined[k], i.key)
			}
		}
		r.dropWatcher(k, i)
		r.forgetTold(i, k)
	}
}

func (r *Router) dropWatcher(k kind, i *interest) {
	w := r.watchersOf(k, i.key)
	delete(w, i)
	if len(w) == 0 && !i.key.IsZero() {
		r.watched[k].Delete(i.key)
	}
}

// forgetTold forgets what a face was told because of an interest that is gone, and of no other.
func (r *Router) forgetTold(i *interest, k kind) {
	f := i.face
	forget := func(key keyexpr.KeyExpr) {
		if !f.wants(k, key) {
			delete(f.told[k], key)
		}
	}
	if i.combined {
		if forget(i.key); f.told[k][i.key] != nil {
			r.settle(f, k, i.key) // another interest covers the key, but perhaps nobody declared exactly it
		}
		return
	}
	for key := range f.told[k] {
		if i.key.IsZero() || i.key.Intersects(key) {
			forget(key)
		}
	}
}

// wants tells whether some interest of a face is about entities with a key.
func (f *face) wants(k kind, key keyexpr.KeyExpr) bool {
	if f.combined[k][key] > 0 {
		return true
	}
	for i := range f.plainly {
		if i.kinds[k] && (i.key.IsZero() || i.key.Intersects(key)) {
			return true
		}
	}
	return false
}

// forgetInterests is for a face that has ended.
func (r *Router) forgetInterests(f *face) {
	for _, i := range f.interests {
		for k := range kinds {
			if i.kinds[k] {
				r.dropWatcher(k, i)
			}
		}
	}
	f.interests, f.plainly = map[uint32]*interest{}, watchers{}
	f.told = [kinds]map[keyexpr.KeyExpr]*notice{}
}

// answer tells what is there now, or takes note of it for an interest in changes alone.
func (r *Router) answer(i *interest, mode wire.InterestMode) {
	for k := range kinds {
		if !i.kinds[k] {
			continue
		}
		if i.combined {
			if info, there := r.found(i.face, k, i.key, true); there {
				i.face.answer(k, i.key, info, i.id, mode)
			}
			continue
		}
		r.intersecting(k, i.key, func(e *entity) {
			info, there := e.seenBy(i.face, k)
			if there && i.face.combined[k][e.key] > 0 { // it is told of this key as what it is in an answer to both interests
				info, there = r.found(i.face, k, e.key, true)
			}
			if there {
				i.face.answer(k, e.key, info, i.id, mode)
			}
		})
	}
}

// intersecting visits all entities that intersect a key, or all of them.
func (r *Router) intersecting(k kind, key keyexpr.KeyExpr, visit func(*entity)) {
	all := r.declared[k].All()
	if !key.IsZero() {
		all = r.declared[k].Intersecting(key)
	}
	for _, e := range all {
		visit(e)
	}
}

// answer tells the face of one key for an interest of that mode and number.
func (f *face) answer(k kind, key keyexpr.KeyExpr, info wire.QueryableInfo, interest uint32, mode wire.InterestMode) {
	if !f.mayHear(k, key) {
		return
	}
	n := f.told[k][key]
	if mode == wire.InterestFuture {
		if n == nil {
			f.note(k, key, &notice{id: f.newID(), info: info, silent: true})
		}
		return
	}
	if n == nil {
		n = &notice{id: f.newID()}
		if mode == wire.InterestCurrentFuture {
			f.note(k, key, n)
		}
	}
	if mode == wire.InterestCurrentFuture {
		n.silent, n.info = false, info
	}
	m := &wire.Declare{Kind: declares[k], Answer: true, InterestID: interest, ID: n.id, Key: fullKey(key), Queryable: info, QoS: wire.QoSDeclare}
	f.say(m, wire.QoSDeclare)
}

func (f *face) note(k kind, key keyexpr.KeyExpr, n *notice) {
	if f.told[k] == nil {
		f.told[k] = map[keyexpr.KeyExpr]*notice{}
	}
	f.told[k][key] = n
}

// notify tells every face that is interested in a key whose entities changed.
func (r *Router) notify(k kind, key keyexpr.KeyExpr) {
	tell := func(w watchers) {
		for i := range w {
			if i.combined {
				r.settle(i.face, k, i.key)
			} else {
				r.settle(i.face, k, key)
			}
		}
	}
	tell(r.watchAll[k])
	for _, w := range r.watched[k].Intersecting(key) {
		tell(*w)
	}
}

// settle brings what an interested face was told of a key in line with what is there.
func (r *Router) settle(f *face, k kind, key keyexpr.KeyExpr) {
	info, there := r.found(f, k, key, f.combined[k][key] > 0)
	there = there && f.mayHear(k, key)
	n := f.told[k][key]
	switch {
	case there && n == nil:
		n = &notice{id: f.newID(), info: info}
		f.note(k, key, n)
	case there && n.info != info && !n.silent:
		n.info = info
	case !there && n != nil:
		delete(f.told[k], key)
		f.sayUndeclare(k, key, n)
		return
	default:
		return
	}
	f.say(&wire.Declare{Kind: declares[k], ID: n.id, Key: fullKey(key), Queryable: info, QoS: wire.QoSDeclare}, wire.QoSDeclare)
}

// sayUndeclare takes back what a face was told. Of a token that it was never told of it hears, with the key, only if it is one of those that
// understand it: zenoh-pico, which never offers QoS, would close its session.
func (f *face) sayUndeclare(k kind, key keyexpr.KeyExpr, n *notice) {
	m := &wire.Declare{Kind: undeclares[k], ID: n.id, QoS: wire.QoSDeclare}
	if n.silent {
		if k != tokens || !f.peer.QoS {
			return
		}
		m.Key = fullKey(key)
	}
	f.say(m, wire.QoSDeclare)
}

// found tells what a face that is interested in a key may know of it: entities with that key, or, for an aggregate interest, any that intersect.
func (r *Router) found(f *face, k kind, key keyexpr.KeyExpr, combined bool) (info wire.QueryableInfo, there bool) {
	if !combined {
		if e, ok := r.declared[k].Get(key); ok {
			return e.seenBy(f, k)
		}
		return info, false
	}
	for _, e := range r.declared[k].Intersecting(key) {
		one, seen := e.seenBy(f, k)
		if !seen {
			continue
		}
		one.Complete = one.Complete && e.key.Includes(key)
		if info, there = join(info, one, there), true; k != queryables {
			break
		}
	}
	return info, there
}

// seenBy tells whether somebody whom a face can reach declared the entity, and the information of all of these together.
func (e *entity) seenBy(f *face, k kind) (info wire.QueryableInfo, there bool) {
	for i := range e.by {
		d := &e.by[i]
		if !reaches(d.face, f) || k == tokens && e.echoes(d.face) {
			continue
		}
		if info, there = join(info, d.info, there), true; k != queryables {
			break
		}
	}
	return info, there
}

// echoes tells whether a token that a face tells of may be one that it was told by this router: native routers send it back. While it is declared
// here, that it may be declared there too is no news to anybody.
func (e *entity) echoes(f *face) bool {
	return f.kind == upstream && slices.ContainsFunc(e.by, func(d declarer) bool { return d.face.kind != upstream })
}

// join merges information with what is there already, if anything is.
func join(info, more wire.QueryableInfo, there bool) wire.QueryableInfo {
	if there {
		return merge(info, more)
	}
	return more
}
