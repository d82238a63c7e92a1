package zenoh

import (
	"iter"
	"slices"

	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
)

// entities are things that are declared under key expressions, found by number and by what intersects. The zero value is empty.
type entities[V interface {
	comparable
	entity() (id uint32, key KeyExpr)
}] struct {
	byID map[uint32]V
	tree keyexpr.Tree[[]V]
}

func (e *entities[V]) add(v V) {
	id, key := v.entity()
	if e.byID == nil {
		e.byID = make(map[uint32]V)
	}
	e.byID[id] = v
	list, _ := e.tree.Get(key)
	e.tree.Set(key, append(slices.Clone(list), v)) // readers may hold the old one
}

// remove tells whether it was there.
func (e *entities[V]) remove(v V) bool {
	id, key := v.entity()
	if e.byID[id] != v {
		return false
	}
	delete(e.byID, id)
	list, _ := e.tree.Get(key)
	list = slices.DeleteFunc(slices.Clone(list), func(other V) bool { return other == v })
	if len(list) == 0 {
		e.tree.Delete(key)
	} else {
		e.tree.Set(key, list)
	}
	return true
}

// matching ranges over those whose key intersects.
func (e *entities[V]) matching(key KeyExpr) iter.Seq[V] {
	return func(yield func(V) bool) {
		if len(e.byID) == 0 {
			return
		}
		for _, list := range e.tree.Intersecting(key) {
			for _, v := range list {
				if !yield(v) {
					return
				}
			}
		}
	}
}

// any tells whether there is one whose key intersects.
func (e *entities[V]) any(key KeyExpr) bool {
	for range e.matching(key) {
		return true
	}
	return false
}
