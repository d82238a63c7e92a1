package rpc

import (
	"context"
	"errors"
	"hash/fnv"
	"maps"
	"slices"
	"strconv"
	"strings"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// data serves oprc.DataService.
type data struct {
	oprc.UnimplementedDataServiceServer
	grid Grid
}

// Get gives an object with all of its entries.
func (d *data) Get(ctx context.Context, r *oprc.SingleObjectRequest) (*oprc.ObjectResponse, error) {
	t, older, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return nil, err
	}
	return d.object(ctx, t, older)
}

func (d *data) object(ctx context.Context, t odgm.Target, older bool) (*oprc.ObjectResponse, error) {
	obj, ref, err := d.grid.Get(ctx, t, object.Everything)
	if err != nil {
		return nil, err
	}
	return &oprc.ObjectResponse{Obj: messageOf(ref, &obj, older)}, nil
}

// messageOf gives an object as a message. The id is in both forms if it can be; entries and triggers, which may be large, are in both forms only for
// clients of the older generation.
func messageOf(ref object.Ref, obj *object.Object, older bool) *oprc.ObjData {
	m := &oprc.ObjData{
		Metadata: &oprc.ObjMeta{ClsId: ref.Class, PartitionId: ref.Partition, ObjectId: &ref.ID, NumericObjectId: oprc.NumericID(ref.ID)},
		Event:    obj.Triggers,
		Entries:  make(map[string]*oprc.ValData, len(obj.State)),
	}
	values := make([]oprc.ValData, len(obj.State))
	for i := range obj.State {
		e := &obj.State[i]
		values[i].Data, values[i].Type = e.Data, e.Type
		m.Entries[e.Key] = &values[i]
	}
	if older {
		return m.WithNumbers()
	}
	return m
}

// Set writes the entries that are given, and the triggers if there are any.
func (d *data) Set(ctx context.Context, r *oprc.SetObjectRequest) (*oprc.EmptyResponse, error) {
	_, _, err := d.set(ctx, r, false)
	return empty(err)
}

// Merge is Set, but answers with the object.
func (d *data) Merge(ctx context.Context, r *oprc.SetObjectRequest) (*oprc.ObjectResponse, error) {
	t, older, err := d.set(ctx, r, true)
	if err != nil {
		return nil, err
	}
	return d.object(ctx, t, older)
}

func (d *data) set(ctx context.Context, r *oprc.SetObjectRequest, merge bool) (odgm.Target, bool, error) {
	t, older, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return t, older, err
	}
	if r.GetObject() == nil {
		return t, older, invalid(fault.InvalidArgument, "object", "object must not be none")
	}
	r.Object.ToText()
	puts, err := putsOf("object.entries", r.Object.GetEntries())
	if err != nil {
		return t, older, err
	}
	return t, older, d.write(ctx, t, object.Change{Puts: puts, Triggers: r.Object.GetEvent(), Merge: merge})
}

// putsOf gives the entries to write, in the order of their keys, which are normal afterwards.
func putsOf(field string, values map[string]*oprc.ValData) ([]object.Entry, error) {
	puts := make([]object.Entry, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		normal, err := normalKey(field, key)
		var put object.Entry
		if err == nil {
			put, err = putOf(field, normal, values[key])
		}
		if wrong, ok := errors.AsType[*fieldError](err); ok { // only now is the path worth making
			wrong.field = field + "[" + strconv.Quote(shortened(key)) + "]" + strings.TrimPrefix(wrong.field, field)
		}
		if err != nil {
			return nil, err
		}
		puts = append(puts, put)
	}
	return puts, nil
}

func putOf(field, key string, v *oprc.ValData) (object.Entry, error) {
	kind := v.GetType()
	if kind != oprc.ValType_VAL_TYPE_BYTE && kind != oprc.ValType_VAL_TYPE_CRDT_MAP {
		return object.Entry{}, invalid(fault.InvalidArgument, field+".type",
			"entry %q: there is no value type %d; allowed are 0 (byte) and 1 (CRDT map)", key, kind)
	}
	return object.Entry{Key: key, Data: v.GetData(), Type: kind}, nil
}

func (d *data) write(ctx context.Context, t odgm.Target, change object.Change) error {
	opt, err := onBehalf(ctx)
	if err == nil {
		_, err = d.grid.Write(ctx, t, change, opt)
	}
	return err
}

// Delete removes an object; that there is none is no error.
func (d *data) Delete(ctx context.Context, r *oprc.SingleObjectRequest) (*oprc.EmptyResponse, error) {
	t, _, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return nil, err
	}
	opt, err := onBehalf(ctx)
	if err == nil {
		_, err = d.grid.Delete(ctx, t, object.Expect{}, opt)
	}
	return empty(err)
}

