// Package bolt is the storage engine over bbolt, a B+tree in one file: fast reads, little memory, data that is easy to back up.
//
// Guarantee: the contract of engine.Engine, durable. bbolt shows a commit to new transactions as soon as its meta page is written, before
// that page is synced; so here Views share one read transaction, which is opened when a commit is synced and serves until the next one is.
//
// A read transaction keeps bbolt from mapping its file anew, which a growing file needs. The map is therefore made larger than the file will
// get (see mapSize). Where that is not possible (Windows, 32 bits, a file beyond that size), Views that come during a commit wait for it,
// a commit that grows the file waits for running Views, and after a failed commit there are no Views.
package bolt

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"go.etcd.io/bbolt"
	bolterrors "go.etcd.io/bbolt/errors"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/internal/keeper"
	"github.com/hpcclab/oaas-go/odgm/engine/internal/overlay"
)

const (
	// FileName is the name of the file in the folder of an engine.
	FileName = "data.bbolt"

	// draftPrefix starts the names under which files are made.
	draftPrefix = FileName + ".new-"

	// lockTimeout is how long Open waits for another process that has the file open, such as one that is just stopping.
	lockTimeout = 2 * time.Second

	// growth is how far ahead of the data the file grows (without taking space on most file systems), to save syncs of its length.
	growth = 4 << 20
)

// bucketName is the bucket that holds everything.
var bucketName = []byte("data")

// Engine is an ordered map in a bbolt file.
type Engine struct {
	db     *bbolt.DB
	keep   *keeper.Keeper[*snapshot]
	mapped int64 // bytes that the file can grow to without a new map
}

var _ engine.Engine = (*Engine)(nil)

// Open opens the engine in the folder dir, which is made if there is none. A folder can be open once at a time.
func Open(dir string) (*Engine, error) { return open(dir, mapSize, os.OpenFile) }

// openFile is how bbolt opens its file; tests put themselves in between.
type openFile func(name string, flag int, perm os.FileMode) (*os.File, error)

func open(dir string, mapped int64, files openFile) (*Engine, error) {
	path := filepath.Join(dir, FileName)
	if err := create(dir, path); err != nil {
		return nil, fmt.Errorf("create %s: %w", path, err)
	}
	db, err := openDB(path, mapped, files)
	if err != nil && mapped > 0 && !errors.Is(err, bolterrors.ErrTimeout) {
		mapped = 0 // the system may refuse to map so much (ulimit -v)
		db, err = openDB(path, mapped, files)
	}
	if errors.Is(err, bolterrors.ErrTimeout) {
		return nil, fmt.Errorf("open %s: it is open already, perhaps in another process: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	e := &Engine{db: db, mapped: mapped}
	if err := removeDrafts(dir); err != nil {
		return nil, errors.Join(fmt.Errorf("tidy %s: %w", dir, err), db.Close())
	}
	first, err := e.snapshot()
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open %s: %w", path, err), db.Close())
	}
	e.keep = keeper.New(first, (*snapshot).close)
	return e, nil
}

func openDB(path string, mapped int64, files openFile) (*bbolt.DB, error) {
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{
		Timeout:         lockTimeout,
		FreelistType:    bbolt.FreelistMapType,
		InitialMmapSize: int(mapped),
		OpenFile:        files,
		NoStatistics:    true,
	})
	if err != nil {
		return nil, err
	}
	db.AllocSize = growth
	return db, nil
}

// View runs fn on the newest synced state.
func (e *Engine) View(fn func(engine.Reader) error) error {
	return e.keep.View(func(s *snapshot) error { return fn(s) })
}

// Update runs fn over the newest state and then writes what it did in one bbolt transaction, in the order of the keys.
func (e *Engine) Update(fn func(engine.Tx) error) error {
	var writes *overlay.Tx
	return e.keep.Update(func(s *snapshot) (bool, error) {
		writes = overlay.New(s)
		err := fn(writes)
		return writes.Len() > 0, err
	}, func() (*snapshot, error) { return e.commit(writes) })
}

// Size gives the bytes of the pages in use, of data and free ones.
func (e *Engine) Size() (size int64, err error) {
	err = e.keep.View(func(s *snapshot) error {
		size = s.tx.Size()
		return nil
	})
	return size, err
}

// Close waits for running Views and Updates, and closes the file.
func (e *Engine) Close() error {
	err := e.keep.Close()
	if errors.Is(err, engine.ErrClosed) {
		return err
	}
	if dbErr := e.db.Close(); dbErr != nil {
		err = errors.Join(err, fmt.Errorf("close %s: %w", e.db.Path(), dbErr))
	}
	return err
}

// commit writes and syncs a batch and gives the state after it.
func (e *Engine) commit(writes *overlay.Tx) (next *snapshot, err error) {
	tx, err := e.db.Begin(true)
	if err != nil {
		return nil, fmt.Errorf("begin: %w", err)
	}
	// Some failures of Commit, and panics, leave the transaction open, and with it the lock that Close needs.
	defer func() {
		if rollbackErr := tx.Rollback(); rollbackErr != nil && !errors.Is(rollbackErr, bolterrors.ErrTxClosed) {
			err = errors.Join(err, fmt.Errorf("roll back: %w", rollbackErr))
		}
	}()
	if tx.Size()+e.growthBound(tx, writes) > e.mapped {
		e.keep.Withdraw() // else bbolt would wait for the snapshot to be closed, and we for bbolt
	}
	bucket := tx.Bucket(bucketName)
	if err := writes.Replay(bucket.Put, bucket.Delete); err != nil {
		return nil, fmt.Errorf("write: %w", err)
	}
	if err := tx.Commit(); err != nil {
		return nil, fmt.Errorf("commit: %w", err)
	}
	return e.snapshot()
}

// growthBound says how many bytes a commit can add to the file at most. Each write may copy, and split, a page on each level of the tree
// (of which there are never more than 16); values get pages of their own beside that; and the list of free pages is written anew.
func (e *Engine) growthBound(tx *bbolt.Tx, writes *overlay.Tx) int64 {
	page := int64(e.db.Info().PageSize)
	return int64(writes.Len())*32*page + 2*int64(writes.Bytes()) + tx.Size()/256 + 64*page
}

// snapshot opens a read transaction on the state of the last commit. It must not run beside a commit.
func (e *Engine) snapshot() (*snapshot, error) {
	tx, err := e.db.Begin(false)
	if err != nil {
		return nil, fmt.Errorf("begin to read: %w", err)
	}
	bucket := tx.Bucket(bucketName)
	if bucket == nil {
		return nil, errors.Join(fmt.Errorf("there is no bucket %q: not a file of this engine", bucketName), tx.Rollback())
	}
	return &snapshot{tx: tx, bucket: bucket}, nil
}
