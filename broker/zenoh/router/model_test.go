package router

import (
	"context"
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// modelFace is a session in a plain model of the router, and what its side of the real one heard.
type modelFace struct {
	t         *testing.T
	face      *face
	entities  [kinds]map[uint32]modelEntity
	interests map[uint32]modelInterest
	known     [kinds]map[uint32]modelEntity // by what the router declared
	pushes    []string
	requests  []uint32
	finals    map[uint32]int
}

type modelEntity struct {
	key      string
	complete bool
}

type modelInterest struct {
	kinds    [kinds]bool
	key      string // empty is every key
	combined bool
}

// Send implements sender.
func (f *modelFace) Send(_ context.Context, m wire.Network, _ transport.Delivery) error {
	switch m := m.(type) {
	case *wire.Push:
		f.pushes = append(f.pushes, string(m.Key.Suffix))
	case *wire.Request:
		f.requests = append(f.requests, m.ID)
	case *wire.ResponseFinal:
		f.finals[m.ID]++
	case *wire.Declare:
		f.learn(m)
	}
	return nil
}

func (f *modelFace) Abort(wire.CloseReason) { f.t.Error("session aborted") }

func (f *modelFace) learn(m *wire.Declare) {
	if k := slices.Index(declares[:], m.Kind); k >= 0 {
		e := modelEntity{string(m.Key.Suffix), m.Queryable.Complete}
		if old, twice := f.known[k][m.ID]; twice && old.key != e.key {
			f.t.Errorf("%s %d was %s and is %s", kind(k), m.ID, old.key, e.key)
		}
		f.known[k][m.ID] = e
	} else if k := slices.Index(undeclares[:], m.Kind); k >= 0 {
		if _, known := f.known[k][m.ID]; !known {
			f.t.Errorf("%s %d was never declared, or is gone already", kind(k), m.ID)
		}
		delete(f.known[k], m.ID)
	}
}

func newModelFace(t *testing.T, r *Router) *modelFace {
	f := &modelFace{t: t, interests: map[uint32]modelInterest{}, finals: map[uint32]int{}}
	for k := range kinds {
		f.entities[k], f.known[k] = map[uint32]modelEntity{}, map[uint32]modelEntity{}
	}
	f.face = newFace(r, session, transport.Peer{ZID: wire.NewZID(), WhatAmI: wire.Client, QoS: true}, f)
	r.add(f.face)
	return f
}

func meets(a, b string) bool {
	x, errX := keyexpr.New(a)
	y, errY := keyexpr.New(b)
	return errX == nil && errY == nil && x.Intersects(y)
}

func covers(a, b string) bool {
	x, errX := keyexpr.New(a)
	y, errY := keyexpr.New(b)
	return errX == nil && errY == nil && x.Includes(y)
}

// expected gives, by the plain rules, the keys that a face should know of, with whether a queryable is complete.
func expected(all []*modelFace, f *modelFace, k kind) map[string]bool {
	want := map[string]bool{}
	for _, i := range f.interests {
		for _, g := range all {
			if g == f || !i.kinds[k] {
				continue
			}
			for _, e := range g.entities[k] {
				switch {
				case i.key != "" && !meets(i.key, e.key):
				case i.combined:
					want[i.key] = want[i.key] || e.complete && covers(e.key, i.key)
				default:
					want[e.key] = want[e.key] || e.complete
				}
			}
		}
	}
	return want
}

func (f *modelFace) check(all []*modelFace) {
	f.t.Helper()
	for k := range kinds {
		got := map[string]bool{}
		for _, e := range f.known[k] {
			if _, twice := got[e.key]; twice {
				f.t.Fatalf("%s %s is known twice", k, e.key)
			}
			got[e.key] = e.complete
		}
		if want := expected(all, f, k); !maps.Equal(got, want) {
			f.t.Fatalf("%s: face knows %v, want %v (interests %v)", k, got, want, f.interests)
		}
	}
}

var modelKeys = []string{"a", "a/b", "a/*", "a/**", "*/b", "**", "a/b/c", "a/$*b", "@x/a", "@x/**", "b", "a/*/c"}

func TestModel(t *testing.T) {
	for seed := range uint64(60) {
		t.Run(fmt.Sprint("seed=", seed), func(t *testing.T) { modelHistory(t, seed, 400) })
	}
}

func FuzzModel(f *testing.F) {
	f.Add(uint64(1))
	f.Fuzz(func(t *testing.T, seed uint64) { modelHistory(t, seed, 300) })
}

func modelHistory(t *testing.T, seed uint64, steps int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	config, err := Config{}.withDefaults()
	if err != nil {
		t.Fatal(err)
	}
	r := newRouter(config)
	all := []*modelFace{newModelFace(t, r), newModelFace(t, r), newModelFace(t, r), newModelFace(t, r)}
	for range steps {
		n := rng.IntN(len(all))
		if f := all[n]; rng.IntN(40) == 0 {
			r.remove(f.face)
			all[n] = newModelFace(t, r)
		} else {
			f.step(rng, all)
		}
		for _, f := range all {
			f.check(all)
		}
	}
	for _, f := range all {
		r.remove(f.face)
	}
	s := r.Statistics()
	if s.Subscribers+s.Queryables+s.Tokens+s.Sessions+s.Pending != 0 {
		t.Errorf("left over: %+v", s)
	}
	for k := range kinds {
		if r.watched[k].Len()+len(r.watchAll[k]) != 0 {
			t.Errorf("interests in a %s are left over", k)
		}
	}
}

// step does something at random, both in the model and in the router.
func (f *modelFace) step(rng *rand.Rand, all []*modelFace) {
	key := modelKeys[rng.IntN(len(modelKeys))]
	id := uint32(rng.IntN(8) + 1)
	k := kind(rng.IntN(int(kinds)))
	switch rng.IntN(8) {
	case 0, 1:
		e := modelEntity{key, k == queryables && rng.IntN(2) == 0}
		m := declareOf(declares[k], id, key)
		m.Queryable.Complete = e.complete
		f.handle(m)
		if old, there := f.entities[k][id]; !there || old.key == key {
			f.entities[k][id] = e
		}
	case 2, 3:
		f.handle(undeclare(undeclares[k], id))
		delete(f.entities[k], id)
	case 4:
		f.stepInterest(rng, id, key)
	case 5:
		f.handle(&wire.Interest{ID: id, Mode: wire.InterestFinal})
		delete(f.interests, id)
		f.forget()
	case 6:
		f.stepPush(all, key)
	case 7:
		f.stepQuery(rng, all, key)
	}
}

func (f *modelFace) handle(m wire.Network) {
	if err := f.face.handle(m); err != nil {
		f.t.Fatal(err)
	}
}

// stepInterest asks with one of four shapes, in each of which the answer to the current ones keeps the two sides in step.
func (f *modelFace) stepInterest(rng *rand.Rand, id uint32, key string) {
	i := modelInterest{key: key}
	var opts wire.InterestOptions
	for k := range kinds {
		if i.kinds[k] = rng.IntN(2) == 0; i.kinds[k] {
			opts |= options[k]
		}
	}
	switch rng.IntN(3) {
	case 0:
		i.key = ""
	case 1:
		i.combined = true
		opts |= wire.InterestAggregate
	}
	delete(f.interests, id) // an older one is replaced
	f.forget()
	m := interestIn(id, wire.InterestCurrentFuture, opts, i.key)
	f.interests[id] = i
	f.handle(m)
}

// forget drops what the face knows because of an interest that is gone: nobody takes it back.
func (f *modelFace) forget() {
	for k := range kinds {
		for id, e := range f.known[k] {
			wanted := false
			for _, i := range f.interests {
				wanted = wanted || i.kinds[k] && (i.combined && i.key == e.key || !i.combined && (i.key == "" || meets(i.key, e.key)))
			}
			if !wanted {
				delete(f.known[k], id)
			}
		}
	}
}

func (f *modelFace) stepPush(all []*modelFace, key string) {
	for _, g := range all {
		g.pushes = nil
	}
	f.handle(putOf(key, "x"))
	for _, g := range all {
		wants := false
		for _, e := range g.entities[subscribers] {
			wants = wants || g != f && meets(e.key, key)
		}
		if got := len(g.pushes); wants != (got == 1) || got > 1 {
			f.t.Fatalf("push %s: %d copies, wanted %t", key, got, wants)
		}
	}
}

func (f *modelFace) stepQuery(rng *rand.Rand, all []*modelFace, key string) {
	for _, g := range all {
		g.requests = nil
	}
	target := wire.Target(rng.IntN(3))
	f.finals = map[uint32]int{}
	f.handle(get(77, key, target))
	asked, complete := 0, 0
	for _, g := range all {
		matches, full := false, false
		for _, e := range g.entities[queryables] {
			matches = matches || g != f && meets(e.key, key)
			full = full || g != f && e.complete && covers(e.key, key)
		}
		got := len(g.requests)
		asked += got
		if full {
			complete++
		}
		switch {
		case got > 1:
			f.t.Fatalf("query %s: %d requests to a face", key, got)
		case target == wire.All && matches != (got == 1), target == wire.AllComplete && full != (got == 1):
			f.t.Fatalf("query %s target %d: %d requests, matches %t, complete %t", key, target, got, matches, full)
		case target == wire.BestMatching && got == 1 && !matches:
			f.t.Fatalf("query %s: asked who has nothing", key)
		}
	}
	if target == wire.BestMatching && complete > 0 && asked != 1 {
		f.t.Fatalf("query %s: %d asked, want the best", key, asked)
	}
	for _, g := range all {
		for _, id := range g.requests {
			if f.finals[77] != 0 {
				f.t.Fatal("the final came before all had answered")
			}
			g.handle(final(id))
			g.handle(final(id))
		}
	}
	if f.finals[77] != 1 {
		f.t.Fatalf("query %s: %d finals", key, f.finals[77])
	}
}
