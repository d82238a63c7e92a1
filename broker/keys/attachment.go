package keys

import (
	"encoding/binary"
	"errors"
	"maps"
	"slices"
)

// Names in the attachments of requests. OaaS-RS has none; who knows them gets what HTTP and gRPC have headers for.
const (
	Traceparent    = "traceparent"
	Tracestate     = "tracestate"
	IdempotencyKey = "idempotency-key"
	Chain          = "oaas-chain"
	Depth          = "oaas-depth"
	ContentType    = "content-type"
)

// Names in the attachments of replies.
const (
	// Version is the version of the object that was read or written.
	Version = "oaas-version"
	// Code is the code of the platform (package api/fault) of an error; it is in the schema of the error's encoding, as errors have no attachment.
	Code = "oaas-code"
)

// MaxAttachment bounds the bytes of an attachment.
const MaxAttachment = 64 << 10

var errAttachment = errors.New("the attachment is no map of text to text in the serialization of Zenoh (in Python: zenoh.ext.z_serialize(dict))")

// EncodeAttachment gives a map of text as Zenoh serializes it: the number of pairs, then each name and value after its length; numbers are LEB128.
// Names are sorted. It gives nil for an empty map.
func EncodeAttachment(m map[string]string) []byte {
	if len(m) == 0 {
		return nil
	}
	b := binary.AppendUvarint(nil, uint64(len(m)))
	text := func(s string) {
		b = append(binary.AppendUvarint(b, uint64(len(s))), s...)
	}
	for _, name := range slices.Sorted(maps.Keys(m)) {
		text(name)
		text(m[name])
	}
	return b
}

// DecodeAttachment reads what EncodeAttachment wrote. Nothing is an empty map.
func DecodeAttachment(b []byte) (map[string]string, error) {
	if len(b) == 0 {
		return nil, nil
	}
	if len(b) > MaxAttachment {
		return nil, errAttachment
	}
	number := func() (uint64, bool) {
		n, size := binary.Uvarint(b)
		if size <= 0 {
			return 0, false
		}
		b = b[size:]
		return n, true
	}
	text := func() (string, bool) {
		n, ok := number()
		if !ok || n > uint64(len(b)) {
			return "", false
		}
		s := string(b[:n])
		b = b[n:]
		return s, true
	}
	n, ok := number()
	if !ok || n > uint64(len(b)) {
		return nil, errAttachment
	}
	m := make(map[string]string, min(n, 16))
	for range n {
		name, ok := text()
		value, more := text()
		if !ok || !more {
			return nil, errAttachment
		}
		m[name] = value
	}
	if len(b) > 0 {
		return nil, errAttachment
	}
	return m, nil
}
