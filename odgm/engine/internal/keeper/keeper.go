// Package keeper holds the newest durable state of an engine for its readers, and lets one writer at a time replace it.
//
// Guarantee: a reader gets a state that was complete on disk before anyone could see it, and keeps it unchanged for as long as it reads;
// a state is released when it has been replaced and its last reader is done; after a failed commit no writer gets through any more;
// Close waits for everybody. A panic in a function that is handed in leaves no lock and no reference behind.
package keeper

import (
	"errors"
	"fmt"
	"sync"

	"github.com/hpcclab/oaas-go/odgm/engine"
)

// errInterrupted stands for a commit that ended in a panic.
var errInterrupted = errors.New("commit was interrupted by a panic")

// Keeper keeps states of type S, such as a tree, a snapshot or a read transaction.
//
// Locks: writer is taken before mu, and mu is never held while a function that was handed in runs.
type Keeper[S any] struct {
	free   func(S) error
	writer sync.Mutex // held by the running Update

	mu      sync.Mutex // guards all below
	changed sync.Cond  // signals a change of current, active or failure
	current *handle[S] // what new readers get; nil while withdrawn
	active  int        // running Views and Updates
	closed  bool
	failure error // why there can be no further commit
	freeErr error // first error of free, for Close
}

// handle counts the users of a state; being current is one use.
type handle[S any] struct {
	state S
	users int
}

// New keeps first, and later its successors, and calls free once for each that is no longer used.
func New[S any](first S, free func(S) error) *Keeper[S] {
	k := &Keeper[S]{free: free, current: &handle[S]{first, 1}}
	k.changed.L = &k.mu
	return k
}

// View runs fn on the current state.
func (k *Keeper[S]) View(fn func(S) error) error {
	if err := k.enter(); err != nil {
		return err
	}
	defer k.leave()
	return k.read(fn)
}

// Update runs fn on the current state, alone among Updates, and, if fn says that it changed something, commit, whose result becomes the
// current state. An error or a panic of commit is final: this and every later Update gets an engine.ErrFailed that wraps the cause.
func (k *Keeper[S]) Update(fn func(S) (changed bool, err error), commit func() (S, error)) error {
	if err := k.enter(); err != nil {
		return err
	}
	defer k.leave()
	k.writer.Lock()
	defer k.writer.Unlock()
	if err := k.failed(); err != nil {
		return err
	}
	var changed bool
	err := k.read(func(state S) (err error) {
		changed, err = fn(state)
		return err
	})
	if err != nil || !changed {
		return err
	}
	return k.commit(commit)
}

// Withdraw gives up the current state, so that readers who come now wait for the next one. It is for a commit that cannot run while the
// state is kept; readers who have the state keep it.
func (k *Keeper[S]) Withdraw() { k.swap(nil) }

// Close waits for running Views and Updates, and frees the current state. Its error is the first one that freeing a state met.
func (k *Keeper[S]) Close() error {
	k.mu.Lock()
	if k.closed {
		k.mu.Unlock()
		return engine.ErrClosed
	}
	k.closed = true
	for k.active > 0 {
		k.changed.Wait()
	}
	k.mu.Unlock()
	k.swap(nil)
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.freeErr
}

func (k *Keeper[S]) enter() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.closed {
		return engine.ErrClosed
	}
	k.active++
	return nil
}

func (k *Keeper[S]) leave() {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.active--; k.active == 0 && k.closed {
		k.changed.Broadcast()
	}
}

// read runs fn on the current state and holds that state meanwhile.
func (k *Keeper[S]) read(fn func(S) error) error {
	k.mu.Lock()
	for k.current == nil && k.failure == nil {
		k.changed.Wait()
	}
	h := k.current
	if h == nil {
		k.mu.Unlock()
		return k.failed()
	}
	h.users++
	k.mu.Unlock()
	defer k.drop(h)
	return fn(h.state)
}

func (k *Keeper[S]) commit(commit func() (S, error)) error {
	cause := errInterrupted // unless commit returns
	defer func() {
		if cause != nil {
			k.mu.Lock()
			k.failure = cause
			k.mu.Unlock()
			k.changed.Broadcast()
		}
	}()
	var next S
	if next, cause = commit(); cause != nil {
		return failed(cause)
	}
	k.swap(&handle[S]{next, 1})
	return nil
}

func (k *Keeper[S]) failed() error {
	k.mu.Lock()
	defer k.mu.Unlock()
	if k.failure == nil {
		return nil
	}
	return failed(k.failure)
}

func failed(cause error) error { return fmt.Errorf("%w: %w", engine.ErrFailed, cause) }

// swap makes next current, or none if it is nil.
func (k *Keeper[S]) swap(next *handle[S]) {
	k.mu.Lock()
	old := k.current
	k.current = next
	k.mu.Unlock()
	k.changed.Broadcast()
	if old != nil {
		k.drop(old)
	}
}

// drop ends one use of h, and frees its state if it was the last.
func (k *Keeper[S]) drop(h *handle[S]) {
	k.mu.Lock()
	h.users--
	last := h.users == 0
	k.mu.Unlock()
	if !last {
		return
	}
	if err := k.free(h.state); err != nil {
		k.mu.Lock()
		defer k.mu.Unlock()
		if k.freeErr == nil {
			k.freeErr = fmt.Errorf("release a snapshot: %w", err)
		}
	}
}
