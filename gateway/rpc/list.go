package rpc

import (
	"google.golang.org/grpc"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// ListObjects sends a page of a partition's objects in byte order of their ids. The last row has the cursor of the next page, if there is one.
func (d *data) ListObjects(r *oprc.ListObjectsRequest, out grpc.ServerStreamingServer[oprc.ObjectMetaEnvelope]) error {
	partition, err := message.Partition(r.GetClsId(), int64(r.GetPartitionId()))
	if err != nil {
		return err
	}
	page, err := message.Page("object_id_prefix", r.GetObjectIdPrefix(), r.GetLimit(), r.GetCursor())
	if err != nil {
		return err
	}
	metas, next, err := d.grid.ListObjects(out.Context(), r.GetClsId(), partition, page)
	if err != nil {
		return err
	}
	for _, row := range message.Rows(metas, next) {
		if err := out.Send(row); err != nil {
			return err
		}
	}
	return nil
}

// ListValues sends a page of an object's entries in byte order of their keys; nothing where there is no such object.
func (d *data) ListValues(r *oprc.ListValuesRequest, out grpc.ServerStreamingServer[oprc.ValueEnvelope]) error {
	t, _, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, nil)
	if err != nil {
		return err
	}
	page, err := message.Page("key_prefix", r.GetKeyPrefix(), r.GetLimit(), r.GetCursor())
	if err != nil {
		return err
	}
	entries, meta, next, err := d.grid.ListEntries(out.Context(), t, page)
	switch {
	case fault.CodeOf(err) == fault.NoObject:
		return nil
	case err != nil:
		return err
	}
	for i, e := range entries {
		row := &oprc.ValueEnvelope{Key: e.Key, Value: &oprc.ValData{Data: e.Data, Type: e.Type}, Version: meta.Version}
		if i == len(entries)-1 {
			row.NextCursor = next
		}
		if err := out.Send(row); err != nil {
			return err
		}
	}
	return nil
}
