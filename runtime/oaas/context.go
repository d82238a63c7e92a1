package oaas

import (
	"context"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"

	"github.com/hpcclab/oaas-go/api/function"
)

// Context is the context of one call. As a context.Context it ends at the deadline of the call, or when the platform gives the call up.
type Context struct {
	context.Context
	run *running
}

// running is a call under way.
type running struct {
	handler *Handler
	meta    function.Meta
	call    *function.Call // for a stateless function only with class and method

	mutex  sync.Mutex
	events []function.Event
	calls  map[string]int // calls made so far, by object and method
	err    error          // the first misuse, which fails the call at its end
}

// ID names the call. It is the same at each attempt.
func (c Context) ID() string { return c.run.meta.ID }

// Self names the object of the call; for a stateless function it has no object.
func (c Context) Self() Ref {
	return Ref{Class: c.run.call.Class, Object: c.run.call.Object, Partition: strconv.FormatUint(uint64(c.run.call.Partition), 10)}
}

// Method gives the name that was called.
func (c Context) Method() string { return c.run.call.Method }

// Exists tells whether the object exists. It does from its first commit on.
func (c Context) Exists() bool { return c.run.call.Exists }

// Version gives the version of the object before the call.
func (c Context) Version() uint64 { return c.run.call.Version }

// Caller says who called, as far as the platform knows; else it is empty.
func (c Context) Caller() string { return c.run.call.Caller }

// Attempt counts the attempts of this call, from 1.
func (c Context) Attempt() int { return c.run.meta.Attempt }

// Depth counts the triggers that led to this call; 0 for a call from outside.
func (c Context) Depth() int { return c.run.meta.Depth }

// Option gives an option of the call, such as those of a trigger's target; empty if there is none.
func (c Context) Option(name string) string { return c.run.call.Options[name] }

// Traceparent gives the W3C trace context of the call, for clients that this SDK does not know.
func (c Context) Traceparent() string { return c.run.meta.Traceparent }

// Logger gives a logger whose lines name the call.
func (c Context) Logger() *slog.Logger {
	return slog.With("object", c.Self().String(), "method", c.Method(), "call", c.ID())
}

// Event is a CloudEvent that a method emits. The platform adds id, source and time.
type Event struct {
	Type    string
	Subject string
	// Data is encoded as JSON; []byte and Payload are taken as they are, nil is no data.
	Data any
	// ContentType replaces that of the data.
	ContentType string
	// Extensions are extension attributes, with names of a-z and 0-9.
	Extensions map[string]string
}

// Emit sends an event with the commit of the call: if the call fails, nothing is sent. An event that cannot be sent fails the call.
func (c Context) Emit(event Event) {
	data, err := encodePayload(event.Data)
	c.run.mutex.Lock()
	defer c.run.mutex.Unlock()
	if err != nil {
		c.run.fail(fmt.Errorf("emit %s: encode the data: %w", event.Type, err))
		return
	}
	made := function.Event{Type: event.Type, Subject: event.Subject, ContentType: data.ContentType, Data: data.Data, Extensions: event.Extensions}
	if event.ContentType != "" {
		made.ContentType = event.ContentType
	}
	c.run.events = append(c.run.events, made)
}

func (r *running) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// finish adds the events to the reply and checks the rules that the platform would check.
func (r *running) finish(reply *function.Reply, readonly bool, limits function.Limits) error {
	r.mutex.Lock()
	defer r.mutex.Unlock()
	if r.err != nil {
		return r.err
	}
	reply.Events = append(slices.Clip(reply.Events), r.events...)
	if err := reply.Check(limits); err != nil {
		return err
	}
	if readonly && reply.Changes() {
		return fmt.Errorf("the method is readonly but %s", describe(reply))
	}
	return nil
}

// describe names the first thing that a reply changes.
func describe(reply *function.Reply) string {
	switch {
	case len(reply.Set) > 0:
		return fmt.Sprintf("changed the entry %q", reply.Set[0].Key)
	case len(reply.Delete) > 0:
		return fmt.Sprintf("deleted the entry %q", reply.Delete[0])
	}
	return fmt.Sprintf("emitted the event %q", reply.Events[0].Type)
}
