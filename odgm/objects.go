package odgm

import (
	"context"
	"encoding/binary"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/mailbox"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// WriteOptions say on whose behalf a write is made.
type WriteOptions struct {
	// Chain has the running calls on whose behalf the write is made.
	Chain call.Chain
	// Depth counts the triggers that led to the write.
	Depth uint32
}

// Written says what a write did.
type Written struct {
	Ref     object.Ref
	Version uint64
	// Created is true when the object did not exist before, Existed when it did.
	Created, Existed bool
	// Deleted counts the entries that were deleted.
	Deleted int
}

// Get gives an object with the selected entries.
func (g *Grid) Get(ctx context.Context, t Target, sel object.Selector) (object.Object, object.Ref, error) {
	p, ref, err := g.locate(t)
	if err != nil {
		return object.Object{}, ref, err
	}
	g.gets.Of(ref.ID).Inc()
	obj, err := p.shard.Object(ctx, ref.ID, sel)
	return obj, ref, err
}

// Entry gives one entry, and the object that it belongs to.
func (g *Grid) Entry(ctx context.Context, t Target, key string) (object.Entry, object.Meta, error) {
	p, ref, err := g.locate(t)
	if err != nil {
		return object.Entry{}, object.Meta{}, err
	}
	if key, err = object.NormalizeKey(key); err != nil {
		return object.Entry{}, object.Meta{}, err
	}
	g.gets.Of(ref.ID).Inc()
	return p.shard.Entry(ctx, ref.ID, key)
}

// Write applies a change to an object as a whole, or not at all. It waits for a method that runs on the object.
func (g *Grid) Write(ctx context.Context, t Target, change object.Change, opt WriteOptions) (Written, error) {
	p, ref, err := g.locate(t)
	if err != nil {
		return Written{}, err
	}
	if err := g.admitTriggers(change.Triggers); err != nil {
		return Written{}, err
	}
	w, err := writeOf(ref, &change)
	if err != nil {
		return Written{}, err
	}
	return g.write(ctx, p, ref, w, opt)
}

// Delete removes an object with its entries and triggers. Deleting an absent object is no error; Written.Existed tells.
func (g *Grid) Delete(ctx context.Context, t Target, expect object.Expect, opt WriteOptions) (Written, error) {
	p, ref, err := g.locate(t)
	if err != nil {
		return Written{}, err
	}
	return g.write(ctx, p, ref, &record.Write{Object: ref.ID, DeleteObject: true, Expect: expectOf(expect)}, opt)
}

// write takes a turn in the object's mailbox and has the shard apply the command.
func (g *Grid) write(ctx context.Context, p *partition, ref object.Ref, w *record.Write, opt WriteOptions) (Written, error) {
	w.Depth, w.Traceparent = opt.Depth, traceparent(ctx)
	turn, err := g.boxes.Write(ctx, ref, opt.Chain)
	if err != nil {
		return Written{}, err
	}
	defer turn.Done()
	result, err := p.shard.Do(ctx, &record.Command{Body: &record.Command_Write{Write: w}})
	if err != nil {
		return Written{}, err
	}
	markWrote(turn, w)
	return Written{Ref: ref, Version: result.Version, Created: result.Created, Existed: result.Existed, Deleted: result.Deleted}, nil
}

// markWrote tells the method inside whose turn a write ran what it changed.
func markWrote(turn *mailbox.Turn, w *record.Write) {
	if !turn.Inner() {
		return
	}
	keys := make([]string, 0, len(w.GetPuts())+len(w.GetDeletes()))
	for _, put := range w.GetPuts() {
		keys = append(keys, put.GetKey())
	}
	turn.Wrote(append(keys, w.GetDeletes()...), w.GetDeleteObject())
}

// writeOf checks a change and makes the command of it. Keys are normalised; one that is named twice is refused, since the order of puts and
// deletes of a batch means nothing.
func writeOf(ref object.Ref, change *object.Change) (*record.Write, error) {
	w := &record.Write{
		Object: ref.ID, Expect: expectOf(change.Expect), Triggers: change.Triggers, Merge: change.Merge, NoCreate: change.NoCreate,
		Puts: make([]*record.Put, 0, len(change.Puts)),
	}
	var seen map[string]bool
	if len(change.Puts)+len(change.Deletes) > 1 {
		seen = make(map[string]bool, len(change.Puts)+len(change.Deletes))
	}
	normal := func(key string) (string, error) {
		normal, err := object.NormalizeKey(key)
		if err == nil && seen[normal] {
			err = fault.New(fault.InvalidArgument, "entry key %q is named twice in one write of object %s", normal, ref)
		}
		if seen != nil {
			seen[normal] = true
		}
		return normal, err
	}
	for _, put := range change.Puts {
		key, err := normal(put.Key)
		if err != nil {
			return nil, err
		}
		w.Puts = append(w.Puts, &record.Put{Key: key, Data: put.Data, Type: put.Type})
	}
	for _, key := range change.Deletes {
		key, err := normal(key)
		if err != nil {
			return nil, err
		}
		w.Deletes = append(w.Deletes, key)
	}
	return w, nil
}

func expectOf(e object.Expect) *record.Expect {
	if e == (object.Expect{}) {
		return nil
	}
	return &record.Expect{Version: e.Version, Absent: e.Absent, Present: e.Present}
}

// ListEntries gives a page of an object's entries in byte order of their keys; next is nil on the last page.
func (g *Grid) ListEntries(ctx context.Context, t Target, page object.Page) ([]object.Entry, object.Meta, []byte, error) {
	p, ref, err := g.locate(t)
	if err != nil {
		return nil, object.Meta{}, nil, err
	}
	if page.Prefix, err = object.NormalizePrefix(page.Prefix); err != nil {
		return nil, object.Meta{}, nil, err
	}
	if err := checkCursor(page.Cursor); err != nil {
		return nil, object.Meta{}, nil, err
	}
	return p.shard.ListEntries(ctx, ref.ID, page)
}

// ListObjects gives a page of a partition's objects in byte order of their ids. With AnyPartition it goes through the partitions one after the
// other, and the cursor says where it was.
func (g *Grid) ListObjects(ctx context.Context, name string, number int, page object.Page) ([]object.Meta, []byte, error) {
	c, err := g.class(name)
	if err != nil {
		return nil, nil, err
	}
	if page.Prefix, err = object.NormalizePrefix(page.Prefix); err != nil {
		return nil, nil, err
	}
	if number != AnyPartition {
		p, err := c.partition(number)
		if err != nil {
			return nil, nil, err
		}
		if err := checkCursor(page.Cursor); err != nil {
			return nil, nil, err
		}
		return p.shard.ListObjects(ctx, page)
	}
	return listAll(ctx, c, page)
}

// checkCursor refuses a cursor that no listing can have given: it is the id or key to go on with.
func checkCursor(cursor []byte) error {
	if len(cursor) == 0 {
		return nil
	}
	if id, err := object.NormalizeID(string(cursor)); err != nil || id != string(cursor) {
		return fault.New(fault.InvalidArgument, "cursor %.40q was not given by a listing; start again without it", cursor)
	}
	return nil
}

// listAll fills one page from as many partitions as it takes. Its cursor is the partition's number (2 bytes) before the partition's own cursor.
func listAll(ctx context.Context, c *class, page object.Page) ([]object.Meta, []byte, error) {
	rows := page.Rows()
	first := 0
	if len(page.Cursor) > 0 {
		if len(page.Cursor) < 2 || int(binary.BigEndian.Uint16(page.Cursor)) >= len(c.partitions) {
			return nil, nil, fault.New(fault.InvalidArgument, "cursor %.40q was not given by a listing of all partitions; start again without it", page.Cursor)
		}
		first = int(binary.BigEndian.Uint16(page.Cursor))
		page.Cursor = page.Cursor[2:]
		if err := checkCursor(page.Cursor); err != nil {
			return nil, nil, err
		}
	}
	var metas []object.Meta
	for number := first; number < len(c.partitions); number++ {
		page.Limit = rows - len(metas)
		more, next, err := c.partitions[number].shard.ListObjects(ctx, page)
		if err != nil {
			return nil, nil, err
		}
		metas = append(metas, more...)
		page.Cursor = nil
		switch {
		case next != nil:
			return metas, append(binary.BigEndian.AppendUint16(nil, uint16(number)), next...), nil
		case len(metas) == rows && number+1 < len(c.partitions):
			return metas, binary.BigEndian.AppendUint16(nil, uint16(number+1)), nil
		}
	}
	return metas, nil, nil
}

// ShardStats are the numbers of one partition.
type ShardStats struct {
	Class     string
	Partition uint32
	// Objects counts live objects, Outbox the events that are still to be delivered, DeadLetters those that were given up.
	Objects, Outbox, DeadLetters uint64
	// Bytes is what the engine uses, on disk or in memory, approximately.
	Bytes int64
}

// Stats gives the numbers of every partition, sorted by class and partition.
func (g *Grid) Stats(ctx context.Context) ([]ShardStats, error) {
	var all []ShardStats
	for _, spec := range g.Classes() {
		c, err := g.class(spec.Name)
		if fault.CodeOf(err) == fault.NoClass {
			continue // removed in between
		}
		if err != nil {
			return nil, err
		}
		for _, p := range c.partitions {
			s, err := p.shard.Stats(ctx)
			if err != nil {
				return nil, err
			}
			all = append(all, ShardStats{
				Class: p.class, Partition: p.number, Objects: s.Objects, Outbox: s.Outbox, DeadLetters: s.DeadLetters, Bytes: s.Bytes,
			})
		}
	}
	return all, nil
}
