package odgm

import (
	"context"
	"errors"

	"go.opentelemetry.io/otel/trace"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// partition gives one of the class by its number.
func (c *class) partition(number int) (*partition, error) {
	if err := c.spec.Load().CheckPartition(number); err != nil {
		return nil, err
	}
	return c.partitions[number], nil
}

// method gives one of the class by its name.
func (c *class) method(name string) (call.Method, error) {
	spec := c.spec.Load()
	m, found := spec.Methods[name]
	if !found {
		return call.Method{}, fault.New(fault.NoFunction, "class %s has no method %q", spec.Name, name)
	}
	return m, nil
}

// close ends deliveries and asynchronous calls of the class, and closes its shards.
func (c *class) close(ctx context.Context) error {
	var errs []error
	name := c.spec.Load().Name
	c.hub.Load().Close(fault.New(fault.Unavailable, "class %s is no longer served here", name))
	for _, p := range c.partitions {
		errs = append(errs, p.close(ctx))
	}
	return errors.Join(errs...)
}

func (p *partition) close(ctx context.Context) error {
	var errs []error
	if box := p.outbox.Load(); box != nil {
		errs = append(errs, box.Close(ctx))
	}
	if p.async != nil {
		p.async.Close()
	}
	if p.shard != nil {
		errs = append(errs, p.shard.Close())
	}
	return errors.Join(errs...)
}

// notify passes on which groups got events. Before the outbox is open nothing is lost: it looks at all groups when it opens.
func (p *partition) notify(groups []string) {
	if box := p.outbox.Load(); box != nil {
		box.Notify(groups)
	}
}

// traceparent gives the W3C form of the span in ctx, or "".
func traceparent(ctx context.Context) string {
	span := trace.SpanContextFromContext(ctx)
	if !span.IsValid() {
		return ""
	}
	return "00-" + span.TraceID().String() + "-" + span.SpanID().String() + "-" + span.TraceFlags().String()
}
