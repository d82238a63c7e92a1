package wire

import "time"

// Mapping says whose numbers the scope of a key is one of.
type Mapping uint8

const (
	// Sender means the numbers that the sender of the message declared.
	Sender Mapping = iota
	// Receiver means the numbers that the receiver of the message declared earlier.
	Receiver
)

// WireExpr is a key expression as it travels: the text that was declared under a number, with a suffix. Scope 0 is the empty text.
type WireExpr struct {
	Scope   uint16
	Mapping Mapping
	Suffix  []byte
}

// Key gives the expression that is text alone.
func Key(s string) WireExpr { return WireExpr{Suffix: []byte(s)} }

// IsZero tells whether this is the empty expression.
func (w *WireExpr) IsZero() bool { return w.Scope == 0 && len(w.Suffix) == 0 }

// flags gives the bits N and M of a message header.
func (w *WireExpr) flags() (h byte) {
	if len(w.Suffix) > 0 {
		h |= flag5
	}
	if w.Mapping == Sender {
		h |= flag6
	}
	return h
}

// wireExpr reads an expression after the header h with the bits N and M.
func (r *reader) wireExpr(h byte) (w WireExpr) {
	w.Scope = r.z16()
	if h&flag5 != 0 {
		w.Suffix = r.text(bound16)
	}
	if h&flag6 == 0 {
		w.Mapping = Receiver
	}
	return w
}

func (w *WireExpr) append(b []byte) []byte {
	b = AppendZInt(b, uint64(w.Scope))
	if len(w.Suffix) > 0 {
		b = appendBytes(b, w.Suffix)
	}
	return b
}

// Priority orders messages; a smaller one is more urgent. The zero value is the default of the protocol.
type Priority int8

// The priorities. PriorityControl is for declarations and other infrastructure.
const (
	PriorityControl Priority = iota - 5
	PriorityRealTime
	PriorityInteractiveHigh
	PriorityInteractiveLow
	PriorityDataHigh
	PriorityData
	PriorityDataLow
	PriorityBackground
)

// Index gives the number of the priority on the wire, 0 (control) to 7 (background).
func (p Priority) Index() int { return int(p-PriorityControl) & 7 }

// PriorityOf gives the priority with that number on the wire, of which only the lowest three bits count.
func PriorityOf(index uint64) Priority { return Priority(index&7) + PriorityControl }

// CongestionControl says what becomes of a message that finds the queue of its link full.
type CongestionControl uint8

const (
	// Drop discards the message.
	Drop CongestionControl = iota
	// Block makes the sender wait.
	Block
	// BlockFirst makes the sender of the first message wait, and discards those that come meanwhile.
	BlockFirst
)

// QoS is the quality of service that a message keeps from end to end. The zero value is the default of the protocol.
type QoS struct {
	Priority   Priority
	Congestion CongestionControl
	Express    bool // do not wait for other messages to share a batch with
}

// QoS of messages as the native implementation sends them.
var (
	QoSRequest = QoS{Congestion: Block}
	QoSDeclare = QoS{Priority: PriorityControl, Congestion: Block}
)

const (
	qosBlock      = 1 << 3
	qosExpress    = 1 << 4
	qosBlockFirst = 1 << 5
)

func (q QoS) bits() uint64 {
	v := uint64(q.Priority.Index())
	switch q.Congestion {
	case Block:
		v |= qosBlock
	case BlockFirst:
		v |= qosBlockFirst
	}
	if q.Express {
		v |= qosExpress
	}
	return v
}

func qosOf(v uint64) QoS {
	q := QoS{Priority: PriorityOf(v), Express: v&qosExpress != 0}
	switch {
	case v&qosBlock != 0:
		q.Congestion = Block
	case v&qosBlockFirst != 0:
		q.Congestion = BlockFirst
	}
	return q
}

// Timestamp is the time of a hybrid logical clock. The zero value is none.
type Timestamp struct {
	Time uint64 // seconds since 1970 in the upper half, their binary fraction in the lower
	ID   ZID    // of the clock
}

// NTP64 gives a time in the form that timestamps have.
func NTP64(t time.Time) uint64 {
	return uint64(t.Unix())<<32 | uint64(t.Nanosecond())<<32/uint64(time.Second)
}

// When gives the time of the stamp, rounded to a nanosecond.
func (t Timestamp) When() time.Time {
	return time.Unix(int64(t.Time>>32), int64((t.Time&(1<<32-1)*uint64(time.Second)+1<<31)>>32))
}

// IsZero tells whether this is no timestamp.
func (t Timestamp) IsZero() bool { return t.ID.IsZero() }

// Compare orders timestamps by time, then by id.
func (t Timestamp) Compare(other Timestamp) int {
	switch {
	case t.Time < other.Time:
		return -1
	case t.Time > other.Time:
		return 1
	}
	return t.ID.Compare(other.ID)
}

func (r *reader) timestamp() (t Timestamp) {
	t.Time = r.z64()
	t.ID = r.zidBytes()
	return t
}

func (t *Timestamp) append(b []byte) []byte {
	b = AppendZInt(b, t.Time)
	b = append(b, byte(t.ID.Len()))
	return appendZID(b, t.ID)
}

func (t *Timestamp) size() int { return ZIntLen(t.Time) + 1 + t.ID.Len() }

// timestampIn reads the extension that has a timestamp.
func (r *reader) timestampIn(e *Extension) Timestamp {
	body := r.enter(e)
	t := body.timestamp()
	r.leave(&body)
	return t
}

// EntityID is the id of a publisher, queryable or the like: a node, and a number on it. The zero value is none.
type EntityID struct {
	ZID ZID
	EID uint32
}

func (r *reader) entityIDIn(e *Extension) EntityID {
	body := r.enter(e)
	id := EntityID{ZID: body.zid(body.u8()), EID: body.z32()}
	r.leave(&body)
	return id
}

func (c *chain) entityID(id byte, e *EntityID) {
	if e.ZID.IsZero() {
		return
	}
	c.open(id, 1+e.ZID.Len()+ZIntLen(uint64(e.EID)))
	c.b = appendZID(append(c.b, zidHigh(e.ZID)), e.ZID)
	c.b = AppendZInt(c.b, uint64(e.EID))
}

// SourceInfo says which entity a message comes from, and the how manieth of its messages it is. The zero value is none.
type SourceInfo struct {
	ID EntityID
	SN uint32
}

func (r *reader) sourceInfoIn(e *Extension) SourceInfo {
	body := r.enter(e)
	info := SourceInfo{ID: EntityID{ZID: body.zid(body.u8()), EID: body.z32()}, SN: body.z32()}
	r.leave(&body)
	return info
}

func (c *chain) sourceInfo(s *SourceInfo) {
	if s.ID.ZID.IsZero() {
		return
	}
	c.open(extSourceInfo, 1+s.ID.ZID.Len()+ZIntLen(uint64(s.ID.EID))+ZIntLen(uint64(s.SN)))
	c.b = appendZID(append(c.b, zidHigh(s.ID.ZID)), s.ID.ZID)
	c.b = AppendZInt(c.b, uint64(s.ID.EID))
	c.b = AppendZInt(c.b, uint64(s.SN))
}
