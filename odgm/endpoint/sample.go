package endpoint

import (
	"context"
	"hash/maphash"
	"runtime/debug"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm/message"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// Lanes are where writes and calls without an answer are done: those of one object in one lane, one after the other.
const (
	laneCount = 16
	laneDepth = 8
)

type lanes struct {
	seed    maphash.Seed
	jobs    [laneCount]chan func()
	closing chan struct{}
}

// start starts the lanes, which are work of the endpoint.
func (l *lanes) start(e *Endpoint) {
	l.seed, l.closing = maphash.MakeSeed(), make(chan struct{})
	for i := range l.jobs {
		jobs := make(chan func(), laneDepth)
		l.jobs[i] = jobs
		e.work.Go(func() { l.work(jobs) })
	}
}

// work does the jobs of a lane until the lanes are closed and it is empty.
func (l *lanes) work(jobs <-chan func()) {
	for {
		select {
		case job := <-jobs:
			job()
			continue
		case <-l.closing:
		}
		select {
		case job := <-jobs:
			job()
		default:
			return
		}
	}
}

// put hands a job to the lane of an object, and waits for room there. After close it does nothing.
func (l *lanes) put(of string, job func()) {
	select {
	case l.jobs[maphash.String(l.seed, of)%laneCount] <- job:
	case <-l.closing:
	}
}

// take is the handler of all subscribers of a class. When a lane is full it waits, and holds up the samples behind this one.
func (c *class) take(s zenoh.Sample) {
	key := keys.Parse(s.KeyExpr().String())
	if key.Kind != keys.Object && key.Kind != keys.InvokeAsync || s.KeyExpr().IsWild() {
		c.e.log.Warn("publication without effect: its key is not that of one object or call", "key", s.KeyExpr())
		return
	}
	c.e.lanes.put(c.name+"\x00"+key.Partition+"\x00"+key.Object, func() { c.do(s, key) })
}

// do does what a sample asks for. Nobody waits for an answer, so that an error can only be logged.
func (c *class) do(s zenoh.Sample, key keys.Key) {
	began := time.Now()
	beside, err := keys.DecodeAttachment(s.Attachment())
	if err != nil {
		beside = nil // it is for somebody else: OaaS-RS does not read it
	}
	operation := "put"
	switch {
	case key.Kind == keys.InvokeAsync:
		operation = operations[key.Kind]
	case s.Kind() == zenoh.SampleKindDelete:
		operation = "delete"
	}
	ctx, cancel := context.WithTimeout(c.e.ctx, c.e.cfg.PutTimeout)
	defer cancel()
	ctx, span := c.e.span(ctx, beside, operation, s.KeyExpr())
	defer func() {
		if p := recover(); p != nil {
			c.e.log.Error("handler panicked", "key", s.KeyExpr(), "panic", p, "stack", string(debug.Stack()))
			err = fault.New(fault.Internal, "panic")
		}
		if err != nil {
			c.e.log.Warn("publication without effect", "key", s.KeyExpr(), "error", err)
		}
		c.e.metrics.done(operation, err, time.Since(began))
		endSpan(span, err)
	}()
	if key.Kind == keys.InvokeAsync {
		err = c.submit(ctx, key, s.Payload(), beside)
		return
	}
	err = c.change(ctx, s, key, beside)
}

// change writes or deletes an object.
func (c *class) change(ctx context.Context, s zenoh.Sample, key keys.Key, beside map[string]string) error {
	t, err := c.target(key)
	if err != nil {
		return err
	}
	opt, err := message.WriteOptions(func(name string) string { return beside[name] })
	if err != nil {
		return err
	}
	if s.Kind() == zenoh.SampleKindDelete {
		_, err = c.e.grid.Delete(ctx, t, object.Expect{}, opt)
		return err
	}
	change, err := written(s.Payload())
	if err == nil {
		_, err = c.e.grid.Write(ctx, t, change, opt)
	}
	return err
}
