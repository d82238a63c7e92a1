package odgm

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Invoke runs a method of the object t, or a stateless function of the class when t has no id, and gives its result.
func (g *Grid) Invoke(ctx context.Context, c call.Call, t Target) (call.Answer, error) {
	return g.invoke(ctx, c, t, nil)
}

// invoke runs a call that the platform itself makes for an origin, or that came from outside when there is none.
func (g *Grid) invoke(ctx context.Context, c call.Call, t Target, from *origin) (call.Answer, error) {
	p, m, err := g.prepare(&c, t, from)
	if err != nil {
		return call.Answer{}, err
	}
	return g.executor.Invoke(ctx, p.shard, m, c)
}

// InvokeAsync takes a call to run it later. When it returns, the call is on disk: it runs at least once, with one effect.
func (g *Grid) InvokeAsync(ctx context.Context, c call.Call, t Target) (*record.Invocation, error) {
	p, _, err := g.prepare(&c, t, nil)
	if err != nil {
		return nil, err
	}
	return p.async.Submit(ctx, c)
}

// prepare finds the partition and the method of a call, refuses a caller that may not call it, and fills in the call's identity.
func (g *Grid) prepare(c *call.Call, t Target, from *origin) (*partition, call.Method, error) {
	cls, err := g.class(t.Class)
	if err != nil {
		return nil, call.Method{}, err
	}
	m, err := cls.method(c.Method)
	if err == nil {
		err = g.admit(cls.spec.Load(), c, from)
	}
	if err != nil {
		return nil, call.Method{}, err
	}
	if m.Stateless {
		t.ID = "" // a stateless function has no object, whatever the path said
	} else if t.ID == "" {
		return nil, m, fault.New(fault.InvalidArgument,
			"%s of class %s is a method of objects: name the object, as in /api/class/%s/_/objects/{id}/invokes/%s", m.Name, t.Class, t.Class, m.Name)
	}
	p, err := g.place(cls, c, t)
	if err == nil && c.ID == "" {
		c.ID = callID(c)
	}
	return p, m, err
}

// place finds the partition that a call runs in, and the identity of its object.
func (g *Grid) place(cls *class, c *call.Call, t Target) (p *partition, err error) {
	if t.ID != "" {
		p, c.Ref, err = g.locate(t)
		return p, err
	}
	p, err = cls.partition(max(t.Partition, 0))
	if err == nil {
		c.Ref = object.Ref{Class: t.Class, Partition: p.number}
	}
	return p, err
}

// callID gives the id of a call. A call that is repeated under its idempotency key keeps its id, so that what the function derives from it (keys of nested
// calls, ids of events) is the same again.
func callID(c *call.Call) string {
	if c.IdempotencyKey == "" {
		return rand.Text()
	}
	sum := sha256.Sum256([]byte(c.Ref.String() + "\x00" + c.Method + "\x00" + c.IdempotencyKey))
	return hex.EncodeToString(sum[:16])
}

// Invocation gives an asynchronous call by its id. With wait it gives the call when it has ended, or as it is when ctx ends. With AnyPartition the
// partition is taken from the id.
func (g *Grid) Invocation(ctx context.Context, name string, number int, id string, wait bool) (*record.Invocation, error) {
	p, err := g.invocationPartition(name, number, id)
	if err != nil {
		return nil, err
	}
	if !wait {
		return p.shard.Invocation(ctx, id)
	}
	inv, err := p.async.Await(ctx, id)
	if ctx.Err() != nil {
		return p.shard.Invocation(context.WithoutCancel(ctx), id)
	}
	return inv, err
}

// Cancel ends an asynchronous call without effect, if it has not ended, and gives it as it is then.
func (g *Grid) Cancel(ctx context.Context, name string, number int, id string) (*record.Invocation, error) {
	p, err := g.invocationPartition(name, number, id)
	if err != nil {
		return nil, err
	}
	return p.async.Cancel(ctx, id)
}

// invocationPartition finds the partition of an invocation; ids that the platform makes begin with its number and a dot.
func (g *Grid) invocationPartition(name string, number int, id string) (*partition, error) {
	c, err := g.class(name)
	if err != nil {
		return nil, err
	}
	if number != AnyPartition {
		return c.partition(number)
	}
	text, _, _ := strings.Cut(id, ".")
	if number, err = strconv.Atoi(text); err != nil {
		return nil, fault.New(fault.InvalidArgument, "invocation %q: its id does not begin with a partition; name the partition instead of _", id)
	}
	return c.partition(number)
}
