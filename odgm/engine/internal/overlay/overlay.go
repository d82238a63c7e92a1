// Package overlay gives an engine.Tx over any engine.Reader: writes are gathered in an ordered tree beside the state that is read.
//
// Guarantee: the state below is never touched; reads see the gathered writes as if they had been made; the writes can be replayed in the
// order of their keys, each key once.
package overlay

import (
	"bytes"

	"github.com/tidwall/btree"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// Tx gathers writes over a Reader.
type Tx struct {
	base   engine.Reader
	writes *btree.BTreeG[write]
	bytes  int // of keys and values put, also of those overwritten since: a bound of the batch
}

var _ engine.Tx = (*Tx)(nil)

// write is the last thing that happened to a key.
type write struct {
	key, value []byte
	deleted    bool
}

// New gives a Tx over base without any writes.
func New(base engine.Reader) *Tx {
	less := func(a, b write) bool { return bytes.Compare(a.key, b.key) < 0 }
	return &Tx{base: base, writes: btree.NewBTreeGOptions(less, btree.Options{NoLocks: true})}
}

// Len gives the number of keys written or deleted.
func (t *Tx) Len() int { return t.writes.Len() }

// Bytes bounds the bytes of the keys and values written.
func (t *Tx) Bytes() int { return t.bytes }

// Replay calls put or del for each key written, in ascending order, and stops at the first error. What it hands out is never changed.
func (t *Tx) Replay(put func(key, value []byte) error, del func(key []byte) error) (err error) {
	t.writes.Scan(func(w write) bool {
		if w.deleted {
			err = del(w.key)
		} else {
			err = put(w.key, w.value)
		}
		return err == nil
	})
	return err
}

// Get gives the own write of key, or what is below.
func (t *Tx) Get(key []byte) (value []byte, found bool, err error) {
	if w, ok := t.writes.Get(write{key: key}); ok {
		return w.value, !w.deleted, nil
	}
	return t.base.Get(key)
}

// Put sets the value of key.
func (t *Tx) Put(key, value []byte) error {
	if err := engine.CheckWrite(key, value, t.bytes); err != nil {
		return err
	}
	t.add(write{key: bytes.Clone(key), value: append([]byte{}, value...)})
	return nil
}

// Delete removes key.
func (t *Tx) Delete(key []byte) error {
	if err := engine.CheckWrite(key, nil, t.bytes); err != nil {
		return err
	}
	t.add(write{key: bytes.Clone(key), deleted: true})
	return nil
}

// DeleteRange removes every key in [from, to), at a cost, in time and memory, of a Delete for each.
func (t *Tx) DeleteRange(from, to []byte) error {
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

// Scan merges the writes made so far with what is below.
func (t *Tx) Scan(from, to []byte, fn func(key, value []byte) (more bool)) error {
	if engine.EmptyRange(from, to) {
		return nil
	}
	if t.writes.Len() == 0 {
		return t.base.Scan(from, to, fn)
	}
	own := t.writes.Copy().Iter() // of a copy, so that fn may write
	defer own.Release()
	left := own.Seek(write{key: from})
	more := true
	// step shows the own write at hand, unless it is a deletion, and moves on.
	step := func() {
		if w := own.Item(); !w.deleted {
			more = fn(w.key, w.value)
		}
		left = left && own.Next()
	}
	err := t.base.Scan(from, to, func(key, value []byte) bool {
		for more && left && bytes.Compare(own.Item().key, key) < 0 {
			step()
		}
		switch {
		case !more:
		case left && bytes.Equal(own.Item().key, key):
			step()
		default:
			more = fn(key, value)
		}
		return more
	})
	for err == nil && more && left && (to == nil || bytes.Compare(own.Item().key, to) < 0) {
		step()
	}
	return err
}

func (t *Tx) add(w write) {
	t.bytes += len(w.key) + len(w.value)
	t.writes.Set(w)
}
