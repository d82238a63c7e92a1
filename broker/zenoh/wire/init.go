package wire

import (
	"encoding/binary"
	"time"
)

// Extensions of Init, Open and Join.
const (
	extInitQoS         = 0x01
	extInitQoSLink     = 0x21
	extInitShm         = 0x42
	extInitAuth        = 0x43
	extInitMultiLink   = 0x44
	extInitLowLatency  = 0x05
	extInitCompression = 0x06
	extInitPatch       = 0x27
	extInitRegion      = 0x48
	extOpenShm         = 0x22
	extOpenMultiLink   = 0x04
	extOpenBound       = 0x27
	extJoinQoS         = 0x51
	extJoinShm         = 0x52
)

// Resolution says how many bits sequence numbers and request ids have: codes 0 to 3 for 8, 16, 32 and 64, of which 7, 14, 28 and 32 count.
type Resolution byte

// DefaultResolution is 32 bits for both.
const DefaultResolution Resolution = 0x0a

// Mask gives the largest sequence number, all of whose bits are set.
func (r Resolution) Mask() uint32 {
	return [...]uint32{0x7f, 0x3fff, 0x0fffffff, 0xffffffff}[r&3]
}

// Min gives the smaller resolution of each of the two.
func (r Resolution) Min(other Resolution) Resolution {
	return min(r&0x03, other&0x03) | min(r&0x0c, other&0x0c)
}

// Sizes is what two ends agree on by taking the smaller of what each has.
type Sizes struct {
	Resolution Resolution
	BatchSize  uint16 // with the length prefix on streams
}

// DefaultSizes is meant where a message has none, and by the zero Sizes.
var DefaultSizes = Sizes{Resolution: DefaultResolution, BatchSize: MaxBatchSize}

// sizes reads the sizes, which stand there if flag S is set.
func (r *reader) sizes(h byte) Sizes {
	if h&flag6 == 0 {
		return DefaultSizes
	}
	return Sizes{Resolution: Resolution(r.u8() & 0x0f), BatchSize: r.u16()}
}

// append appends sizes that are not the default, or whenever asked to, and sets flag S of the header.
func (s Sizes) append(b []byte, header int, always bool) []byte {
	if s == (Sizes{}) {
		s = DefaultSizes
	}
	if s == DefaultSizes && !always {
		return b
	}
	b[header] |= flag6
	return binary.LittleEndian.AppendUint16(append(b, byte(s.Resolution&0x0f)), s.BatchSize)
}

// version reads the version of the protocol.
func (r *reader) version() {
	if v := r.u8(); v != Version {
		r.fail(ErrVersion)
	}
}

// Init is the first message of each side of a transport.
type Init struct {
	Ack         bool
	WhatAmI     WhatAmI
	ZID         ZID
	Sizes       Sizes
	AlwaysSizes bool   // write the sizes although they are the default
	Cookie      []byte // of an Ack: what the Open has to bring back

	QoS         bool // a lane for each priority
	QoSLink     uint64
	Shm         []byte
	Auth        []byte // a chain of extensions; see DecodeExtensions
	MultiLink   []byte
	LowLatency  bool
	Compression bool
	Patch       uint64 // 0 is absent
	Region      []byte
}

func (m *Init) decode(r *reader, h byte) {
	*m = Init{Ack: h&flag5 != 0}
	r.version()
	c := r.u8()
	m.WhatAmI = r.whatAmI(c)
	m.ZID = r.zid(c)
	m.Sizes, m.AlwaysSizes = r.sizes(h), h&flag6 != 0
	if m.Ack {
		m.Cookie = r.bytes(bound16)
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extInitQoS:
			m.QoS = true
		case extInitQoSLink:
			m.QoSLink = e.Value
		case extInitShm:
			m.Shm = e.Body
		case extInitAuth:
			m.Auth = e.Body
		case extInitMultiLink:
			m.MultiLink = e.Body
		case extInitLowLatency:
			m.LowLatency = true
		case extInitCompression:
			m.Compression = true
		case extInitPatch:
			m.Patch = e.Value
		case extInitRegion:
			m.Region = e.Body
		default:
			r.skip(&e)
		}
	}
}

