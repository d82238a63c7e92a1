package wire

import "unicode/utf8"

// OAMLinkState is the id of the OAM message in which peers and routers tell each other which nodes they know.
const OAMLinkState = 0x0001

// OAM is a message for operation and maintenance among nodes. Receivers ignore ids that they do not know.
type OAM struct {
	ID        uint16
	QoS       QoS
	Timestamp Timestamp
	Value     uint64 // when the body is a number
	HasValue  bool
	Body      []byte // when the body is bytes
}

func (m *OAM) decode(r *reader, h byte) {
	*m = OAM{ID: r.z16()}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extQoS:
			m.QoS = qosOf(e.Value)
		case extTimestamp:
			m.Timestamp = r.timestampIn(&e)
		default:
			r.skip(&e)
		}
	}
	m.Value, m.HasValue, m.Body = r.oamBody(h)
}

// AppendBinary implements Message.
func (m *OAM) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	c := chain{b: AppendZInt(append(b, idOAM|oamEnc(m.HasValue, m.Body)), uint64(m.ID))}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	return appendOAMBody(c.close(start), m.HasValue, m.Value, m.Body), nil
}

// TransportOAM is the same among the two ends of a transport.
type TransportOAM struct {
	ID       uint16
	Priority Priority
	Value    uint64
	HasValue bool
	Body     []byte
}

func (m *TransportOAM) decode(r *reader, h byte) {
	*m = TransportOAM{ID: r.z16()}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		if e.ID == extPriority {
			m.Priority = PriorityOf(e.Value)
			continue
		}
		r.skip(&e)
	}
	m.Value, m.HasValue, m.Body = r.oamBody(h)
}

// AppendBinary implements Message.
func (m *TransportOAM) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	c := chain{b: AppendZInt(append(b, idTransportOAM|oamEnc(m.HasValue, m.Body)), uint64(m.ID))}
	c.priority(m.Priority)
	return appendOAMBody(c.close(start), m.HasValue, m.Value, m.Body), nil
}

func oamEnc(number bool, body []byte) byte {
	switch {
	case number:
		return extZ64
	case body != nil:
		return extBytes
	}
	return extUnit
}

func (r *reader) oamBody(h byte) (value uint64, number bool, body []byte) {
	switch h & extEnc {
	case extUnit:
	case extZ64:
		return r.z64(), true, nil
	case extBytes:
		return 0, false, r.bytes(bound32)
	default:
		r.fail(ErrMalformed)
	}
	return 0, false, nil
}

func appendOAMBody(b []byte, number bool, value uint64, body []byte) []byte {
	switch {
	case number:
		return AppendZInt(b, value)
	case body != nil:
		return appendBytes(b, body)
	}
	return b
}

// LinkState is what a node tells of one node that it knows, itself included.
type LinkState struct {
	PSID     uint64 // the sender's own number for the node
	SN       uint64
	ZID      ZID     // zero when it was told before
	WhatAmI  WhatAmI // zero is absent
	Locators []string
	Gateway  bool
	Links    []uint64 // numbers of the nodes that it is linked to
	Weights  []uint16 // of the links; nil is absent
}

// Options of a link-state entry.
const (
	linkZID      = 0x01
	linkWhatAmI  = 0x02
	linkLocators = 0x04
	linkWeights  = 0x08
	linkGateway  = 0x10
)

// DecodeLinkStates reads the body of an OAMLinkState message.
func DecodeLinkStates(body []byte) ([]LinkState, error) {
	r := reader{b: body}
	n := r.count(maxLinkStates, 4) // an entry has at least options, two numbers and a count
	list := make([]LinkState, 0, n)
	for range n {
		list = append(list, r.linkState())
		if r.err != nil {
			break
		}
	}
	if r.err == nil && r.left() > 0 {
		r.fail(ErrTrailing)
	}
	if r.err != nil {
		return nil, &DecodeError{Message: "link state", Offset: r.off, Err: r.err}
	}
	return list, nil
}

// Bounds of lists whose items take more memory than they have bytes.
const (
	maxLinkStates = 1 << 14
	maxLocators   = 1 << 8
)

