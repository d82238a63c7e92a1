package zenoh

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Encoding says what a payload is: an id, and text that says more. It is comparable. The zero value is EncodingZenohBytes.
type Encoding struct {
	id     uint32
	schema string
}

// The encodings that have an id.
var (
	EncodingZenohBytes                        = Encoding{id: 0}
	EncodingZenohString                       = Encoding{id: 1}
	EncodingZenohSerialized                   = Encoding{id: 2}
	EncodingApplicationOctetStream            = Encoding{id: 3}
	EncodingTextPlain                         = Encoding{id: 4}
	EncodingApplicationJSON                   = Encoding{id: 5}
	EncodingTextJSON                          = Encoding{id: 6}
	EncodingApplicationCDR                    = Encoding{id: 7}
	EncodingApplicationCBOR                   = Encoding{id: 8}
	EncodingApplicationYAML                   = Encoding{id: 9}
	EncodingTextYAML                          = Encoding{id: 10}
	EncodingTextJSON5                         = Encoding{id: 11}
	EncodingApplicationPythonSerializedObject = Encoding{id: 12}
	EncodingApplicationProtobuf               = Encoding{id: 13}
	EncodingApplicationJavaSerializedObject   = Encoding{id: 14}
	EncodingApplicationOpenMetricsText        = Encoding{id: 15}
	EncodingImagePNG                          = Encoding{id: 16}
	EncodingImageJPEG                         = Encoding{id: 17}
	EncodingImageGIF                          = Encoding{id: 18}
	EncodingImageBMP                          = Encoding{id: 19}
	EncodingImageWebP                         = Encoding{id: 20}
	EncodingApplicationXML                    = Encoding{id: 21}
	EncodingApplicationXWWWFormURLEncoded     = Encoding{id: 22}
	EncodingTextHTML                          = Encoding{id: 23}
	EncodingTextXML                           = Encoding{id: 24}
	EncodingTextCSS                           = Encoding{id: 25}
	EncodingTextJavaScript                    = Encoding{id: 26}
	EncodingTextMarkdown                      = Encoding{id: 27}
	EncodingTextCSV                           = Encoding{id: 28}
	EncodingApplicationSQL                    = Encoding{id: 29}
	EncodingApplicationCoAPPayload            = Encoding{id: 30}
	EncodingApplicationJSONPatchJSON          = Encoding{id: 31}
	EncodingApplicationJSONSeq                = Encoding{id: 32}
	EncodingApplicationJSONPath               = Encoding{id: 33}
	EncodingApplicationJWT                    = Encoding{id: 34}
	EncodingApplicationMP4                    = Encoding{id: 35}
	EncodingApplicationSOAPXML                = Encoding{id: 36}
	EncodingApplicationYANG                   = Encoding{id: 37}
	EncodingAudioAAC                          = Encoding{id: 38}
	EncodingAudioFLAC                         = Encoding{id: 39}
	EncodingAudioMP4                          = Encoding{id: 40}
	EncodingAudioOGG                          = Encoding{id: 41}
	EncodingAudioVorbis                       = Encoding{id: 42}
	EncodingVideoH261                         = Encoding{id: 43}
	EncodingVideoH263                         = Encoding{id: 44}
	EncodingVideoH264                         = Encoding{id: 45}
	EncodingVideoH265                         = Encoding{id: 46}
	EncodingVideoH266                         = Encoding{id: 47}
	EncodingVideoMP4                          = Encoding{id: 48}
	EncodingVideoOGG                          = Encoding{id: 49}
	EncodingVideoRaw                          = Encoding{id: 50}
	EncodingVideoVP8                          = Encoding{id: 51}
	EncodingVideoVP9                          = Encoding{id: 52}
)

// NewEncoding reads the text form: a name of the table, a name and a schema with a semicolon between, or any text at all.
func NewEncoding(s string) Encoding { return encodingOf(wire.ParseEncoding(s)) }

// WithSchema gives the encoding with another schema. On the wire a schema has at most 255 bytes.
func (e Encoding) WithSchema(schema string) Encoding { return Encoding{e.id, schema} }

// ID gives the number of the encoding, which is 65535 for one that is not in the table.
func (e Encoding) ID() uint32 { return e.id }

// Schema gives what the text form has behind the semicolon.
func (e Encoding) Schema() string { return e.schema }

// String gives the text form.
func (e Encoding) String() string { return e.wire().String() }

func (e Encoding) wire() wire.Encoding {
	w := wire.Encoding{ID: e.id}
	if e.schema != "" {
		w.Schema = bytesOf(e.schema)
	}
	return w
}

func encodingOf(w wire.Encoding) Encoding { return Encoding{w.ID, string(w.Schema)} }
