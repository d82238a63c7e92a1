package pm

import (
	"context"
	"errors"
)

// Store keeps records under keys. Implementations are safe for concurrent use, and pass the contract in store_test.go.
type Store interface {
	// Get gives the record of a key; its Revision is 0 when there is none.
	Get(ctx context.Context, key string) (Record, error)
	// List gives the records whose keys begin with prefix, sorted by key, as they were at one moment.
	List(ctx context.Context, prefix string) ([]Record, error)
	// Write makes all changes, or none. It gives ErrConflict when an expectation does not hold. When it gives nil, the changes survive a crash, as
	// far as the store survives one at all.
	Write(ctx context.Context, changes ...Change) error
	Close() error
}

// Record is a value with its key.
type Record struct {
	Key   string
	Value []byte
	// Revision is another one after each write of the key, also after it was deleted and written again; 0 is no record.
	Revision uint64
}

// Change sets or deletes a record.
type Change struct {
	Key string
	// Value is nil to delete; deleting what is not there is no error.
	Value []byte
	// Expect is the revision that the record must have, if not nil; 0 is that there is none.
	Expect *uint64
}

// ErrConflict is what Write gives when a record has another revision than was expected.
var ErrConflict = errors.New("the record was changed meanwhile")

// Keys of the records. Names hold no slash, so a name's records are the range of its prefix.
const (
	packagePrefix    = "packages/"
	versionPrefix    = "versions/"
	deploymentPrefix = "deployments/"
	artifactPrefix   = "artifacts/"
)
