// Package memory is the storage engine that keeps its data in memory, in a copy-on-write tree.
//
// Guarantee: the contract of engine.Engine, except that nothing outlives the process. An Update works on a clone that costs nothing until
// it is written to, and becomes what Views see when it succeeds. It cannot fail by itself.
package memory

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/internal/keeper"
)

// itemOverhead approximates what the tree and the allocator add to the bytes of an item.
const itemOverhead = 64

// degree makes nodes of at most 31 items. A commit copies the nodes on its way, so small ones spare it more than the deeper tree costs reads.
const degree = 16

// Engine is an ordered map in memory.
type Engine struct {
	keep *keeper.Keeper[*state]
	base *state // what Updates clone; never shown to a View, as cloning a tree writes to it. Guarded by keep's writer.
}

var _ engine.Engine = (*Engine)(nil)

// state is one version of the map.
type state struct {
	tree *btree.BTreeG[item]
	size int64
}

type item struct{ key, value []byte }

func (i item) size() int64 { return int64(len(i.key)+len(i.value)) + itemOverhead }

func (s *state) clone() *state { return &state{tree: s.tree.Copy(), size: s.size} }

// New gives an empty engine.
func New() *Engine {
	less := func(a, b item) bool { return bytes.Compare(a.key, b.key) < 0 }
	base := &state{tree: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true, Degree: degree})}
	return &Engine{base: base, keep: keeper.New(base.clone(), func(*state) error { return nil })}
}

// View runs fn on the newest state.
func (e *Engine) View(fn func(engine.Reader) error) error {
	return e.keep.View(func(s *state) error { return fn(s) })
}

// Update runs fn on a clone of the newest state, which takes its place if fn succeeds.
func (e *Engine) Update(fn func(engine.Tx) error) error {
	var work *tx
	return e.keep.Update(func(*state) (bool, error) {
		work = &tx{state: e.base.clone()}
		err := fn(work)
		return work.changed, err
	}, func() (*state, error) {
		e.base = work.state
		return e.base.clone(), nil
	})
}

// Size gives the bytes of all keys and values, and an estimate of what holds them.
func (e *Engine) Size() (size int64, err error) {
	err = e.keep.View(func(s *state) error {
		size = s.size
		return nil
	})
	return size, err
}

// Close waits for running Views and Updates, and drops the data.
func (e *Engine) Close() error {
	if err := e.keep.Close(); err != nil {
		return err
	}
	e.base = nil
	return nil
}

// Get gives the value of key.
func (s *state) Get(key []byte) (value []byte, found bool, err error) {
	i, found := s.tree.Get(item{key: key})
	return i.value, found, nil
}

// Scan calls fn for each key in [from, to).
func (s *state) Scan(from, to []byte, fn func(key, value []byte) (more bool)) error {
	s.tree.Ascend(item{key: from}, func(i item) bool {
		if to != nil && bytes.Compare(i.key, to) >= 0 {
			return false
		}
		return fn(i.key, i.value)
	})
	return nil
}

// tx writes to a state that nobody else has.
type tx struct {
	*state
	changed bool
	batch   int // bytes written
}

// Scan shows the state as it is now, whatever fn writes.
func (t *tx) Scan(from, to []byte, fn func(key, value []byte) (more bool)) error {
	return t.clone().Scan(from, to, fn)
}

// Put sets the value of key.
func (t *tx) Put(key, value []byte) error {
	if err := engine.CheckWrite(key, value, t.batch); err != nil {
		return err
	}
	t.batch += len(key) + len(value)
	t.changed = true
	added := item{key: bytes.Clone(key), value: append([]byte{}, value...)}
	t.size += added.size()
	if old, replaced := t.tree.Set(added); replaced {
		t.size -= old.size()
	}
	return nil
}

// Delete removes key.
func (t *tx) Delete(key []byte) error {
	if err := engine.CheckWrite(key, nil, t.batch); err != nil {
		return err
	}
	if old, found := t.tree.Delete(item{key: key}); found {
		t.changed = true
		t.size -= old.size()
	}
	return nil
}

// DeleteRange removes every key in [from, to).
func (t *tx) DeleteRange(from, to []byte) error {
	var failed error
	err := t.Scan(from, to, func(key, _ []byte) bool {
		failed = t.Delete(key)
		return failed == nil
	})
	if err != nil {
		return err
	}
	return failed
}
