package endpoint

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// The words of OaaS-RS.
const (
	textInvalidID  = "invalid object id"
	textNoObject   = "object not found"
	textNoEntry    = "entry not found"
	textNoPayload  = "payload is required"
	textNotDecoded = "failed to decode payload"
)

// get answers with an object. Who reads it does not tell which generation of messages it knows, so keys and ids that are numbers are in both forms.
func (r *request) get(ctx context.Context) error {
	if r.query.Payload() != nil {
		return fault.New(fault.InvalidArgument, "a read has no payload; to write the object, ask its key with /set behind it")
	}
	t, err := r.named()
	if err != nil {
		return err
	}
	obj, ref, err := r.e.grid.Get(ctx, t, object.Everything)
	switch fault.CodeOf(err) {
	case "":
	case fault.NoObject:
		return refuse(textNoObject, err)
	case fault.InvalidObjectID:
		return refuse(textInvalidID, err)
	default:
		return refuse("get failed: "+err.Error(), err)
	}
	r.at(ref.Partition)
	return r.reply(ctx, message.ObjectOf(ref, &obj, true), version(obj.Version))
}

// named gives the object of the key; without one there, of the parameters oid or oid_str.
func (r *request) named() (odgm.Target, error) {
	k := r.key
	if k.Kind == keys.Objects {
		k.Object = "?" // no id
		for _, name := range []string{"oid", "oid_str"} {
			if id, ok := r.query.Parameters().Get(name); ok {
				k.Object = keys.CanonicalID(id)
			}
		}
	}
	return r.class.target(k)
}

func version(n uint64) map[string]string {
	return map[string]string{keys.Version: strconv.FormatUint(n, 10)}
}

// entry answers with one entry.
func (r *request) entry(ctx context.Context) error {
	t, err := r.class.target(r.key)
	if err != nil {
		return err
	}
	key, err := object.NormalizeKey(r.key.Name)
	if err != nil {
		return refuse(fmt.Sprintf("invalid entry key '%s': %s", message.Shortened(r.key.Name), err), err)
	}
	e, meta, err := r.e.grid.Entry(ctx, t, key)
	switch fault.CodeOf(err) {
	case "":
	case fault.NoObject, fault.NoEntry:
		return refuse(textNoEntry, err)
	default:
		return err
	}
	if r.key.Partition == keys.Any {
		if spec := r.class.spec.Load(); spec != nil {
			r.at(odgm.PartitionOf(t.ID, spec.Partitions))
		}
	}
	return r.reply(ctx, &oprc.ValueResponse{
		Value: &oprc.ValData{Data: e.Data, Type: e.Type}, ObjectVersion: &meta.Version, Key: &key,
	}, version(meta.Version))
}

// set writes the entries that are given, and the triggers if there are any.
func (r *request) set(ctx context.Context) error {
	if r.query.Payload() == nil {
		return refuse(textNoPayload, fault.New(fault.InvalidArgument, textNoPayload))
	}
	t, err := r.class.target(r.key)
	if err != nil {
		return err
	}
	change, err := written(r.query.Payload())
	if err != nil {
		return err
	}
	return r.write(ctx, t, change, func(err error) error { return refuse("upsert failed: "+err.Error(), err) })
}

// written reads what an object is written with.
func written(payload []byte) (object.Change, error) {
	var m oprc.ObjData
	if err := proto.Unmarshal(payload, &m); err != nil {
		return object.Change{}, refuse(textNotDecoded, fault.Wrap(fault.DecodeError, err, textNotDecoded))
	}
	change, err := message.Write("", &m)
	if err != nil {
		return change, refuse("upsert failed: "+err.Error(), err)
	}
	return change, nil
}

// write makes a change, and answers that it is made.
func (r *request) write(ctx context.Context, t odgm.Target, change object.Change, explain func(error) error) error {
	opt, err := message.WriteOptions(r.header)
	if err != nil {
		return err
	}
	w, err := r.e.grid.Write(ctx, t, change, opt)
	if err != nil {
		return explain(err)
	}
	r.at(w.Ref.Partition)
	return r.reply(ctx, &oprc.EmptyResponse{}, version(w.Version))
}

// batchSet sets and deletes entries as one change.
func (r *request) batchSet(ctx context.Context) error {
	if r.query.Payload() == nil {
		return refuse(textNoPayload, fault.New(fault.InvalidArgument, textNoPayload))
	}
	t, err := r.class.target(r.key)
	if err != nil {
		return err
	}
	var m oprc.BatchSetValuesRequest
	if err := proto.Unmarshal(r.query.Payload(), &m); err != nil {
		return refuse("failed to decode batch request: "+err.Error(), fault.Wrap(fault.DecodeError, err, "batch request"))
	}
	if err := checkBatch(&m); err != nil {
		return err
	}
	change, err := message.Batch(&m)
	if err != nil {
		return err
	}
	return r.write(ctx, t, change, func(err error) error { return r.explainBatch(t, &change, err) })
}

// checkBatch refuses keys in the words of OaaS-RS.
func checkBatch(m *oprc.BatchSetValuesRequest) error {
	bad := func(what, key string) error {
		if _, err := object.NormalizeKey(key); err != nil {
			return refuse(fmt.Sprintf("invalid %s key '%s': %s", what, message.Shortened(key), err), err)
		}
		return nil
	}
	for key := range m.GetValues() {
		if err := bad("entry", key); err != nil {
			return err
		}
	}
	for _, key := range m.GetDeleteKeys() {
		if err := bad("delete", key); err != nil {
			return err
		}
	}
	return nil
}

// explainBatch says why a batch was refused. Another version than the expected one is told as OaaS-RS does, as far as it is known by now.
func (r *request) explainBatch(t odgm.Target, change *object.Change, err error) error {
	if fault.CodeOf(err) != fault.VersionMismatch || change.Expect.Version == nil {
		return err
	}
	obj, _, other := r.e.grid.Get(r.query.Context(), t, object.Selector{})
	if other != nil && fault.CodeOf(other) != fault.NoObject {
		return err
	}
	return refuse(fmt.Sprintf("version mismatch: expected %d, got %d", *change.Expect.Version, obj.Version), err)
}

// listObjects answers with a row for each object of a page.
func (r *request) listObjects(ctx context.Context) error {
	var m oprc.ListObjectsRequest
	if err := proto.Unmarshal(r.query.Payload(), &m); err != nil {
		return refuse("failed to decode list request: "+err.Error(), fault.Wrap(fault.DecodeError, err, "list request"))
	}
	t, err := r.class.target(keys.In(r.class.name, r.key.Partition))
	if err != nil {
		return err
	}
	page, err := message.Page("object_id_prefix", m.GetObjectIdPrefix(), m.GetLimit(), m.GetCursor())
	if err != nil {
		return refuse("list_objects failed: "+err.Error(), err)
	}
	metas, next, err := r.e.grid.ListObjects(ctx, t.Class, t.Partition, page)
	if err != nil {
		return refuse("list_objects failed: "+err.Error(), err)
	}
	if len(next) > 0 && len(metas) == 0 {
		return errors.New("list_objects failed: a page without rows is not the last one")
	}
	for _, row := range message.Rows(metas, next) {
		if err := r.reply(ctx, row, nil); err != nil {
			return err
		}
	}
	return nil
}
