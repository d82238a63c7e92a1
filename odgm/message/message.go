// Package message turns the messages of OaaS-RS (package api/oprc) into what the grid takes, and what the grid gives into messages. All entrances
// that speak them share it: gRPC and Zenoh.
//
// Guarantee: messages of both generations are understood. Ids and keys are normal afterwards. What cannot be meant is a [FieldError] that names the
// field of the message, with a fault below it.
package message

import (
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

// FieldError is a fault whose cause is one field of a message.
type FieldError struct {
	Field string
	Fault *fault.Error
}

// Error gives the message of the fault.
func (e *FieldError) Error() string { return e.Fault.Message }

// Unwrap gives the fault.
func (e *FieldError) Unwrap() error { return e.Fault }

// Invalid makes a FieldError.
func Invalid(code fault.Code, field, format string, args ...any) error {
	return &FieldError{Field: field, Fault: fault.New(code, format, args...)}
}

// Target gives the object that a request names, and whether in the older form. The partition is taken as it is: there is none that stands for any.
func Target(class string, partition int64, text *string, number *uint64) (t odgm.Target, older bool, err error) {
	id, older := oprc.ObjectID(text, number)
	if id == "" {
		return t, older, Invalid(fault.InvalidObjectID, "object_id", "object_id required")
	}
	id, err = normalID(id)
	if err != nil {
		return t, older, err
	}
	shard, err := Partition(class, partition)
	return odgm.Target{Class: class, Partition: shard, ID: id}, older, err
}

// normalID checks an id, with the texts of OaaS-RS.
func normalID(id string) (string, error) {
	normal, err := object.NormalizeID(id)
	switch {
	case err == nil:
		return normal, nil
	case len(id) > object.MaxIDLength:
		return "", Invalid(fault.InvalidObjectID, "object_id", "invalid identity: exceeds maximum length %d (got %d)", object.MaxIDLength, len(id))
	}
	return "", Invalid(fault.InvalidObjectID, "object_id",
		"invalid identity: invalid characters present in %q: allowed are a-z 0-9 . _ : -", Shortened(id))
}

// EntryKey checks the key of a request, with the texts of OaaS-RS.
func EntryKey(text *string, number *uint32, older bool) (string, error) {
	key := oprc.EntryKey(text, number, older)
	if key == "" && text == nil {
		return "", Invalid(fault.InvalidArgument, "key", "key required")
	}
	return normalKey("key", key)
}

func normalKey(field, key string) (string, error) {
	normal, err := object.NormalizeKey(key)
	if err != nil {
		return "", &FieldError{Field: field, Fault: fault.From(err)}
	}
	return normal, nil
}

// MaxPartition is the highest number that a partition can have.
const MaxPartition = 1<<16 - 1

// Partition checks the number of a partition.
func Partition(class string, partition int64) (int, error) {
	if partition < 0 || partition > MaxPartition {
		return 0, Invalid(fault.NoPartition, "partition_id",
			"class %s has no partition %d: partitions are numbered from 0 to at most %d", class, partition, MaxPartition)
	}
	return int(partition), nil
}

// Shortened gives the beginning of a text that goes into a message for people.
func Shortened(text string) string {
	const most = 200
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

// ObjectOf gives an object as a message. The id is in both forms if it can be; entries and triggers, which may be large, are in both forms only for
// clients of the older generation.
func ObjectOf(ref object.Ref, obj *object.Object, older bool) *oprc.ObjData {
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

// Write gives the change that an object is written with: the entries that are given, and the triggers if there are any. The message is in the
// current form afterwards. Field is where the object is in its request, empty for a request that is the object.
func Write(field string, m *oprc.ObjData) (object.Change, error) {
	m.ToText()
	if field != "" {
		field += "."
	}
	puts, err := putsOf(field+"entries", m.GetEntries())
	return object.Change{Puts: puts, Triggers: m.GetEvent()}, err
}

// putsOf gives the entries to write, in the order of their keys, which are normal afterwards.
func putsOf(field string, values map[string]*oprc.ValData) ([]object.Entry, error) {
	puts := make([]object.Entry, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		normal, err := normalKey(field, key)
		var put object.Entry
		if err == nil {
			put, err = Put(field, normal, values[key])
		}
		if wrong, ok := errors.AsType[*FieldError](err); ok { // only now is the path worth making
			wrong.Field = field + "[" + strconv.Quote(Shortened(key)) + "]" + strings.TrimPrefix(wrong.Field, field)
		}
		if err != nil {
			return nil, err
		}
		puts = append(puts, put)
	}
	return puts, nil
}

// Put gives one entry to write. Its key must be normal.
func Put(field, key string, v *oprc.ValData) (object.Entry, error) {
	kind := v.GetType()
	if kind != oprc.ValType_VAL_TYPE_BYTE && kind != oprc.ValType_VAL_TYPE_CRDT_MAP {
		return object.Entry{}, Invalid(fault.InvalidArgument, field+".type",
			"entry %q: there is no value type %d; allowed are 0 (byte) and 1 (CRDT map)", key, kind)
	}
	return object.Entry{Key: key, Data: v.GetData(), Type: kind}, nil
}

// Batch gives the change of a batch: entries that are set, and entries that are deleted. What is both is gone afterwards. The expected version
// counts only if the batch has something to do, as in OaaS-RS.
func Batch(r *oprc.BatchSetValuesRequest) (change object.Change, err error) {
	change.NoCreate = true
	if change.Puts, err = putsOf("values", r.GetValues()); err != nil {
		return change, err
	}
	if change.Deletes, err = deletesOf(r.GetDeleteKeys()); err != nil {
		return change, err
	}
	change.Puts = slices.DeleteFunc(change.Puts, func(e object.Entry) bool {
		_, found := slices.BinarySearch(change.Deletes, e.Key)
		return found
	})
	if len(change.Puts)+len(change.Deletes) > 0 {
		change.Expect.Version = r.ExpectedObjectVersion
	}
	return change, nil
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

// Page makes a page; a limit of 0 means the default, and one above the maximum means that. Field is that of the prefix.
func Page(field, prefix string, limit uint32, cursor []byte) (object.Page, error) {
	prefix, err := object.NormalizePrefix(prefix)
	if err != nil {
		return object.Page{}, &FieldError{Field: field, Fault: fault.From(err)}
	}
	return object.Page{Prefix: prefix, Limit: int(min(limit, object.MaxLimit)), Cursor: cursor}, nil
}

// Rows gives the rows of a list of objects. The last one has the cursor of the next page, if there is one.
func Rows(metas []object.Meta, next []byte) []*oprc.ObjectMetaEnvelope {
	rows := make([]*oprc.ObjectMetaEnvelope, len(metas))
	for i, meta := range metas {
		rows[i] = &oprc.ObjectMetaEnvelope{ObjectId: meta.ID, Version: meta.Version, EntryCount: meta.Entries}
	}
	if len(rows) > 0 {
		rows[len(rows)-1].NextCursor = next
	}
	return rows
}

// ShardID gives the number of a shard, which is the 64-bit FNV-1a hash of "class/partition": shards have names here, and clients want a number that
// stays the same.
func ShardID(class string, partition uint32) uint64 {
	h := fnv.New64a()
	h.Write([]byte(class + "/" + strconv.FormatUint(uint64(partition), 10)))
	return h.Sum64()
}
