package oaas

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
)

// contextOf gives the context of a call. It ends at the deadline of the call, or with the request.
func contextOf(r *http.Request, meta *function.Meta) (context.Context, context.CancelFunc) {
	if meta.Deadline.IsZero() {
		return r.Context(), func() {}
	}
	d := &deadline{request: r.Context(), at: meta.Deadline}
	return d, d.release
}

// deadline is a context that makes its timer when somebody looks whether it has ended: most methods are done before they would.
type deadline struct {
	request context.Context
	at      time.Time

	mutex  sync.Mutex
	timed  context.Context // nil until somebody looks
	cancel context.CancelFunc
	over   bool
}

var _ context.Context = (*deadline)(nil)

func (d *deadline) context() context.Context {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	if d.timed == nil {
		d.timed, d.cancel = context.WithDeadline(d.request, d.at)
		if d.over {
			d.cancel()
		}
	}
	return d.timed
}

// release ends the context, also for those who look later.
func (d *deadline) release() {
	d.mutex.Lock()
	defer d.mutex.Unlock()
	d.over = true
	if d.cancel != nil {
		d.cancel()
	}
}

// Deadline gives the earlier one of the call's and the request's.
func (d *deadline) Deadline() (time.Time, bool) {
	if at, ok := d.request.Deadline(); ok && at.Before(d.at) {
		return at, true
	}
	return d.at, true
}

func (d *deadline) Done() <-chan struct{} { return d.context().Done() }

func (d *deadline) Err() error { return d.context().Err() }

func (d *deadline) Value(key any) any { return d.context().Value(key) }