// GetValue gives one entry. Where there is none it answers without a value, as OaaS-RS does.
func (d *data) GetValue(ctx context.Context, r *oprc.SingleKeyRequest) (*oprc.ValueResponse, error) {
	t, key, err := keyTarget(r)
	if err != nil {
		return nil, err
	}
	entry, meta, err := d.grid.Entry(ctx, t, key)
	answer := &oprc.ValueResponse{Key: &key}
	switch fault.CodeOf(err) {
	case "":
		answer.Value = &oprc.ValData{Data: entry.Data, Type: entry.Type}
		answer.ObjectVersion = &meta.Version
	case fault.NoEntry:
		answer.ObjectVersion = &meta.Version
	case fault.NoObject:
	default:
		return nil, err
	}
	return answer, nil
}

func keyTarget(r *oprc.SingleKeyRequest) (odgm.Target, string, error) {
	t, older, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return t, "", err
	}
	key, err := entryKey(r.Key, r.NumericKey, older)
	return t, key, err
}

// SetValue writes one entry, of a new object if there is none.
func (d *data) SetValue(ctx context.Context, r *oprc.SetKeyRequest) (*oprc.EmptyResponse, error) {
	t, older, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return nil, err
	}
	key, err := entryKey(r.Key, r.NumericKey, older)
	if err != nil {
		return nil, err
	}
	if r.GetValue() == nil {
		return nil, invalid(fault.InvalidArgument, "value", "object must not be none")
	}
	put, err := putOf("value", key, r.GetValue())
	if err != nil {
		return nil, err
	}
	return empty(d.write(ctx, t, object.Change{Puts: []object.Entry{put}}))
}

// DeleteValue removes one entry; that there is none is no error.
func (d *data) DeleteValue(ctx context.Context, r *oprc.SingleKeyRequest) (*oprc.EmptyResponse, error) {
	t, key, err := keyTarget(r)
	if err != nil {
		return nil, err
	}
	return empty(d.write(ctx, t, object.Change{Deletes: []string{key}, NoCreate: true}))
}

// BatchSetValues sets and deletes entries as one change. The expected version counts only if the batch has something to do, as in OaaS-RS.
func (d *data) BatchSetValues(ctx context.Context, r *oprc.BatchSetValuesRequest) (*oprc.EmptyResponse, error) {
	t, _, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, nil)
	if err != nil {
		return nil, err
	}
	change := object.Change{NoCreate: true}
	if change.Puts, err = putsOf("values", r.GetValues()); err != nil {
		return nil, err
	}
	if change.Deletes, err = deletesOf(r.GetDeleteKeys()); err != nil {
		return nil, err
	}
	change.Puts = slices.DeleteFunc(change.Puts, func(e object.Entry) bool {
		_, found := slices.BinarySearch(change.Deletes, e.Key)
		return found // what is set and deleted is gone afterwards
	})
	if len(change.Puts)+len(change.Deletes) > 0 {
		change.Expect.Version = r.ExpectedObjectVersion
	}
	return empty(d.write(ctx, t, change))
}

// deletesOf gives the keys in ascending order, each once.
func deletesOf(keys []string) ([]string, error) {
	deletes := make([]string, 0, len(keys))
	for i, key := range keys {
		normal, err := normalKey("delete_keys["+strconv.Itoa(i)+"]", key)
		if err != nil {
			return nil, err
		}
		deletes = append(deletes, normal)
	}
	slices.Sort(deletes)
	return slices.Compact(deletes), nil
}

// Stats gives one row for each partition.
func (d *data) Stats(ctx context.Context, _ *oprc.StatsRequest) (*oprc.StatsResponse, error) {
	stats, err := d.grid.Stats(ctx)
	if err != nil {
		return nil, err
	}
	answer := &oprc.StatsResponse{Shards: make([]*oprc.ShardStats, 0, len(stats))}
	for _, s := range stats {
		answer.Shards = append(answer.Shards, &oprc.ShardStats{
			Collection: s.Class, PartitionId: s.Partition, ShardId: shardID(s.Class, s.Partition), Count: s.Objects,
		})
	}
	return answer, nil
}

// shardID gives the number of a shard, which is the 64-bit FNV-1a hash of "class/partition": shards have names here, and clients want a number that
// stays the same.
func shardID(class string, partition uint32) uint64 {
	h := fnv.New64a()
	h.Write([]byte(class + "/" + strconv.FormatUint(uint64(partition), 10)))
	return h.Sum64()
}

// Capabilities says what the service can do: all of it.
func (d *data) Capabilities(context.Context, *oprc.CapabilitiesRequest) (*oprc.CapabilitiesResponse, error) {
	return &oprc.CapabilitiesResponse{StringIds: true, StringEntryKeys: true, GranularEntryStorage: true, EventPipelineV2: true}, nil
}

func empty(err error) (*oprc.EmptyResponse, error) {
	if err != nil {
		return nil, err
	}
	return &oprc.EmptyResponse{}, nil
}
