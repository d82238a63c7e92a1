package endpoint

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync/atomic"

	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// class has what is declared for a class. It changes only within a deployment, of which there is one at a time, or at the end.
type class struct {
	e      *Endpoint
	name   string
	spec   atomic.Pointer[odgm.Class]
	things map[string]declared // by kind and key expression
	events *publishing         // nil while changes are not published
}

// declared is something that can be taken back.
type declared interface{ Undeclare(context.Context) error }

// declare makes the declarations those of the spec: new ones first, then what is too much goes.
func (c *class) declare(ctx context.Context, spec *odgm.Class) error {
	if err := keys.Check("class", c.name); err != nil {
		return err
	}
	c.spec.Store(spec)
	if c.things == nil {
		c.things = map[string]declared{}
	}
	wanted := c.wanted(spec)
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(wanted)) {
		if c.things[name] != nil {
			continue
		}
		thing, err := wanted[name](ctx)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.things[name] = thing
	}
	for name, thing := range c.things {
		if wanted[name] == nil {
			errs = append(errs, thing.Undeclare(ctx))
			delete(c.things, name)
		}
	}
	return errors.Join(append(errs, c.publish(ctx, spec))...)
}

// withdraw takes everything back.
func (c *class) withdraw(ctx context.Context) error {
	var errs []error
	for _, thing := range c.things {
		errs = append(errs, thing.Undeclare(ctx))
	}
	c.things = nil
	c.events.end()
	c.events = nil
	return errors.Join(errs...)
}

// wanted says what a class has, and how it is declared. All partitions are here, so that one declaration is for all of them; a query that names one
// that there is not gets an error then, in place of no answer. No two queryables have a key in common, so none takes what is meant for another.
func (c *class) wanted(spec *odgm.Class) map[string]func(context.Context) (declared, error) {
	all := map[string]func(context.Context) (declared, error){}
	at := keys.In(c.name, keys.Any)
	for _, k := range []keys.Key{
		at.Get(keys.Any), // objects/list-objects is one of these
		{Class: c.name, Partition: keys.Any, Kind: keys.Objects},
		at.Set(keys.Any), at.BatchSet(keys.Any), at.Entry(keys.Any, keys.Any),
		at.Result("", keys.Any, keys.Any), at.Result(keys.Any, keys.Any, keys.Any),
	} {
		all["queryable "+k.String()] = c.queryable(k)
	}
	for name, m := range spec.Methods {
		id := keys.Any
		if m.Stateless {
			id = ""
		}
		k := at.Invoke(id, name)
		all["queryable "+k.String()] = c.queryable(k)
	}
	for _, k := range []keys.Key{at.Get(keys.Any), at.InvokeAsync("", keys.Any, keys.Any), at.InvokeAsync(keys.Any, keys.Any, keys.Any)} {
		all["subscriber "+k.String()] = c.subscriber(k)
	}
	for partition := range max(spec.Partitions, 1) {
		k := keys.Of(c.name, uint32(partition)).Liveliness(strconv.FormatUint(message.ShardID(c.name, uint32(partition)), 10))
		all["token "+k.String()] = c.token(k)
	}
	return all
}

func (c *class) queryable(k keys.Key) func(context.Context) (declared, error) {
	return func(ctx context.Context) (declared, error) {
		key, err := zenoh.NewKeyExpr(k.String())
		if err != nil {
			return nil, fmt.Errorf("key of a queryable: %w", err)
		}
		handler := zenoh.Closure[*zenoh.Query]{Call: c.e.taking(c, k.Kind)}
		return keep(c.e.session.DeclareQueryable(ctx, key, handler, &zenoh.QueryableOptions{Complete: true}))
	}
}

func (c *class) subscriber(k keys.Key) func(context.Context) (declared, error) {
	return func(ctx context.Context) (declared, error) {
		key, err := zenoh.NewKeyExpr(k.String())
		if err != nil {
			return nil, fmt.Errorf("key of a subscriber: %w", err)
		}
		return keep(c.e.session.DeclareSubscriber(ctx, key, zenoh.Closure[zenoh.Sample]{Call: c.take}, nil))
	}
}

func (c *class) token(k keys.Key) func(context.Context) (declared, error) {
	return func(ctx context.Context) (declared, error) {
		key, err := zenoh.NewKeyExpr(k.String())
		if err != nil {
			return nil, fmt.Errorf("key of a token: %w", err)
		}
		return keep(c.e.session.Liveliness().DeclareToken(ctx, key))
	}
}

// keep makes an interface of what a session gave, without hiding a nil.
func keep[T declared](thing T, err error) (declared, error) {
	if err != nil {
		return nil, err
	}
	return thing, nil
}
