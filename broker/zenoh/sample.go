package zenoh

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// SampleKind says what a sample does to its key.
type SampleKind uint8

// The kinds of samples.
const (
	SampleKindPut SampleKind = iota
	SampleKindDelete
)

// String names the kind.
func (k SampleKind) String() string {
	if k == SampleKindDelete {
		return "DELETE"
	}
	return "PUT"
}

// Sample is a value, or the end of one, under a key.
type Sample struct {
	key        KeyExpr
	payload    []byte
	attachment []byte
	encoding   Encoding
	timestamp  Timestamp
	source     SourceInfo
	qos        wire.QoS
	kind       SampleKind
	bestEffort bool
}

// KeyExpr gives the key.
func (s Sample) KeyExpr() KeyExpr { return s.key }

// Payload gives the value; a deletion has none.
func (s Sample) Payload() ZBytes { return s.payload }

// Kind tells whether it is a value or the end of one.
func (s Sample) Kind() SampleKind { return s.kind }

// Encoding says what the payload is.
func (s Sample) Encoding() Encoding { return s.encoding }

// Attachment gives what the publisher attached, or nil.
func (s Sample) Attachment() ZBytes { return s.attachment }

// Timestamp gives the time of the sample, or the zero value.
func (s Sample) Timestamp() Timestamp { return s.timestamp }

// SourceInfo says where the sample is from, if the publisher told.
func (s Sample) SourceInfo() SourceInfo { return s.source }

// Priority gives the priority that the sample was sent with.
func (s Sample) Priority() Priority { return s.qos.Priority }

// CongestionControl gives the congestion control that the sample was sent with.
func (s Sample) CongestionControl() CongestionControl {
	return CongestionControl(s.qos.Congestion) + CongestionControlDrop
}

// Express tells whether the sample was sent without waiting for others.
func (s Sample) Express() bool { return s.qos.Express }

// weight is what the sample takes of the bytes of a queue.
func (s *Sample) weight() int { return len(s.payload) + len(s.attachment) }

// fill takes over what a message says, on memory of its own.
func (s *Sample) fill(d *wire.Data, t *transport.Transport) {
	if d.Delete {
		s.kind = SampleKindDelete
	}
	s.payload = t.Own(d.Payload)
	s.attachment = t.Own(d.Attachment)
	s.encoding = encodingOf(d.Encoding)
	s.timestamp = d.Timestamp
	s.source = d.Source
}

// put puts the sample into a message that says nothing yet. Field by field, as copies of whole structs are half of the cost of a small message.
func (s *Sample) put(d *wire.Data) {
	d.Delete, d.Timestamp, d.Source = s.kind == SampleKindDelete, s.timestamp, s.source
	d.Encoding, d.Attachment, d.Payload = s.encoding.wire(), s.attachment, s.payload
}
