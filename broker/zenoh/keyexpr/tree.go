package keyexpr

import (
	"iter"
	"math/bits"
	"slices"
	"strings"
)

// maxChunks is the number of chunks up to which expressions live in the tree: the places of an expression must be the bits of a word.
const maxChunks = 63

// Tree keeps one value for each key expression, and finds the expressions that a given one intersects. For a key without wildcards in a tree
// without wildcards that is one map lookup a chunk. Expressions of more than 63 chunks are kept and found too, but by comparing them one by
// one, so that nobody can grow the tree by thousands of nodes with one expression.
//
// The zero Tree is empty and ready. A Tree may be read by many goroutines at once while nobody changes it.
type Tree[V any] struct {
	root node[V]
	long map[KeyExpr]V
	len  int
}

// node is one chunk below its parent. A literal chunk matches only itself, so it is found by name; the others are tried one after another.
type node[V any] struct {
	chunk    string
	expr     KeyExpr // zero unless an expression ends here
	value    V
	literals map[string]*node[V]
	wild     []*node[V]
}

// isWild tells whether a chunk matches other chunks than itself.
func isWild(chunk string) bool { return !verbatim(chunk) && strings.IndexByte(chunk, '*') >= 0 }

// Len gives the number of expressions in the tree.
func (t *Tree[V]) Len() int { return t.len }

// Set puts the value of an expression, and tells whether it was new. The tree keeps k: clone it first if it is borrowed. The zero expression
// is ignored.
func (t *Tree[V]) Set(k KeyExpr, v V) bool {
	if k.s == "" {
		return false
	}
	if tooLong(k.s) {
		_, had := t.long[k]
		if t.long == nil {
			t.long = make(map[KeyExpr]V)
		}
		t.long[k] = v
		return t.count(!had)
	}
	n := &t.root
	for i := 0; i < len(k.s); {
		var chunk string
		chunk, i = chunkAt(k.s, i)
		n = n.grow(chunk)
	}
	isNew := n.expr.IsZero()
	n.expr, n.value = k, v
	return t.count(isNew)
}

func (t *Tree[V]) count(isNew bool) bool {
	if isNew {
		t.len++
	}
	return isNew
}

// Get gives the value of exactly this expression.
func (t *Tree[V]) Get(k KeyExpr) (v V, ok bool) {
	if tooLong(k.s) {
		v, ok = t.long[k]
		return v, ok
	}
	n := &t.root
	for i := 0; i < len(k.s) && n != nil; {
		var chunk string
		chunk, i = chunkAt(k.s, i)
		n = n.child(chunk)
	}
	if n == nil || n.expr.IsZero() {
		return v, false
	}
	return n.value, true
}

// Delete removes exactly this expression, gives back the memory that only it needed, and tells whether it was there.
func (t *Tree[V]) Delete(k KeyExpr) bool {
	if tooLong(k.s) {
		_, ok := t.long[k]
		delete(t.long, k)
		return t.uncount(ok)
	}
	var path [maxChunks + 1]*node[V]
	n, depth := &t.root, 0
	for i := 0; i < len(k.s); depth++ {
		path[depth] = n
		var chunk string
		chunk, i = chunkAt(k.s, i)
		if n = n.child(chunk); n == nil {
			return false
		}
	}
	if n.expr.IsZero() {
		return false
	}
	var none V
	n.expr, n.value = KeyExpr{}, none
	for ; depth > 0 && n.isBare(); depth-- {
		path[depth-1].drop(n)
		n = path[depth-1]
	}
	return t.uncount(true)
}

func (t *Tree[V]) uncount(had bool) bool {
	if had {
		t.len--
	}
	return had
}

// All ranges over every expression and its value, in no particular order. The tree must not change meanwhile.
func (t *Tree[V]) All() iter.Seq2[KeyExpr, V] {
	return func(yield func(KeyExpr, V) bool) {
		for k, v := range t.long {
			if !yield(k, v) {
				return
			}
		}
		t.root.all(yield)
	}
}

// Intersecting ranges over every stored expression that intersects k, once each, in no particular order. The tree must not change meanwhile.
func (t *Tree[V]) Intersecting(k KeyExpr) iter.Seq2[KeyExpr, V] {
	return func(yield func(KeyExpr, V) bool) {
		if k.s == "" {
			return
		}
		for stored, v := range t.long {
			if intersects(stored.s, k.s) && !yield(stored, v) {
				return
			}
		}
		if tooLong(k.s) {
			t.root.all(func(stored KeyExpr, v V) bool { return !intersects(stored.s, k.s) || yield(stored, v) })
			return
		}
		var q query
		q.parse(k.s)
		t.root.match(&q, q.closure(1), yield)
	}
}

