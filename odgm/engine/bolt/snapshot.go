package bolt

import (
	"bytes"

	"go.etcd.io/bbolt"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// snapshot is a read transaction that several Views share. bbolt promises no more than one goroutine a transaction; what is used here (Get and
// cursors of one bucket of a read transaction) only reads the map and counts atomically, and the contract test proves it under -race.
type snapshot struct {
	tx     *bbolt.Tx
	bucket *bbolt.Bucket
}

var _ engine.Reader = (*snapshot)(nil)

// Get gives the value of key, without a copy: the map stays as it is until the snapshot is closed.
func (s *snapshot) Get(key []byte) (value []byte, found bool, err error) {
	value = s.bucket.Get(key)
	return value, value != nil, nil
}

// Scan calls fn for each key in [from, to), without copies.
func (s *snapshot) Scan(from, to []byte, fn func(key, value []byte) (more bool)) error {
	cursor := s.bucket.Cursor()
	for key, value := cursor.Seek(from); key != nil; key, value = cursor.Next() {
		if to != nil && bytes.Compare(key, to) >= 0 || !fn(key, value) {
			break
		}
	}
	return nil
}

func (s *snapshot) close() error { return s.tx.Rollback() }
