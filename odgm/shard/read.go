package shard

import (
	"bytes"
	"context"
	"fmt"
	"strings"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/engine"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// Values that reads give are shared with the cache: they must not be changed.

// Meta gives what is known of an object without its entries.
func (s *Shard) Meta(ctx context.Context, id string) (object.Meta, error) {
	var meta object.Meta
	err := s.view(ctx, func(r engine.Reader) error {
		m, err := s.readMeta(r, id)
		meta = metaOf(id, m)
		return err
	})
	return meta, err
}

// Entry gives one entry, and the object that it belongs to.
func (s *Shard) Entry(ctx context.Context, id, key string) (object.Entry, object.Meta, error) {
	cacheKey := s.cacheKey(id, key)
	hit, generation := s.lookup(id, cacheKey)
	if hit != nil {
		return hit.entry, hit.meta, nil
	}
	value := &cached{}
	err := s.view(ctx, func(r engine.Reader) error {
		meta, err := s.readMeta(r, id)
		if err != nil {
			return err
		}
		value.meta = metaOf(id, meta)
		entry := &record.Entry{}
		found, err := load(r, entryKey(id, key), entry)
		if err != nil {
			return err
		}
		if !found {
			return fault.New(fault.NoEntry, "object %s has no entry %q", s.ref(id), key)
		}
		value.entry = entryOf(key, entry)
		return nil
	})
	if err != nil {
		return object.Entry{}, value.meta, err
	}
	s.keep(id, cacheKey, generation, value, len(cacheKey)+len(value.entry.Data)+128)
	return value.entry, value.meta, nil
}

// Object gives an object with its triggers and the selected entries.
func (s *Shard) Object(ctx context.Context, id string, sel object.Selector) (object.Object, error) {
	cacheKey := ""
	var generation uint64
	if sel.All {
		var hit *cached
		cacheKey = s.cacheKey(id, "")
		if hit, generation = s.lookup(id, cacheKey); hit != nil {
			return *hit.whole, nil
		}
	}
	var obj object.Object
	size := 256
	err := s.view(ctx, func(r engine.Reader) error {
		meta, err := s.readMeta(r, id)
		if err != nil {
			return err
		}
		obj.Meta = metaOf(id, meta)
		if meta.GetHasTriggers() {
			obj.Triggers = &oprc.ObjectEvent{}
			if _, err := load(r, triggersKey(id), obj.Triggers); err != nil {
				return err
			}
			size += proto.Size(obj.Triggers)
		}
		obj.State, err = selectEntries(r, id, sel)
		return err
	})
	if err != nil {
		return object.Object{}, err
	}
	if sel.All {
		for _, e := range obj.State {
			size += len(e.Data) + len(e.Key) + 64
		}
		kept := obj
		s.keep(id, cacheKey, generation, &cached{whole: &kept}, size)
	}
	return obj, nil
}

// selectEntries reads the selected entries in order of their keys.
func selectEntries(r engine.Reader, id string, sel object.Selector) ([]object.Entry, error) {
	prefix := entryPrefix(id)
	var entries []object.Entry
	collect := func(key []byte, e *record.Entry) bool {
		entries = append(entries, entryOf(string(key[len(prefix):]), e))
		return true
	}
	if sel.All {
		err := scanRecords(r, prefix, after(prefix), collect)
		return entries, err
	}
	if len(sel.Prefixes) == 0 {
		return selectKeys(r, id, sel.Keys)
	}
	// Keys and prefixes may overlap: each run of keys is read once, and the rest is sorted out by one pass over the merged result.
	found := map[string]object.Entry{}
	for _, p := range sel.Prefixes {
		from := entryKey(id, p)
		if err := scanRecords(r, from, after(from), func(key []byte, e *record.Entry) bool {
			entry := entryOf(string(key[len(prefix):]), e)
			found[entry.Key] = entry
			return true
		}); err != nil {
			return nil, err
		}
	}
	exact, err := selectKeys(r, id, sel.Keys)
	if err != nil {
		return nil, err
	}
	for _, e := range exact {
		found[e.Key] = e
	}
	return sortedEntries(found), nil
}

func selectKeys(r engine.Reader, id string, keys []string) ([]object.Entry, error) {
	entries := make([]object.Entry, 0, len(keys))
	for _, key := range sortedUnique(keys) {
		entry := &record.Entry{}
		found, err := load(r, entryKey(id, key), entry)
		if err != nil {
			return nil, err
		}
		if found {
			entries = append(entries, entryOf(key, entry))
		}
	}
	return entries, nil
}

// ListObjects gives a page of live objects in byte order of their ids; next is nil on the last page.
func (s *Shard) ListObjects(ctx context.Context, page object.Page) (metas []object.Meta, next []byte, err error) {
	from, end := pageRange([]byte{tagMeta}, page)
	rows := page.Rows()
	err = s.view(ctx, func(r engine.Reader) error {
		return scanRecords(r, from, end, func(key []byte, meta *record.Meta) bool {
			if len(metas) == rows {
				next = bytes.Clone(key[1:])
				return false
			}
			metas = append(metas, metaOf(string(key[1:]), meta))
			return true
		})
	})
	return metas, next, err
}

// ListEntries gives a page of an object's entries in byte order of their keys; next is nil on the last page.
func (s *Shard) ListEntries(ctx context.Context, id string, page object.Page) (entries []object.Entry, meta object.Meta, next []byte, err error) {
	prefix := entryPrefix(id)
	from, end := pageRange(prefix, page)
	rows := page.Rows()
	err = s.view(ctx, func(r engine.Reader) error {
		m, err := s.readMeta(r, id)
		if err != nil {
			return err
		}
		meta = metaOf(id, m)
		return scanRecords(r, from, end, func(key []byte, entry *record.Entry) bool {
			if len(entries) == rows {
				next = bytes.Clone(key[len(prefix):])
				return false
			}
			entries = append(entries, entryOf(string(key[len(prefix):]), entry))
			return true
		})
	})
	return entries, meta, next, err
}

// pageRange gives the keys of a page: it starts at the cursor, but never outside the prefix.
func pageRange(base []byte, page object.Page) (from, end []byte) {
	first := append(bytes.Clone(base), page.Prefix...)
	end = after(first)
	from = first
	if at := append(bytes.Clone(base), page.Cursor...); bytes.Compare(at, from) > 0 {
		from = at
	}
	return from, end
}

// Stats are the numbers of a shard.
type Stats struct {
	Objects, Outbox, DeadLetters uint64
	Bytes                        int64
}

// Stats gives the shard's numbers without a scan.
func (s *Shard) Stats(ctx context.Context) (Stats, error) {
	counters := &record.Counters{}
	if err := s.view(ctx, func(r engine.Reader) error {
		_, err := load(r, countersKey, counters)
		return err
	}); err != nil {
		return Stats{}, err
	}
	size, err := s.cfg.Engine.Size()
	return Stats{Objects: counters.GetObjects(), Outbox: counters.GetOutbox(), DeadLetters: counters.GetDeadLetters(), Bytes: size}, err
}

// StoredResult gives the result that is stored under an idempotency key, or nil.
func (s *Shard) StoredResult(ctx context.Context, id, method, key string) (*record.StoredResult, error) {
	result := &record.StoredResult{}
	var found bool
	err := s.view(ctx, func(r engine.Reader) (err error) {
		found, err = load(r, resultKey(id, method, key), result)
		return err
	})
	if err != nil || !found || result.GetExpires() <= s.cfg.Now().UnixNano() {
		return nil, err
	}
	return result, nil
}

// Invocation gives an asynchronous call as it is now.
func (s *Shard) Invocation(ctx context.Context, id string) (*record.Invocation, error) {
	inv := &record.Invocation{}
	var found bool
	err := s.view(ctx, func(r engine.Reader) (err error) {
		found, err = load(r, invocationKey(id), inv)
		return err
	})
	if err == nil && !found {
		err = unknownInvocation(id)
	}
	return inv, err
}

// PendingInvocations gives the calls that have not ended, in order of their ids.
func (s *Shard) PendingInvocations(ctx context.Context, afterID string, limit int) ([]*record.Invocation, error) {
	var pending []*record.Invocation
	from := pendingKey(afterID)
	if afterID != "" {
		from = append(from, 0)
	}
	err := s.view(ctx, func(r engine.Reader) error {
		var ids []string
		if err := r.Scan(from, after([]byte{tagPending}), func(key, _ []byte) bool {
			ids = append(ids, string(key[1:]))
			return len(ids) < limit
		}); err != nil {
			return err
		}
		for _, id := range ids {
			inv := &record.Invocation{}
			if _, err := load(r, invocationKey(id), inv); err != nil {
				return err
			}
			pending = append(pending, inv)
		}
		return nil
	})
	return pending, err
}

// OutboxGroups gives the groups that have events, each found by one seek.
func (s *Shard) OutboxGroups(ctx context.Context) ([]string, error) {
	var groups []string
	err := s.view(ctx, func(r engine.Reader) error {
		from := []byte{tagOutbox}
		for {
			group := ""
			if err := r.Scan(from, after([]byte{tagOutbox}), func(key, _ []byte) bool {
				group = groupOf(key)
				return false
			}); err != nil || group == "" {
				return err
			}
			groups = append(groups, group)
			from = after(groupPrefix(group))
		}
	})
	return groups, err
}

// Outbox gives events of a group with numbers above afterSeq, in order.
func (s *Shard) Outbox(ctx context.Context, group string, afterSeq uint64, limit int) ([]*record.Event, error) {
	return s.events(ctx, outboxKey(group, afterSeq+1), after(groupPrefix(group)), limit)
}

// DeadLetters gives events of the dead-letter list with numbers above afterSeq, in order.
func (s *Shard) DeadLetters(ctx context.Context, afterSeq uint64, limit int) ([]*record.Event, error) {
	return s.events(ctx, deadKey(afterSeq+1), after([]byte{tagDead}), limit)
}

func (s *Shard) events(ctx context.Context, from, end []byte, limit int) ([]*record.Event, error) {
	var events []*record.Event
	err := s.view(ctx, func(r engine.Reader) error {
		return scanRecords(r, from, end, func(_ []byte, ev *record.Event) bool {
			events = append(events, ev)
			return len(events) < limit
		})
	})
	return events, err
}

// lastDeadLetter gives the number of the newest dead letter, 0 if there is none. Numbers come from the counter, so that is the bound.
func (s *Shard) lastDeadLetter() (uint64, error) {
	counters := &record.Counters{}
	err := s.view(context.Background(), func(r engine.Reader) error {
		_, err := load(r, countersKey, counters)
		return err
	})
	if counters.GetDeadLetters() == 0 {
		return 0, err
	}
	return counters.GetSeq(), err
}

func (s *Shard) triggersOf(id string) (*oprc.ObjectEvent, error) {
	triggers := &oprc.ObjectEvent{}
	err := s.view(context.Background(), func(r engine.Reader) error {
		_, err := load(r, triggersKey(id), triggers)
		return err
	})
	return triggers, err
}

// view runs fn on the newest durable state.
func (s *Shard) view(ctx context.Context, fn func(engine.Reader) error) error {
	if err := ctx.Err(); err != nil {
		return fault.From(err)
	}
	return s.cfg.Engine.View(fn)
}

func (s *Shard) readMeta(r engine.Reader, id string) (*record.Meta, error) {
	meta := &record.Meta{}
	found, err := load(r, metaKey(id), meta)
	if err == nil && !found {
		err = s.noObject(id)
	}
	return meta, err
}

func (s *Shard) noObject(id string) error {
	return fault.New(fault.NoObject, "No object exists in %s with partition %d and string id %s", s.cfg.Class, s.cfg.Partition, id)
}

func (s *Shard) ref(id string) object.Ref {
	return object.Ref{Class: s.cfg.Class, Partition: s.cfg.Partition, ID: id}
}

// cacheKey is unique for shard, object and entry; the empty entry key stands for the whole object.
func (s *Shard) cacheKey(id, key string) string {
	var b strings.Builder
	b.Grow(8 + len(id) + 1 + len(key))
	for shift := 0; shift < 64; shift += 8 {
		b.WriteByte(byte(s.id >> shift))
	}
	b.WriteString(id)
	b.WriteByte(0)
	b.WriteString(key)
	return b.String()
}

func metaOf(id string, m *record.Meta) object.Meta {
	return object.Meta{ID: id, Version: m.GetVersion(), Entries: m.GetEntries()}
}

func entryOf(key string, e *record.Entry) object.Entry {
	return object.Entry{Key: key, Data: e.GetData(), Type: e.GetType(), Version: e.GetVersion()}
}

// scanRecords decodes the records of a range one by one; it stops at the first that does not decode.
func scanRecords[T any, P interface {
	*T
	proto.Message
}](r engine.Reader, from, end []byte, fn func(key []byte, message P) (more bool)) error {
	var broken error
	err := r.Scan(from, end, func(key, value []byte) bool {
		message := P(new(T))
		if err := proto.Unmarshal(value, message); err != nil {
			broken = fmt.Errorf("decode record %q: %w", key, err)
			return false
		}
		return fn(key, message)
	})
	if err != nil {
		return err
	}
	return broken
}
