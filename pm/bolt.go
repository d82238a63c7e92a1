package pm

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"go.etcd.io/bbolt"
)

// Bolt is a Store in one file, for one process. A write is one synced transaction.
type Bolt struct{ db *bbolt.DB }

var _ Store = (*Bolt)(nil)

// boltBucket has all records: eight bytes of revision, then the value.
var boltBucket = []byte("records")

// lockTimeout is how long OpenBolt waits for another process that has the file open.
const lockTimeout = 2 * time.Second

// OpenBolt opens the file, or makes it.
func OpenBolt(path string) (*Bolt, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{Timeout: lockTimeout})
	if err != nil {
		return nil, fmt.Errorf("open package store %s: %w", path, err)
	}
	err = db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(boltBucket)
		return err
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open package store %s: %w", path, err), db.Close())
	}
	return &Bolt{db}, nil
}

// decodeBolt gives the record of a stored value; nil is no record.
func decodeBolt(key, stored []byte) (Record, error) {
	r := Record{Key: string(key)}
	if stored == nil {
		return r, nil
	}
	if len(stored) < 8 {
		return r, fmt.Errorf("record %q has %d bytes: the file is damaged", key, len(stored))
	}
	r.Revision, r.Value = binary.BigEndian.Uint64(stored), bytes.Clone(stored[8:])
	return r, nil
}

// Get implements Store.
func (s *Bolt) Get(_ context.Context, key string) (r Record, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		r, err = decodeBolt([]byte(key), tx.Bucket(boltBucket).Get([]byte(key)))
		return err
	})
	return r, err
}

// List implements Store.
func (s *Bolt) List(ctx context.Context, prefix string) (list []Record, err error) {
	err = s.db.View(func(tx *bbolt.Tx) error {
		cursor := tx.Bucket(boltBucket).Cursor()
		for k, v := cursor.Seek([]byte(prefix)); k != nil && bytes.HasPrefix(k, []byte(prefix)); k, v = cursor.Next() {
			r, err := decodeBolt(k, v)
			if err != nil {
				return err
			}
			list = append(list, r)
		}
		return ctx.Err()
	})
	return list, err
}

// Write implements Store.
func (s *Bolt) Write(_ context.Context, changes ...Change) error {
	return s.db.Update(func(tx *bbolt.Tx) error {
		bucket := tx.Bucket(boltBucket)
		for _, c := range changes {
			r, err := decodeBolt([]byte(c.Key), bucket.Get([]byte(c.Key)))
			if err != nil {
				return err
			}
			if c.Expect != nil && r.Revision != *c.Expect {
				return ErrConflict
			}
		}
		for _, c := range changes {
			if err := put(bucket, c); err != nil {
				return fmt.Errorf("write record %q: %w", c.Key, err)
			}
		}
		return nil
	})
}

func put(bucket *bbolt.Bucket, c Change) error {
	if c.Value == nil {
		return bucket.Delete([]byte(c.Key))
	}
	revision, err := bucket.NextSequence()
	if err != nil {
		return err
	}
	return bucket.Put([]byte(c.Key), append(binary.BigEndian.AppendUint64(nil, revision), c.Value...))
}

// Close implements Store.
func (s *Bolt) Close() error { return s.db.Close() }
