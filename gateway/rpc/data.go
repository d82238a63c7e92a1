package rpc

import (
	"context"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// data serves oprc.DataService.
type data struct {
	oprc.UnimplementedDataServiceServer
	grid Grid
}

// Get gives an object with all of its entries.
func (d *data) Get(ctx context.Context, r *oprc.SingleObjectRequest) (*oprc.ObjectResponse, error) {
	t, older, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
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
	return &oprc.ObjectResponse{Obj: message.ObjectOf(ref, &obj, older)}, nil
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
	t, older, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return t, older, err
	}
	if r.GetObject() == nil {
		return t, older, message.Invalid(fault.InvalidArgument, "object", "object must not be none")
	}
	change, err := message.Write("object", r.Object)
	if err != nil {
		return t, older, err
	}
	change.Merge = merge
	return t, older, d.write(ctx, t, change)
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
	t, _, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
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
	t, older, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return t, "", err
	}
	key, err := message.EntryKey(r.Key, r.NumericKey, older)
	return t, key, err
}

// SetValue writes one entry, of a new object if there is none.
func (d *data) SetValue(ctx context.Context, r *oprc.SetKeyRequest) (*oprc.EmptyResponse, error) {
	t, older, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return nil, err
	}
	key, err := message.EntryKey(r.Key, r.NumericKey, older)
	if err != nil {
		return nil, err
	}
	if r.GetValue() == nil {
		return nil, message.Invalid(fault.InvalidArgument, "value", "object must not be none")
	}
	put, err := message.Put("value", key, r.GetValue())
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
	t, _, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, nil)
	if err != nil {
		return nil, err
	}
	change, err := message.Batch(r)
	if err != nil {
		return nil, err
	}
	return empty(d.write(ctx, t, change))
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
			Collection: s.Class, PartitionId: s.Partition, ShardId: message.ShardID(s.Class, s.Partition), Count: s.Objects,
		})
	}
	return answer, nil
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
