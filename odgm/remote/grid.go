package remote

import (
	"context"
	"slices"
	"strings"

	cloudevents "github.com/cloudevents/sdk-go/v2/event"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
	"github.com/hpcclab/oaas-go/odgm/remote/message"
)

// askAbout sends a request about an object.
func (c *Client) askAbout(ctx context.Context, t odgm.Target, req *message.Request) (*message.Response, object.Ref, error) {
	s, ref, err := c.locate(t)
	if err != nil {
		return nil, ref, err
	}
	req.Partition, req.Object = int32(ref.Partition), ref.ID
	res, err := c.ask(ctx, s, ref.Partition, req)
	return res, ref, err
}

// askPart sends a request about a partition, or with AnyPartition about the class.
func (c *Client) askPart(ctx context.Context, class string, partition int, req *message.Request) (*message.Response, error) {
	s, err := c.served(class)
	if err != nil {
		return nil, err
	}
	req.Partition = int32(partition)
	return c.ask(ctx, s, uint32(max(partition, 0)), req)
}

// Get is that of odgm.Grid, as are all methods below.
func (c *Client) Get(ctx context.Context, t odgm.Target, sel object.Selector) (object.Object, object.Ref, error) {
	res, ref, err := c.askAbout(ctx, t, &message.Request{Get: selectorOf(&sel)})
	if err != nil {
		return object.Object{}, ref, err
	}
	o := res.GetObject()
	return object.Object{Meta: meta(o.GetMeta()), Triggers: o.GetTriggers(), State: entries(o.GetEntries())}, ref, nil
}

// Entry gives one entry, and the object that it belongs to.
func (c *Client) Entry(ctx context.Context, t odgm.Target, key string) (object.Entry, object.Meta, error) {
	res, _, err := c.askAbout(ctx, t, &message.Request{Entry: &key})
	if err != nil {
		return object.Entry{}, meta(res.GetObject().GetMeta()), err
	}
	list := entries(res.GetObject().GetEntries())
	if len(list) != 1 {
		return object.Entry{}, object.Meta{}, fault.New(fault.Internal, "the grid has answered with %d entries in place of one", len(list))
	}
	return list[0], meta(res.GetObject().GetMeta()), nil
}

// Write applies a change to an object.
func (c *Client) Write(ctx context.Context, t odgm.Target, change object.Change, opt odgm.WriteOptions) (odgm.Written, error) {
	return c.write(ctx, t, &message.Write{
		Puts: entriesOf(change.Puts), Deletes: change.Deletes, Triggers: change.Triggers, Expect: expectOf(&change.Expect), Merge: change.Merge,
		NoCreate: change.NoCreate, Chain: opt.Chain.String(), Depth: opt.Depth,
	})
}

// Delete removes an object.
func (c *Client) Delete(ctx context.Context, t odgm.Target, e object.Expect, opt odgm.WriteOptions) (odgm.Written, error) {
	return c.write(ctx, t, &message.Write{DeleteObject: true, Expect: expectOf(&e), Chain: opt.Chain.String(), Depth: opt.Depth})
}

func (c *Client) write(ctx context.Context, t odgm.Target, w *message.Write) (odgm.Written, error) {
	res, ref, err := c.askAbout(ctx, t, &message.Request{Write: w})
	if err != nil {
		return odgm.Written{}, err
	}
	done := res.GetWritten()
	return odgm.Written{
		Ref: ref, Version: done.GetVersion(), Created: done.GetCreated(), Existed: done.GetExisted(), Deleted: int(done.GetDeleted()),
	}, nil
}

// ListObjects gives a page of objects.
func (c *Client) ListObjects(ctx context.Context, class string, partition int, p object.Page) ([]object.Meta, []byte, error) {
	res, err := c.askPart(ctx, class, partition, &message.Request{ListObjects: pageOf(&p)})
	if err != nil {
		return nil, nil, err
	}
	list := res.GetObjects().GetMetas()
	metas := make([]object.Meta, len(list))
	for i, m := range list {
		metas[i] = meta(m)
	}
	return metas, res.GetObjects().GetNext(), nil
}

// ListEntries gives a page of an object's entries.
func (c *Client) ListEntries(ctx context.Context, t odgm.Target, p object.Page) ([]object.Entry, object.Meta, []byte, error) {
	res, _, err := c.askAbout(ctx, t, &message.Request{ListEntries: pageOf(&p)})
	o := res.GetObject()
	if err != nil {
		return nil, meta(o.GetMeta()), nil, err
	}
	return entries(o.GetEntries()), meta(o.GetMeta()), o.GetNext(), nil
}

// Invoke runs a method or function, and gives its result.
func (c *Client) Invoke(ctx context.Context, k call.Call, t odgm.Target) (call.Answer, error) {
	res, err := c.invoke(ctx, &k, t, false)
	if err != nil {
		return call.Answer{}, err
	}
	return answer(res.GetAnswer()), nil
}

// InvokeAsync takes a call to run it later.
func (c *Client) InvokeAsync(ctx context.Context, k call.Call, t odgm.Target) (*record.Invocation, error) {
	res, err := c.invoke(ctx, &k, t, true)
	return res.GetInvocation(), err
}