// count reads the length of a list of at most bound items, each of which has at least size bytes. What does not fit into the rest of the
// input is refused, so that a list costs no more memory than its bytes justify.
func (r *reader) count(bound uint64, size int) int {
	n := r.z(bound)
	if n > uint64(r.left()/size) {
		r.fail(ErrTruncated)
		return 0
	}
	return int(n)
}

func (r *reader) linkState() (s LinkState) {
	options := r.z64()
	s.PSID, s.SN = r.z64(), r.z64()
	if options&linkZID != 0 {
		s.ZID = r.zidBytes()
	}
	if options&linkWhatAmI != 0 {
		if s.WhatAmI = WhatAmI(r.u8()); !s.WhatAmI.valid() {
			r.fail(ErrMalformed)
		}
	}
	if options&linkLocators != 0 {
		s.Locators = r.locators()
	}
	s.Gateway = options&linkGateway != 0
	if n := r.count(bound32, 1); n > 0 {
		s.Links = make([]uint64, n)
	}
	for i := range s.Links {
		s.Links[i] = r.z64()
	}
	if options&linkWeights != 0 && r.err == nil {
		s.Weights = make([]uint16, len(s.Links))
	}
	for i := range s.Weights {
		s.Weights[i] = r.z16()
	}
	return s
}

// locators reads a list of locators.
func (r *reader) locators() []string {
	n := r.count(maxLocators, 1)
	list := make([]string, 0, n)
	for range n {
		p := r.text(bound8)
		if r.err != nil {
			return nil
		}
		list = append(list, string(p))
	}
	return list
}

func appendLocators(b []byte, list []string) []byte {
	b = AppendZInt(b, uint64(len(list)))
	for _, s := range list {
		b = append(AppendZInt(b, uint64(len(s))), s...)
	}
	return b
}

// locatorsError tells whether a list of locators has no form on the wire.
func locatorsError(message string, list []string) error {
	for _, s := range list {
		switch {
		case len(s) > bound8:
			return &EncodeError{Message: message, Field: "locator", Err: ErrBound}
		case !utf8.ValidString(s):
			return &EncodeError{Message: message, Field: "locator", Err: ErrUTF8}
		}
	}
	return nil
}

// AppendLinkStates appends the body of an OAMLinkState message.
func AppendLinkStates(b []byte, list []LinkState) ([]byte, error) {
	start := len(b)
	b = AppendZInt(b, uint64(len(list)))
	for i := range list {
		s := &list[i]
		if err := s.check(); err != nil {
			return b[:start], err
		}
		b = s.append(b)
	}
	return b, nil
}

func (s *LinkState) check() error {
	switch {
	case s.WhatAmI != 0 && !s.WhatAmI.valid():
		return &EncodeError{Message: "link state", Field: "whatami", Err: ErrMalformed}
	case s.Weights != nil && len(s.Weights) != len(s.Links):
		return &EncodeError{Message: "link state", Field: "weights", Err: ErrMalformed}
	}
	return locatorsError("link state", s.Locators)
}

func (s *LinkState) append(b []byte) []byte {
	var options uint64
	set := func(bit uint64, present bool) {
		if present {
			options |= bit
		}
	}
	set(linkZID, !s.ZID.IsZero())
	set(linkWhatAmI, s.WhatAmI != 0)
	set(linkLocators, s.Locators != nil)
	set(linkWeights, s.Weights != nil)
	set(linkGateway, s.Gateway)
	b = AppendZInt(AppendZInt(AppendZInt(b, options), s.PSID), s.SN)
	if options&linkZID != 0 {
		b = appendZID(append(b, byte(s.ZID.Len())), s.ZID)
	}
	if options&linkWhatAmI != 0 {
		b = append(b, byte(s.WhatAmI))
	}
	if options&linkLocators != 0 {
		b = appendLocators(b, s.Locators)
	}
	b = AppendZInt(b, uint64(len(s.Links)))
	for _, id := range s.Links {
		b = AppendZInt(b, id)
	}
	for _, w := range s.Weights {
		b = AppendZInt(b, uint64(w))
	}
	return b
}
