package gateway

import (
	"fmt"
	"maps"
	"slices"
	"strconv"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// appendObjectJSON appends the JSON form of an object, which is that of its ObjData.
func appendObjectJSON(dst []byte, ref object.Ref, obj *object.Object) []byte {
	dst = append(dst, `{"metadata":{"cls_id":`...)
	dst = oprc.AppendString(dst, ref.Class)
	dst = append(dst, `,"partition_id":`...)
	dst = strconv.AppendUint(dst, uint64(ref.Partition), 10)
	dst = append(dst, `,"object_id":`...)
	dst = oprc.AppendString(dst, ref.ID)
	dst = append(dst, `},"event":`...)
	dst = obj.Triggers.AppendJSON(dst)
	dst = append(dst, `,"entries":{`...)
	for i := range obj.State {
		if i > 0 {
			dst = append(dst, ',')
		}
		e := &obj.State[i]
		dst = oprc.AppendString(dst, e.Key)
		dst = append(dst, ':')
		dst = oprc.AppendValue(dst, e.Data, e.Type)
	}
	return append(dst, "}}"...)
}

// Field numbers of api/oprc/data.proto.
const (
	objMetadata, objEvent, objEntries    = 1, 3, 4
	metaClass, metaPartition, metaObject = 1, 2, 4
	mapKey, mapValue                     = 1, 2
	valueData, valueType                 = 1, 2
)

// oneByteTag is the length of the tag of a field with a number below 16.
const oneByteTag = 1

// triggersProto gives the protobuf form of an object's triggers; nil if it has none.
func triggersProto(ref object.Ref, obj *object.Object) ([]byte, error) {
	if obj.Triggers == nil {
		return nil, nil
	}
	event, err := proto.MarshalOptions{Deterministic: true}.Marshal(obj.Triggers)
	if err != nil {
		return nil, fmt.Errorf("encode triggers of %s: %w", ref, err)
	}
	return event, nil
}

// appendObjectProto appends the protobuf form of an object, with the entries in order and default values left out, as OaaS-RS does. Event is
// what triggersProto gives.
func appendObjectProto(dst []byte, ref object.Ref, obj *object.Object, event []byte) []byte {
	meta := oneByteTag + protowire.SizeBytes(len(ref.Class)) + oneByteTag + protowire.SizeBytes(len(ref.ID))
	if ref.Partition != 0 {
		meta += oneByteTag + protowire.SizeVarint(uint64(ref.Partition))
	}
	dst = protowire.AppendTag(dst, objMetadata, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(meta))
	dst = protowire.AppendTag(dst, metaClass, protowire.BytesType)
	dst = protowire.AppendString(dst, ref.Class)
	if ref.Partition != 0 {
		dst = protowire.AppendTag(dst, metaPartition, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(ref.Partition))
	}
	dst = protowire.AppendTag(dst, metaObject, protowire.BytesType)
	dst = protowire.AppendString(dst, ref.ID)
	if obj.Triggers != nil {
		dst = protowire.AppendTag(dst, objEvent, protowire.BytesType)
		dst = protowire.AppendBytes(dst, event)
	}
	for i := range obj.State {
		dst = appendEntryProto(dst, &obj.State[i])
	}
	return dst
}

// appendEntryProto appends one pair of ObjData.entries.
func appendEntryProto(dst []byte, e *object.Entry) []byte {
	value := sizeOfValue(e)
	dst = protowire.AppendTag(dst, objEntries, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(oneByteTag+protowire.SizeBytes(len(e.Key))+oneByteTag+protowire.SizeBytes(value)))
	dst = protowire.AppendTag(dst, mapKey, protowire.BytesType)
	dst = protowire.AppendString(dst, e.Key)
	dst = protowire.AppendTag(dst, mapValue, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(value))
	return appendValueProto(dst, e)
}

func sizeOfValue(e *object.Entry) int {
	size := 0
	if len(e.Data) > 0 {
		size += oneByteTag + protowire.SizeBytes(len(e.Data))
	}
	if e.Type != 0 {
		size += oneByteTag + protowire.SizeVarint(uint64(e.Type))
	}
	return size
}

// appendValueProto appends the fields of a ValData.
func appendValueProto(dst []byte, e *object.Entry) []byte {
	if len(e.Data) > 0 {
		dst = protowire.AppendTag(dst, valueData, protowire.BytesType)
		dst = protowire.AppendBytes(dst, e.Data)
	}
	if e.Type != 0 {
		dst = protowire.AppendTag(dst, valueType, protowire.VarintType)
		dst = protowire.AppendVarint(dst, uint64(e.Type))
	}
	return dst
}

// encoding is how a body is written.
type encoding int

const (
	encodingJSON encoding = iota
	encodingProtobuf
)

// encodingOf says how the body is written by its content type; without one it is protobuf.
func (x *exchange) encodingOf() (encoding, error) {
	switch mediaType := x.mediaType(); mediaType {
	case typeJSON:
		return encodingJSON, nil
	case typeProtobuf, typeOctets, "":
		return encodingProtobuf, nil
	default:
		return 0, fault.New(fault.UnsupportedType, "unsupported content-type: %s; allowed are %s, %s and %s",
			mediaType, typeJSON, typeProtobuf, typeOctets)
	}
}

// objectBody reads the body as an ObjData. Its metadata is ignored: the path says which object is meant.
func (x *exchange) objectBody() (*oprc.ObjData, error) {
	form, err := x.encodingOf()
	if err != nil {
		return nil, err
	}
	body, err := x.body()
	if err != nil {
		return nil, err
	}
	if form == encodingJSON {
		return oprc.DecodeObjData(body)
	}
	data := &oprc.ObjData{}
	return data, decodeProto(body, data)
}

// batchBody reads the body as several changes of one object. In protobuf it is a BatchSetValuesRequest, whose identity is ignored.
func (x *exchange) batchBody() (*oprc.Batch, error) {
	form, err := x.encodingOf()
	if err != nil {
		return nil, err
	}
	body, err := x.body()
	if err != nil {
		return nil, err
	}
	if form == encodingJSON {
		return oprc.DecodeBatch(body)
	}
	request := &oprc.BatchSetValuesRequest{}
	if err := decodeProto(body, request); err != nil {
		return nil, err
	}
	return &oprc.Batch{Set: request.GetValues(), Delete: request.GetDeleteKeys(), ExpectedVersion: request.ExpectedObjectVersion}, nil
}

// decodeProto reads a protobuf message. Where the wire format itself is broken, the error says at which byte of the message.
func decodeProto(body []byte, into proto.Message) error {
	err := proto.UnmarshalOptions{DiscardUnknown: true}.Unmarshal(body, into)
	if err == nil {
		return nil
	}
	for at := 0; at < len(body); {
		_, _, n := protowire.ConsumeField(body[at:])
		if n < 0 {
			return fault.New(fault.DecodeError, "Invalid protobuf: failed to decode Protobuf message: %v in the field at byte %d",
				protowire.ParseError(n), at)
		}
		at += n
	}
	return fault.New(fault.DecodeError, "Invalid protobuf: failed to decode Protobuf message: a field is not what %s says",
		into.ProtoReflect().Descriptor().Name())
}

// putsOf gives the entries to write, in the order of their keys.
func putsOf(values map[string]*oprc.ValData) ([]object.Entry, error) {
	if len(values) == 0 {
		return nil, nil
	}
	puts := make([]object.Entry, 0, len(values))
	for _, key := range slices.Sorted(maps.Keys(values)) {
		value := values[key]
		kind := value.GetType()
		if kind != oprc.ValType_VAL_TYPE_BYTE && kind != oprc.ValType_VAL_TYPE_CRDT_MAP {
			return nil, fault.New(fault.InvalidArgument, "entry %q: there is no value type %d; allowed are 0 (byte) and 1 (CRDT map)", key, kind)
		}
		puts = append(puts, object.Entry{Key: key, Data: value.GetData(), Type: kind})
	}
	return puts, nil
}

// Field numbers of ValueResponse.
const (
	responseValue, responseVersion, responseKey = 1, 2, 3
)

// appendValueResponse appends the protobuf form of a single entry.
func appendValueResponse(dst []byte, e *object.Entry, version uint64) []byte {
	dst = protowire.AppendTag(dst, responseValue, protowire.BytesType)
	dst = protowire.AppendVarint(dst, uint64(sizeOfValue(e)))
	dst = appendValueProto(dst, e)
	dst = protowire.AppendTag(dst, responseVersion, protowire.VarintType)
	dst = protowire.AppendVarint(dst, version)
	dst = protowire.AppendTag(dst, responseKey, protowire.BytesType)
	return protowire.AppendString(dst, e.Key)
}