// invoke leaves it to the grid what is wrong with a target: a stateless function needs none.
func (c *Client) invoke(ctx context.Context, k *call.Call, t odgm.Target, async bool) (*message.Response, error) {
	s, err := c.served(t.Class)
	if err != nil {
		return nil, err
	}
	m := &message.Invoke{
		Id: k.ID, Method: k.Method, Payload: k.Payload, ContentType: k.ContentType, Options: k.Options, IdempotencyKey: k.IdempotencyKey,
		Chain: k.Chain.String(), Depth: k.Depth, Async: async,
	}
	if k.Request != nil && s.spec.Methods[k.Method].Stateless {
		m.Http, m.Header = true, headerOf(k.Request.Header)
	}
	partition := uint32(max(t.Partition, 0))
	if ref, err := s.spec.Locate(t); err == nil {
		partition = ref.Partition
	}
	return c.ask(ctx, s, partition, &message.Request{Partition: int32(t.Partition), Object: t.ID, Invoke: m})
}

// Invocation gives an asynchronous call.
func (c *Client) Invocation(ctx context.Context, class string, partition int, id string, wait bool) (*record.Invocation, error) {
	res, err := c.askPart(ctx, class, partition, &message.Request{Invocation: &message.Invocation{Id: id, Wait: wait}})
	return res.GetInvocation(), err
}

// Cancel ends an asynchronous call.
func (c *Client) Cancel(ctx context.Context, class string, partition int, id string) (*record.Invocation, error) {
	res, err := c.askPart(ctx, class, partition, &message.Request{Invocation: &message.Invocation{Id: id, Cancel: true}})
	return res.GetInvocation(), err
}

// DeadLetters gives events that were given up.
func (c *Client) DeadLetters(ctx context.Context, class string, partition int, after uint64, limit int) ([]*record.Event, error) {
	res, err := c.askPart(ctx, class, partition, &message.Request{DeadLetters: &message.Letters{After: after, Limit: int32(limit)}})
	return res.GetLetters(), err
}

// Replay sends dead letters again, or drops them.
func (c *Client) Replay(ctx context.Context, class string, partition int, seqs []uint64, all, drop bool) (int, error) {
	res, err := c.askPart(ctx, class, partition, &message.Request{Replay: &message.Replay{Seqs: seqs, All: all, Drop: drop}})
	return int(res.GetReplayed()), err
}

// Dispatch calls the methods that subscribe to the type of an event, of the classes of all grids.
func (c *Client) Dispatch(ctx context.Context, ev cloudevents.Event) (odgm.Dispatched, error) {
	t := c.table.Load()
	m, err := eventOf(&ev)
	if err != nil {
		return odgm.Dispatched{}, err
	}
	var done odgm.Dispatched
	asked := map[string]bool{}
	for i := range t.specs {
		s := t.classes[t.specs[i].Name]
		if !s.spec.Subscribes(ev) || s.node != "" && asked[s.node] {
			continue
		}
		asked[s.node] = true
		res, err := c.ask(ctx, s, 0, &message.Request{Dispatch: m})
		calls := res.GetDispatched().GetCalls()
		for _, k := range calls {
			done.Calls = append(done.Calls, odgm.DispatchedCall{Class: k.GetClass(), Object: k.GetObject(), Method: k.GetMethod(), Err: faultOf(k.GetFailure())})
		}
		if len(calls) == 0 && err != nil && fault.CodeOf(err) != fault.NoSubscription {
			done.Calls = append(done.Calls, odgm.DispatchedCall{Class: s.spec.Name, Err: err})
		}
	}
	slices.SortStableFunc(done.Calls, func(a, b odgm.DispatchedCall) int { return strings.Compare(a.Class, b.Class) })
	if len(done.Calls) == 0 {
		if err := c.Ready(); err != nil {
			return done, err
		}
		return done, odgm.NoSubscription(ev)
	}
	for _, k := range done.Calls {
		if k.Err != nil {
			return done, k.Err
		}
	}
	return done, nil
}

// Stats gives the numbers of every partition of every grid, sorted by class and partition.
func (c *Client) Stats(ctx context.Context) ([]odgm.ShardStats, error) {
	if err := c.Ready(); err != nil {
		return nil, err
	}
	var all []odgm.ShardStats
	asked := map[string]bool{}
	for _, s := range c.table.Load().classes {
		if s.node == "" || asked[s.node] {
			continue
		}
		asked[s.node] = true
		res, err := c.ask(ctx, s, 0, &message.Request{Stats: true})
		if err != nil {
			return nil, err
		}
		for _, p := range res.GetShards() {
			all = append(all, odgm.ShardStats{
				Class: p.GetClass(), Partition: p.GetPartition(), Objects: p.GetObjects(), Outbox: p.GetOutbox(), DeadLetters: p.GetDeadLetters(),
				Bytes: p.GetBytes(),
			})
		}
	}
	slices.SortFunc(all, func(a, b odgm.ShardStats) int {
		if by := strings.Compare(a.Class, b.Class); by != 0 {
			return by
		}
		return int(a.Partition) - int(b.Partition)
	})
	return all, nil
}

// eventOf gives an event with its data beside it, which JSON would not keep byte for byte.
func eventOf(ev *cloudevents.Event) (*message.Dispatch, error) {
	m := &message.Dispatch{Data: ev.Data(), HasData: ev.DataEncoded != nil}
	bare := ev.Clone()
	bare.DataEncoded = nil
	text, err := bare.MarshalJSON()
	if err != nil {
		return nil, fault.Wrap(fault.InvalidArgument, err, "event %s", ev.ID())
	}
	m.Event = text
	return m, nil
}

// event is eventOf the other way round.
func event(m *message.Dispatch) (cloudevents.Event, error) {
	var ev cloudevents.Event
	if err := ev.UnmarshalJSON(m.GetEvent()); err != nil {
		return ev, fault.Wrap(fault.DecodeError, err, "event")
	}
	if m.GetHasData() {
		ev.DataEncoded = append([]byte{}, m.GetData()...)
	}
	return ev, nil
}