// AppendBinary implements Message.
func (m *Init) AppendBinary(b []byte) ([]byte, error) {
	if err := nodeError("init", m.ZID, m.WhatAmI); err != nil {
		return b, err
	}
	if len(m.Cookie) > bound16 {
		return b, &EncodeError{Message: "init", Field: "cookie", Err: ErrBound}
	}
	start := len(b)
	b = appendZID(append(b, idInit, Version, zidHigh(m.ZID)|m.WhatAmI.bits()), m.ZID)
	b = m.Sizes.append(b, start, m.AlwaysSizes)
	if m.Ack {
		b[start] |= flag5
		b = appendBytes(b, m.Cookie)
	}
	c := chain{b: b}
	c.unit(extInitQoS, m.QoS)
	if m.QoSLink != 0 {
		c.z64(extInitQoSLink, m.QoSLink)
	}
	c.bytes(extInitShm, m.Shm)
	c.bytes(extInitAuth, m.Auth)
	c.bytes(extInitMultiLink, m.MultiLink)
	c.unit(extInitLowLatency, m.LowLatency)
	c.unit(extInitCompression, m.Compression)
	if m.Patch != 0 {
		c.z64(extInitPatch, m.Patch)
	}
	c.bytes(extInitRegion, m.Region)
	return c.close(start), nil
}

// nodeError tells whether an id and a role have no form on the wire.
func nodeError(message string, id ZID, role WhatAmI) error {
	switch {
	case id.IsZero():
		return &EncodeError{Message: message, Field: "zid", Err: ErrZID}
	case !role.valid():
		return &EncodeError{Message: message, Field: "whatami", Err: ErrMalformed}
	}
	return nil
}

// Open is the second message of each side of a transport.
type Open struct {
	Ack       bool
	Lease     time.Duration // in milliseconds on the wire
	InitialSN uint32
	Cookie    []byte // of what is not an Ack

	QoS         bool
	Shm         uint64 // 0 is absent
	Auth        []byte
	MultiLink   []byte // of an Ack empty
	LowLatency  bool
	Compression bool
	Bound       uint64 // 0 is absent
}

// lease reads a time in seconds or milliseconds.
func (r *reader) lease(seconds bool) time.Duration {
	unit := time.Millisecond
	if seconds {
		unit = time.Second
	}
	return time.Duration(r.z(uint64(1<<63-1)/uint64(unit))) * unit
}

// appendLease appends a time in seconds, and sets the flag in the header, or in milliseconds when it is no whole number of those.
func appendLease(b []byte, header int, lease time.Duration, flag byte) []byte {
	if lease%time.Second != 0 {
		return AppendZInt(b, uint64(max(lease.Milliseconds(), 1)))
	}
	b[header] |= flag
	return AppendZInt(b, uint64(max(lease, 0)/time.Second))
}

func (m *Open) decode(r *reader, h byte) {
	*m = Open{Ack: h&flag5 != 0}
	m.Lease = r.lease(h&flag6 != 0)
	m.InitialSN = r.z32()
	if !m.Ack {
		m.Cookie = r.bytes(bound16)
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extInitQoS:
			m.QoS = true
		case extOpenShm:
			m.Shm = e.Value
		case extInitAuth:
			m.Auth = e.Body
		case extInitMultiLink:
			m.MultiLink = e.Body
		case extOpenMultiLink:
			m.MultiLink = []byte{}
		case extInitLowLatency:
			m.LowLatency = true
		case extInitCompression:
			m.Compression = true
		case extOpenBound:
			m.Bound = e.Value
		default:
			r.skip(&e)
		}
	}
}

// AppendBinary implements Message.
func (m *Open) AppendBinary(b []byte) ([]byte, error) {
	if len(m.Cookie) > bound16 {
		return b, &EncodeError{Message: "open", Field: "cookie", Err: ErrBound}
	}
	start := len(b)
	b = appendLease(append(b, idOpen), start, m.Lease, flag6)
	b = AppendZInt(b, uint64(m.InitialSN))
	if m.Ack {
		b[start] |= flag5
	} else {
		b = appendBytes(b, m.Cookie)
	}
	c := chain{b: b}
	c.unit(extInitQoS, m.QoS)
	if m.Shm != 0 {
		c.z64(extOpenShm, m.Shm)
	}
	c.bytes(extInitAuth, m.Auth)
	if m.Ack {
		c.unit(extOpenMultiLink, m.MultiLink != nil)
	} else {
		c.bytes(extInitMultiLink, m.MultiLink)
	}
	c.unit(extInitLowLatency, m.LowLatency)
	c.unit(extInitCompression, m.Compression)
	if m.Bound != 0 {
		c.z64(extOpenBound, m.Bound)
	}
	return c.close(start), nil
}
