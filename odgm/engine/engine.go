// Package engine defines the storage engine of a shard: an ordered map from keys to values with atomic, durable batches.
//
// Guarantee: all engines pass the same contract test (package enginetest), so a shard behaves alike on each of them; what differs is
// speed, memory and whether the data outlives the process.
package engine

import "errors"

// ErrClosed is returned by every method of an engine that has been closed.
var ErrClosed = errors.New("engine is closed")

// ErrFailed is returned by Update from the moment that a commit failed to reach the disk. What the disk holds of that one batch is then
// not known, so the engine takes no more until it is closed and opened again, which finds the batch whole or not at all. Views go on,
// on the last state that is known to be durable, unless the engine had to give that up for the commit; then they get this error, too.
var ErrFailed = errors.New("engine has failed: a commit did not reach the disk; close it and open it again")

// Reader reads a consistent state. Keys are ordered by their bytes. A Reader must not be used after the function that got it returned.
//
// Slices handed out by a Reader are valid, and must not be changed, until the function that got the Reader returns; copy what is kept.
type Reader interface {
	// Get gives the value of key; found is false when there is none. An empty value is a value.
	Get(key []byte) (value []byte, found bool, err error)

	// Scan calls fn for each key in [from, to) in ascending order until fn returns false. A nil to means: to the end.
	// It streams: memory does not grow with the number of keys. An error is that of reading.
	// In a Tx it shows the state, own writes included, as it was when Scan was called; fn may write to that Tx.
	Scan(from, to []byte, fn func(key, value []byte) (more bool)) error
}

// Tx is a Reader that also sees its own writes. Keys and values are copied, so the caller may reuse its slices. A Tx is for one goroutine.
//
// Put and Delete refuse, with a *fault.Error, what [CheckWrite] refuses; such an error changes nothing and the Tx may go on.
type Tx interface {
	Reader
	// Put sets the value of key; a nil value is an empty one.
	Put(key, value []byte) error
	// Delete removes key; it is no error if there is none.
	Delete(key []byte) error
	// DeleteRange removes every key in [from, to). A nil to means: to the end.
	DeleteRange(from, to []byte) error
}

// Engine is an ordered key-value store with one writer at a time and any number of readers.
type Engine interface {
	// View runs fn on the newest durable state: it never shows what a crash could still take back, and it does not change while fn runs.
	// Views never wait for a running Update's fn, and a running View never stops an Update. View returns what fn returns.
	View(fn func(Reader) error) error

	// Update runs fn and commits what it wrote as one atomic batch, which is on disk (synced) when Update returns nil, for an engine that
	// keeps data. If fn fails, nothing of it is ever seen, and its error is returned; a panic of fn passes through, with the same effect.
	// If the commit fails, no View ever sees it, and the engine stays failed: see [ErrFailed]. Calls are serialised.
	//
	// Neither this fn nor that of a View may call Update or Close of the same engine.
	Update(fn func(Tx) error) error

	// Size gives the bytes that the data takes (on disk, or in memory), approximately.
	Size() (int64, error)

	// Close releases everything; it waits for running Views and Updates. Only the first call does it, further ones give ErrClosed.
	Close() error
}