// tooLong tells whether text has more chunks than the tree takes.
func tooLong(s string) bool { return len(s) >= 2*maxChunks && strings.Count(s, "/") >= maxChunks }

func (n *node[V]) child(chunk string) *node[V] {
	if !isWild(chunk) {
		return n.literals[chunk]
	}
	for _, c := range n.wild {
		if c.chunk == chunk {
			return c
		}
	}
	return nil
}

// grow gives the child of that chunk, which it makes when there is none.
func (n *node[V]) grow(chunk string) *node[V] {
	if c := n.child(chunk); c != nil {
		return c
	}
	c := &node[V]{chunk: strings.Clone(chunk)}
	if isWild(chunk) {
		n.wild = append(n.wild, c)
		return c
	}
	if n.literals == nil {
		n.literals = make(map[string]*node[V], 1)
	}
	n.literals[c.chunk] = c
	return c
}

// drop removes a child.
func (n *node[V]) drop(c *node[V]) {
	if !isWild(c.chunk) {
		delete(n.literals, c.chunk)
		if len(n.literals) == 0 {
			n.literals = nil
		}
		return
	}
	n.wild = slices.DeleteFunc(n.wild, func(w *node[V]) bool { return w == c })
	if len(n.wild) == 0 {
		n.wild = nil
	}
}

// isBare tells whether the node is of no use any more.
func (n *node[V]) isBare() bool { return n.expr.IsZero() && n.literals == nil && n.wild == nil }

func (n *node[V]) all(yield func(KeyExpr, V) bool) bool {
	if !n.expr.IsZero() && !yield(n.expr, n.value) {
		return false
	}
	for _, c := range n.wild {
		if !c.all(yield) {
			return false
		}
	}
	for _, c := range n.literals {
		if !c.all(yield) {
			return false
		}
	}
	return true
}

// match visits each node at most once, with the set of all places of the query that the chunks down to it can stand for.
func (n *node[V]) match(q *query, places uint64, yield func(KeyExpr, V) bool) bool {
	if places&q.end != 0 && !n.expr.IsZero() && !yield(n.expr, n.value) {
		return false
	}
	for _, c := range n.wild {
		if next := q.step(places, c.chunk); next != 0 && !c.match(q, next, yield) {
			return false
		}
	}
	open := places &^ q.end
	if open == 0 || n.literals == nil {
		return true
	}
	if open&q.wild != 0 {
		for _, c := range n.literals {
			if next := q.step(places, c.chunk); next != 0 && !c.match(q, next, yield) {
				return false
			}
		}
		return true
	}
	for rest := open; rest != 0; rest &= rest - 1 {
		chunk := q.chunks[bits.TrailingZeros64(rest)]
		c := n.literals[chunk]
		if c == nil || q.seen(open&^rest, chunk) {
			continue
		}
		if !c.match(q, q.step(places, chunk), yield) {
			return false
		}
	}
	return true
}

// query is an expression taken apart. A set of places has bit i for "before chunk i", and the bit end for "after the last".
type query struct {
	chunks   [maxChunks]string
	end      uint64
	wild     uint64 // chunks that match others than themselves
	deep     uint64 // chunks that are **
	verbatim uint64 // chunks that no wildcard matches
}

func (q *query) parse(s string) {
	q.end = 1
	for i := 0; i < len(s); q.end <<= 1 {
		var chunk string
		chunk, i = chunkAt(s, i)
		q.chunks[bits.TrailingZeros64(q.end)] = chunk
		switch {
		case verbatim(chunk):
			q.verbatim |= q.end
		case chunk == doubleStar:
			q.deep |= q.end
			q.wild |= q.end
		case isWild(chunk):
			q.wild |= q.end
		}
	}
}

// closure adds the places that are reached by letting a ** of the query stand for nothing. Canonical text has no two of them in a row.
func (q *query) closure(places uint64) uint64 { return places | places&q.deep<<1 }

// step gives the places after one more chunk of a stored expression.
func (q *query) step(places uint64, chunk string) (next uint64) {
	if chunk == doubleStar {
		for i := uint64(1); i < q.end; i <<= 1 {
			places |= places & i &^ q.verbatim << 1
		}
		return places
	}
	for rest := places &^ q.end; rest != 0; rest &= rest - 1 {
		i := rest & -rest
		switch {
		case q.deep&i != 0:
			if !verbatim(chunk) {
				next |= i
			}
		case chunkIntersects(chunk, q.chunks[bits.TrailingZeros64(i)]):
			next |= i << 1
		}
	}
	return q.closure(next)
}

// seen tells whether one of the places is before the same chunk.
func (q *query) seen(places uint64, chunk string) bool {
	for ; places != 0; places &= places - 1 {
		if q.chunks[bits.TrailingZeros64(places)] == chunk {
			return true
		}
	}
	return false
}
