// Package oprc has the messages of objects and calls, wire-compatible with OaaS-RS: in protobuf as generated from the .proto files, and in
// the JSON form that its HTTP interface uses.
//
// Guarantee: the JSON form of a message is what OaaS-RS writes for it, apart from the order of map keys, which is fixed here; reading accepts
// what OaaS-RS accepts, refuses everything else with the position of the fault, and never panics.
package oprc

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"
)

// The JSON form of the messages is that of OaaS-RS, not proto3's: field names as in the .proto file, enums as integers, bytes as
// padded standard base64, and null for what is absent. It is written here by hand: no reflection, no allocation but the result's, and
// maps come out in the order of their keys, so that equal messages have equal texts.

// AppendJSON appends the JSON form of the object to dst.
func (x *ObjData) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"metadata":`...)
	dst = x.Metadata.AppendJSON(dst)
	dst = append(dst, `,"event":`...)
	dst = x.Event.AppendJSON(dst)
	dst = append(dst, `,"entries":`...)
	dst = appendMap(dst, x.Entries, appendMessage[*ValData])
	return append(dst, '}')
}

// AppendJSON appends the JSON form of the identity to dst.
func (x *ObjMeta) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"cls_id":`...)
	dst = AppendString(dst, x.ClsId)
	dst = append(dst, `,"partition_id":`...)
	dst = strconv.AppendUint(dst, uint64(x.PartitionId), 10)
	dst = append(dst, `,"object_id":`...)
	dst = appendOptional(dst, x.ObjectId)
	return append(dst, '}')
}

// AppendJSON appends the JSON form of the value to dst.
func (x *ValData) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	return AppendValue(dst, x.Data, x.Type)
}

// AppendValue appends the JSON form of a [ValData] with these fields to dst, for those who have no message at hand.
func AppendValue(dst, data []byte, kind ValType) []byte {
	dst = append(dst, `{"data":`...)
	dst = AppendBytes(dst, data)
	dst = append(dst, `,"type":`...)
	dst = strconv.AppendInt(dst, int64(kind), 10)
	return append(dst, '}')
}

// AppendJSON appends the JSON form of the triggers to dst.
func (x *ObjectEvent) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"func_trigger":`...)
	dst = appendMap(dst, x.FuncTrigger, appendMessage[*FuncTrigger])
	dst = append(dst, `,"data_trigger":`...)
	dst = appendMap(dst, x.DataTrigger, appendMessage[*DataTrigger])
	return append(dst, '}')
}

// AppendJSON appends the JSON form of the triggers of a method to dst.
func (x *FuncTrigger) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"on_complete":`...)
	dst = appendTargets(dst, x.OnComplete)
	dst = append(dst, `,"on_error":`...)
	dst = appendTargets(dst, x.OnError)
	return append(dst, '}')
}

// AppendJSON appends the JSON form of the triggers of an entry to dst.
func (x *DataTrigger) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"on_create":`...)
	dst = appendTargets(dst, x.OnCreate)
	dst = append(dst, `,"on_update":`...)
	dst = appendTargets(dst, x.OnUpdate)
	dst = append(dst, `,"on_delete":`...)
	dst = appendTargets(dst, x.OnDelete)
	return append(dst, '}')
}

func appendTargets(dst []byte, targets []*TriggerTarget) []byte {
	dst = append(dst, '[')
	for i, t := range targets {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = t.AppendJSON(dst)
	}
	return append(dst, ']')
}

// AppendJSON appends the JSON form of the target to dst. Its object id has its place before the method, as in OaaS-RS.
func (x *TriggerTarget) AppendJSON(dst []byte) []byte {
	if x == nil {
		return append(dst, "null"...)
	}
	dst = append(dst, `{"cls_id":`...)
	dst = AppendString(dst, x.ClsId)
	dst = append(dst, `,"partition_id":`...)
	dst = strconv.AppendUint(dst, uint64(x.PartitionId), 10)
	dst = append(dst, `,"object_id":`...)
	dst = appendOptional(dst, x.ObjectId)
	dst = append(dst, `,"fn_id":`...)
	dst = AppendString(dst, x.FnId)
	dst = append(dst, `,"req_options":`...)
	dst = appendMap(dst, x.ReqOptions, AppendString)
	return append(dst, '}')
}

func appendMessage[M interface{ AppendJSON([]byte) []byte }](dst []byte, m M) []byte {
	return m.AppendJSON(dst)
}

// appendMap appends a JSON object with the pairs of m in the order of their keys.
func appendMap[V any](dst []byte, m map[string]V, value func([]byte, V) []byte) []byte {
	if len(m) == 0 {
		return append(dst, "{}"...)
	}
	next := byte('{')
	for _, key := range slices.Sorted(maps.Keys(m)) {
		dst = append(dst, next)
		dst = AppendString(dst, key)
		dst = append(dst, ':')
		dst = value(dst, m[key])
		next = ','
	}
	return append(dst, '}')
}

func appendOptional(dst []byte, text *string) []byte {
	if text == nil {
		return append(dst, "null"...)
	}
	return AppendString(dst, *text)
}

// AppendBytes appends data to dst as a JSON string of padded standard base64.
func AppendBytes(dst, data []byte) []byte {
	dst = append(dst, '"')
	dst = base64.StdEncoding.AppendEncode(dst, data)
	return append(dst, '"')
}

// AppendString appends text to dst as a JSON string. Only what JSON demands is escaped; bytes that are not UTF-8 become U+FFFD.
func AppendString(dst []byte, text string) []byte {
	dst = append(dst, '"')
	start := 0
	for i := 0; i < len(text); {
		c := text[i]
		if c < utf8.RuneSelf {
			if c >= ' ' && c != '"' && c != '\\' {
				i++
				continue
			}
			dst = append(dst, text[start:i]...)
			dst = appendEscape(dst, c)
			i++
			start = i
			continue
		}
		r, size := utf8.DecodeRuneInString(text[i:])
		if r == utf8.RuneError && size == 1 {
			dst = append(dst, text[start:i]...)
			dst = append(dst, "\uFFFD"...)
			start = i + 1
		}
		i += size
	}
	dst = append(dst, text[start:]...)
	return append(dst, '"')
}

func appendEscape(dst []byte, c byte) []byte {
	const hex = "0123456789abcdef"
	switch c {
	case '"', '\\':
		return append(dst, '\\', c)
	case '\b':
		return append(dst, '\\', 'b')
	case '\f':
		return append(dst, '\\', 'f')
	case '\n':
		return append(dst, '\\', 'n')
	case '\r':
		return append(dst, '\\', 'r')
	case '\t':
		return append(dst, '\\', 't')
	}
	return append(dst, '\\', 'u', '0', '0', hex[c>>4], hex[c&15])
}
