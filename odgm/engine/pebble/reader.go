package pebble

import (
	"bytes"
	"errors"

	"github.com/cockroachdb/pebble/v2"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// reader reads a snapshot, or an indexed batch. It copies what it hands out, since pebble's own slices live only until the next step.
type reader struct{ from pebble.Reader }

// Get gives a copy of the value of key.
func (r reader) Get(key []byte) (value []byte, found bool, err error) {
	data, closer, err := r.from.Get(key)
	if errors.Is(err, pebble.ErrNotFound) {
		return nil, false, nil
	}
	if err != nil {
		return nil, false, err
	}
	value = append([]byte{}, data...)
	if err := closer.Close(); err != nil {
		return nil, false, err
	}
	return value, true, nil
}

// Scan calls fn with copies of each key and value in [from, to).
func (r reader) Scan(from, to []byte, fn func(key, value []byte) (more bool)) (err error) {
	if engine.EmptyRange(from, to) {
		return nil
	}
	if len(from) == 0 {
		from = nil // pebble takes an empty bound for a key
	}
	it, err := r.from.NewIter(&pebble.IterOptions{LowerBound: from, UpperBound: to})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, it.Close()) }()
	var copies arena
	for valid := it.First(); valid; valid = it.Next() {
		value, err := it.ValueAndErr()
		if err != nil {
			return err
		}
		if !fn(copies.add(it.Key()), copies.add(value)) {
			break
		}
	}
	return nil // it.Close gives the error that ended the loop
}

// tx is a reader of an indexed batch that also writes to it.
type tx struct {
	reader
	batch *pebble.Batch
}

var _ engine.Tx = (*tx)(nil)

// Put sets the value of key.
func (t *tx) Put(key, value []byte) error {
	if err := engine.CheckWrite(key, value, t.batch.Len()); err != nil {
		return err
	}
	return t.batch.Set(key, value, nil)
}

// Delete removes key.
func (t *tx) Delete(key []byte) error {
	if err := engine.CheckWrite(key, nil, t.batch.Len()); err != nil {
		return err
	}
	return t.batch.Delete(key, nil)
}

// DeleteRange removes every key in [from, to) with one record, whatever their number.
func (t *tx) DeleteRange(from, to []byte) error {
	if to == nil {
		last, err := t.last()
		if err != nil || last == nil {
			return err
		}
		to = append(last, 0) // the key after the last
	}
	if len(from) == 0 {
		from = []byte{0} // the first key that there can be
	}
	if engine.EmptyRange(from, to) {
		return nil
	}
	return t.batch.DeleteRange(from, to, nil)
}

// last gives the last key, or nil if there is none.
func (t *tx) last() (key []byte, err error) {
	it, err := t.batch.NewIter(nil)
	if err != nil {
		return nil, err
	}
	if it.Last() {
		key = bytes.Clone(it.Key())
	}
	return key, it.Close()
}

// The sizes of an arena's blocks.
const (
	firstBlock = 512
	lastBlock  = 64 << 10
)

// arena copies many small slices with few allocations. Copies that nobody refers to any more are freed by the block.
type arena struct {
	block []byte
	size  int // of the last block
}

func (a *arena) add(data []byte) []byte {
	if len(data) > cap(a.block)-len(a.block) {
		a.size = min(max(firstBlock, 2*a.size), lastBlock)
		a.block = make([]byte, 0, max(a.size, len(data)))
	}
	start := len(a.block)
	a.block = append(a.block, data...)
	return a.block[start:len(a.block):len(a.block)]
}
