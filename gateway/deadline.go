package gateway

import (
	"context"
	"sync/atomic"
	"time"
)

// deadline is a context that ends at a time, like that of context.WithDeadline, but whose timer is made only when somebody waits for the
// end. Most reads never wait, and so never pay for one.
type deadline struct {
	context.Context
	at    time.Time
	timed atomic.Pointer[timedContext]
}

type timedContext struct {
	ctx    context.Context
	cancel context.CancelFunc
}

// Deadline gives the time at which the context ends.
func (d *deadline) Deadline() (time.Time, bool) {
	if parent, ok := d.Context.Deadline(); ok && parent.Before(d.at) {
		return parent, true
	}
	return d.at, true
}

// Done starts the timer.
func (d *deadline) Done() <-chan struct{} {
	if t := d.timed.Load(); t != nil {
		return t.ctx.Done()
	}
	ctx, cancel := context.WithDeadline(d.Context, d.at)
	t := &timedContext{ctx: ctx, cancel: cancel}
	if !d.timed.CompareAndSwap(nil, t) {
		cancel()
		t = d.timed.Load()
	}
	return t.ctx.Done()
}

// Err says why the context has ended.
func (d *deadline) Err() error {
	if t := d.timed.Load(); t != nil {
		return t.ctx.Err()
	}
	if err := d.Context.Err(); err != nil {
		return err
	}
	if !time.Now().Before(d.at) {
		return context.DeadlineExceeded
	}
	return nil
}

// Value asks the timed context once there is one: package context finds its own there, and needs no goroutine for contexts made from this.
func (d *deadline) Value(key any) any {
	if t := d.timed.Load(); t != nil {
		return t.ctx.Value(key)
	}
	return d.Context.Value(key)
}

// release stops the timer, if there is one.
func (d *deadline) release() {
	if t := d.timed.Load(); t != nil {
		t.cancel()
	}
}
