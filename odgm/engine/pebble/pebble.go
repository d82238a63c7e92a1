// Package pebble is the storage engine over pebble, an LSM tree: the fastest small synced commits, and data that may be larger than memory.
//
// Guarantee: the contract of engine.Engine, durable. pebble shows a batch to new readers before its log record is synced; so here Views
// share one snapshot, which is taken when a batch is synced and serves until the next one is.
//
// Engines are small when idle, as a process may have many: memtables grow on demand to 4 MiB, and one block cache serves all of them.
package pebble

import (
	"errors"
	"fmt"
	"log/slog"
	"sync"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/bloom"
	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/engine/internal/keeper"
)

const (
	// cacheSize is the size of the block cache that all engines of the process share.
	cacheSize = 8 << 20

	// memTableSize bounds a memtable; pebble starts with a smaller one and doubles. Two may exist at a time.
	memTableSize = 4 << 20

	// openFiles bounds the tables that an engine keeps open.
	openFiles = 64

	// filterBits is the size of the bloom filters that spare lookups of absent keys, in bits a key: 1 % false positives.
	filterBits = 10

	// baseSize is the size that the first level below L0 is allowed.
	baseSize = 16 << 20
)

// sharedCache is made when the first engine is opened, and kept for the life of the process.
var sharedCache = sync.OnceValue(func() *pebble.Cache { return pebble.NewCache(cacheSize) })

// Engine is an ordered map in the files of a folder.
type Engine struct {
	db   *pebble.DB
	keep *keeper.Keeper[*pebble.Snapshot]
	dir  string

	// stuck is set when pebble panicked in a commit: it may hold its own locks for good. Guarded by keep's writer, and by Close being last.
	stuck bool
}

var _ engine.Engine = (*Engine)(nil)

// Open opens the engine in the folder dir, which is made if there is none. A folder can be open once at a time. What pebble says of its
// work goes to log at debug level, its errors at error level.
//
// Where pebble cannot make its next log file, or keep its list of files (a disk that fails while it flushes or compacts in the background), it
// ends the process, which nothing here can prevent; the next start recovers everything that was acknowledged.
func Open(dir string, log *slog.Logger) (*Engine, error) { return open(dir, log, vfs.Default) }

func open(dir string, log *slog.Logger, files vfs.FS) (*Engine, error) {
	db, err := pebble.Open(dir, options(&logger{log: log.With("engine", "pebble", "dir", dir)}, files))
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", dir, err)
	}
	return &Engine{db: db, dir: dir, keep: keeper.New(db.NewSnapshot(), (*pebble.Snapshot).Close)}, nil
}

func options(log *logger, files vfs.FS) *pebble.Options {
	opts := &pebble.Options{
		FS:                 files,
		Cache:              sharedCache(),
		MemTableSize:       memTableSize,
		MaxOpenFiles:       openFiles,
		LBaseMaxBytes:      baseSize,
		FormatMajorVersion: pebble.FormatNewest,
		Logger:             log,
	}
	opts.Experimental.FileCacheShards = 1
	for i := range opts.Levels {
		opts.Levels[i].FilterPolicy = bloom.FilterPolicy(filterBits)
	}
	events := pebble.MakeLoggingEventListener(log)
	opts.EventListener = &events
	return opts
}

// View runs fn on the newest synced state.
func (e *Engine) View(fn func(engine.Reader) error) error {
	return e.keep.View(func(s *pebble.Snapshot) error { return fn(reader{s}) })
}

// Update runs fn on an indexed batch, and logs and syncs that.
func (e *Engine) Update(fn func(engine.Tx) error) (err error) {
	var batch *pebble.Batch
	committing := false // from then on commit sees to the batch
	defer func() {
		if batch != nil && !committing {
			err = errors.Join(err, batch.Close())
		}
	}()
	return e.keep.Update(func(*pebble.Snapshot) (bool, error) {
		batch = e.db.NewIndexedBatch()
		err := fn(&tx{reader: reader{batch}, batch: batch})
		return !batch.Empty(), err
	}, func() (*pebble.Snapshot, error) {
		committing = true
		return e.commit(batch)
	})
}

// Size gives the bytes of all files, an estimate for those that are being written.
func (e *Engine) Size() (size int64, err error) {
	err = e.keep.View(func(*pebble.Snapshot) error {
		m := e.db.Metrics()
		// Of the log that is being written, DiskSpaceUsage only has what its file had when it was opened.
		size = int64(m.DiskSpaceUsage() - m.WAL.PhysicalSize + max(m.WAL.PhysicalSize, m.WAL.Size))
		return nil
	})
	return size, err
}

// Close waits for running Views and Updates, and closes the files.
func (e *Engine) Close() error {
	err := e.keep.Close()
	if errors.Is(err, engine.ErrClosed) {
		return err
	}
	if e.stuck {
		return errors.Join(err, fmt.Errorf("close %s: its files stay open until the process ends, as pebble broke down in a commit", e.dir))
	}
	if dbErr := e.db.Close(); dbErr != nil {
		err = errors.Join(err, fmt.Errorf("close %s: %w", e.dir, dbErr))
	}
	return err
}

// commit logs, applies and syncs a batch and gives the state after it. The two steps are those of pebble's Commit, which would end the process
// if the sync fails; and where pebble panics, that is an error here too.
func (e *Engine) commit(batch *pebble.Batch) (next *pebble.Snapshot, err error) {
	defer func() {
		if cause := recover(); cause != nil {
			e.stuck = true
			err = fmt.Errorf("pebble broke down: %v", cause)
		}
	}()
	if err := e.db.ApplyNoSyncWait(batch, pebble.Sync); err != nil {
		return nil, fmt.Errorf("apply: %w", err)
	}
	if err := batch.SyncWait(); err != nil {
		return nil, fmt.Errorf("sync the log: %w", err)
	}
	if err := batch.Close(); err != nil {
		return nil, fmt.Errorf("close the batch: %w", err)
	}
	return e.db.NewSnapshot(), nil
}
