package wire

import (
	"fmt"
	"time"
)

// Extensions of Frame and Fragment.
const (
	extPriority = 0x31
	extFirst    = 0x02
	extDrop     = 0x03
)

func (c *chain) priority(p Priority) {
	if p != PriorityData {
		c.z64(extPriority, uint64(p.Index()))
	}
}

// CloseReason says why a transport is closed.
type CloseReason uint8

// The reasons of the protocol.
const (
	CloseGeneric CloseReason = iota
	CloseUnsupported
	CloseInvalid
	CloseMaxSessions
	CloseMaxLinks
	CloseExpired
	CloseUnresponsive
	CloseConnectionToSelf
)

// String names the reason.
func (r CloseReason) String() string {
	names := [...]string{"generic", "unsupported", "invalid", "max sessions", "max links", "expired", "unresponsive", "connection to self"}
	if int(r) < len(names) {
		return names[r]
	}
	return fmt.Sprintf("reason %d", uint8(r))
}

// Close ends a transport, or one link of it.
type Close struct {
	Session bool // the whole transport
	Reason  CloseReason
}

func (m *Close) decode(r *reader, h byte) {
	*m = Close{Session: h&flag5 != 0, Reason: CloseReason(r.u8())}
	r.skipAll(h&flagZ != 0)
}

// AppendBinary implements Message.
func (m *Close) AppendBinary(b []byte) ([]byte, error) {
	h := byte(idClose)
	if m.Session {
		h |= flag5
	}
	return append(b, h, byte(m.Reason)), nil
}

// KeepAlive says that its sender is there.
type KeepAlive struct{}

// AppendBinary implements Message.
func (m *KeepAlive) AppendBinary(b []byte) ([]byte, error) { return append(b, idKeepAlive), nil }

// Frame is the header before network messages. Its encoding ends where they begin; they end where a transport message, or the batch, does.
type Frame struct {
	Reliable bool
	SN       uint32
	Priority Priority // other than the default only when both sides agreed on QoS
}

func (m *Frame) decode(r *reader, h byte) {
	m.Reliable = h&flag5 != 0
	m.SN = r.z32()
	m.Priority = PriorityData
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		if e.ID == extPriority {
			m.Priority = PriorityOf(e.Value)
			continue
		}
		r.skip(&e)
	}
}

// AppendBinary implements Message.
func (m *Frame) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	h := byte(idFrame)
	if m.Reliable {
		h |= flag5
	}
	c := chain{b: AppendZInt(append(b, h), uint64(m.SN))}
	c.priority(m.Priority)
	return c.close(start), nil
}

// Fragment is a piece of a network message that is too large for a batch. It is the last message of its batch.
type Fragment struct {
	Reliable bool
	More     bool // this is not the last piece
	SN       uint32
	Priority Priority
	First    bool // the first piece, if both sides have patch 1
	Drop     bool // the message is given up
	Payload  []byte
}

func (m *Fragment) decode(r *reader, h byte) {
	*m = Fragment{Reliable: h&flag5 != 0, More: h&flag6 != 0, SN: r.z32()}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extPriority:
			m.Priority = PriorityOf(e.Value)
		case extFirst:
			m.First = true
		case extDrop:
			m.Drop = true
		default:
			r.skip(&e)
		}
	}
	m.Payload = r.rest()
}

// AppendBinary implements Message.
func (m *Fragment) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	h := byte(idFragment)
	if m.Reliable {
		h |= flag5
	}
	if m.More {
		h |= flag6
	}
	c := chain{b: AppendZInt(append(b, h), uint64(m.SN))}
	c.priority(m.Priority)
	c.unit(extFirst, m.First)
	c.unit(extDrop, m.Drop)
	return append(c.close(start), m.Payload...), nil
}

// Join announces a node, and the sequence numbers that come next, to a multicast group.
type Join struct {
	WhatAmI      WhatAmI
	ZID          ZID
	Sizes        Sizes
	AlwaysSizes  bool
	Lease        time.Duration
	ReliableSN   uint32
	BestEffortSN uint32

	Lanes *[8]LaneSN // by priority, if the group has QoS
	Patch uint64
}

// LaneSN has the sequence numbers that come next for a priority.
type LaneSN struct{ Reliable, BestEffort uint32 }

func (m *Join) decode(r *reader, h byte) {
	*m = Join{}
	r.version()
	c := r.u8()
	m.WhatAmI = r.whatAmI(c)
	m.ZID = r.zid(c)
	m.Sizes, m.AlwaysSizes = r.sizes(h), h&flag6 != 0
	m.Lease = r.lease(h&flag5 != 0)
	m.ReliableSN, m.BestEffortSN = r.z32(), r.z32()
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extJoinQoS:
			body := r.enter(&e)
			m.Lanes = new([8]LaneSN)
			for i := range m.Lanes {
				m.Lanes[i] = LaneSN{Reliable: body.z32(), BestEffort: body.z32()}
			}
			r.leave(&body)
		case extInitPatch:
			m.Patch = e.Value
		default:
			r.skip(&e)
		}
	}
}

// AppendBinary implements Message.
func (m *Join) AppendBinary(b []byte) ([]byte, error) {
	if err := nodeError("join", m.ZID, m.WhatAmI); err != nil {
		return b, err
	}
	start := len(b)
	b = appendZID(append(b, idJoin, Version, zidHigh(m.ZID)|m.WhatAmI.bits()), m.ZID)
	b = m.Sizes.append(b, start, m.AlwaysSizes)
	b = appendLease(b, start, m.Lease, flag5)
	c := chain{b: AppendZInt(AppendZInt(b, uint64(m.ReliableSN)), uint64(m.BestEffortSN))}
	if m.Lanes != nil {
		var body [8 * 2 * 5]byte
		lanes := body[:0]
		for _, sn := range m.Lanes {
			lanes = AppendZInt(AppendZInt(lanes, uint64(sn.Reliable)), uint64(sn.BestEffort))
		}
		c.bytes(extJoinQoS, lanes)
	}
	if m.Patch != 0 {
		c.z64(extInitPatch, m.Patch)
	}
	return c.close(start), nil
}
