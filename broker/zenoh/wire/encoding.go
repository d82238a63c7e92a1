package wire

import (
	"strconv"
	"strings"
)

// Encoding says what a payload is. The zero value is zenoh/bytes, the default of the protocol.
type Encoding struct {
	ID     uint32 // at most 31 bits; one of the table, or any other, which is handed on as it is
	Schema []byte
}

// EncodingCustom is the id of an encoding that is not in the table; its schema is the whole text.
const EncodingCustom = 0xffff

// Ids of common encodings.
const (
	EncodingBytes       = 0
	EncodingString      = 1
	EncodingSerialized  = 2
	EncodingOctetStream = 3
	EncodingTextPlain   = 4
	EncodingJSON        = 5
	EncodingTextJSON    = 6
	EncodingCBOR        = 8
	EncodingProtobuf    = 13
)

// encodings has the names by id.
var encodings = [...]string{
	"zenoh/bytes", "zenoh/string", "zenoh/serialized", "application/octet-stream", "text/plain", "application/json", "text/json",
	"application/cdr", "application/cbor", "application/yaml", "text/yaml", "text/json5", "application/python-serialized-object",
	"application/protobuf", "application/java-serialized-object", "application/openmetrics-text", "image/png", "image/jpeg", "image/gif",
	"image/bmp", "image/webp", "application/xml", "application/x-www-form-urlencoded", "text/html", "text/xml", "text/css",
	"text/javascript", "text/markdown", "text/csv", "application/sql", "application/coap-payload", "application/json-patch+json",
	"application/json-seq", "application/jsonpath", "application/jwt", "application/mp4", "application/soap+xml", "application/yang",
	"audio/aac", "audio/flac", "audio/mp4", "audio/ogg", "audio/vorbis", "video/h261", "video/h263", "video/h264", "video/h265",
	"video/h266", "video/mp4", "video/ogg", "video/raw", "video/vp8", "video/vp9",
}

// encodingIDs has the ids by name.
var encodingIDs = func() map[string]uint32 {
	ids := make(map[string]uint32, len(encodings))
	for id, name := range encodings {
		ids[name] = uint32(id)
	}
	return ids
}()

// ParseEncoding gives the encoding that text means: a name of the table, a name and a schema with a semicolon between, or any text at all. The
// empty text is the default.
func ParseEncoding(s string) Encoding {
	if s == "" {
		return Encoding{}
	}
	name, schema, found := strings.Cut(s, ";")
	id, known := encodingIDs[name]
	switch {
	case !known:
		return Encoding{ID: EncodingCustom, Schema: []byte(s)}
	case !found || schema == "":
		return Encoding{ID: id}
	}
	return Encoding{ID: id, Schema: []byte(schema)}
}

// String gives the text of the encoding. It is "unknown(n)" for an id that is not in the table.
func (e Encoding) String() string {
	if e.ID == EncodingCustom {
		return string(e.Schema)
	}
	name := "unknown(" + strconv.FormatUint(uint64(e.ID), 10) + ")"
	if int64(e.ID) < int64(len(encodings)) {
		name = encodings[e.ID]
	}
	if len(e.Schema) == 0 {
		return name
	}
	return name + ";" + string(e.Schema)
}

// IsZero tells whether this is the default encoding.
func (e *Encoding) IsZero() bool { return e.ID == 0 && len(e.Schema) == 0 }

const encodingSchema = 1 // the bit that says that a schema follows

func (r *reader) encoding() (e Encoding) {
	v := r.z32()
	e.ID = v >> 1
	if v&encodingSchema != 0 {
		e.Schema = r.bytes(bound8)
	}
	return e
}

func (e *Encoding) append(b []byte) []byte {
	if len(e.Schema) == 0 {
		return AppendZInt(b, uint64(e.ID)<<1)
	}
	return appendBytes(AppendZInt(b, uint64(e.ID)<<1|encodingSchema), e.Schema)
}

func (e *Encoding) size() int {
	n := ZIntLen(uint64(e.ID) << 1)
	if len(e.Schema) > 0 {
		n += ZIntLen(uint64(len(e.Schema))) + len(e.Schema)
	}
	return n
}
