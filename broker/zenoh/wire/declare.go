package wire

// DeclareKind says what a Declare does. The values are those of the wire.
type DeclareKind uint8

// The kinds of declarations.
const (
	DeclareKeyExpr DeclareKind = iota
	UndeclareKeyExpr
	DeclareSubscriber
	UndeclareSubscriber
	DeclareQueryable
	UndeclareQueryable
	DeclareToken
	UndeclareToken
	// DeclareFinal ends the answer to an interest.
	DeclareFinal DeclareKind = 0x1a
)

// undeclares tells whether the kind takes back a subscriber, queryable or token.
func (k DeclareKind) undeclares() bool {
	return k == UndeclareSubscriber || k == UndeclareQueryable || k == UndeclareToken
}

// Declare announces, or takes back, what its sender offers or wants.
type Declare struct {
	Kind DeclareKind

	// Answer tells that this answers the interest of that id.
	Answer     bool
	InterestID uint32

	QoS       QoS
	Timestamp Timestamp
	NodeID    uint16

	// ID is the number of the key expression, which has 16 bits, or of the entity.
	ID  uint32
	Key WireExpr
	// WithKey makes an undeclaration have a key though it is the empty one, as the native implementation writes it. One that has text, or a
	// number, is written anyway. It is set on decoding.
	WithKey bool
	// Queryable is for DeclareQueryable.
	Queryable QueryableInfo
}

// QueryableInfo says how much a queryable can answer for, and how many hops it is away.
type QueryableInfo struct {
	Complete bool
	Distance uint16
}

func (i QueryableInfo) bits() uint64 {
	v := uint64(i.Distance) << 8
	if i.Complete {
		v |= 1
	}
	return v
}

func (m *Declare) decode(r *reader, h byte) {
	*m = Declare{}
	if m.Answer = h&flag5 != 0; m.Answer {
		m.InterestID = r.z32()
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extQoS:
			m.QoS = qosOf(e.Value)
		case extTimestamp:
			m.Timestamp = r.timestampIn(&e)
		case extNodeID:
			m.NodeID = uint16(r.narrow(&e, bound16))
		default:
			r.skip(&e)
		}
	}
	m.decodeBody(r)
}

func (m *Declare) decodeBody(r *reader) {
	h := r.u8()
	m.Kind = DeclareKind(h & maskID)
	switch m.Kind {
	case DeclareKeyExpr:
		m.ID = uint32(r.z16())
		m.Key = r.wireExpr(h&^flag6 | flag6) // there is no M: the numbers are those of the sender
	case UndeclareKeyExpr:
		m.ID = uint32(r.z16())
	case DeclareSubscriber, DeclareQueryable, DeclareToken:
		m.ID = r.z32()
		m.Key = r.wireExpr(h)
	case UndeclareSubscriber, UndeclareQueryable, UndeclareToken:
		m.ID = r.z32()
	case DeclareFinal:
	default:
		r.fail(ErrUnknownMessage)
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch {
		case m.Kind == DeclareQueryable && e.ID == extQueryable:
			m.Queryable = QueryableInfo{Complete: e.Value&1 != 0, Distance: uint16(e.Value >> 8)}
		case m.Kind.undeclares() && e.ID == extUndeclared:
			m.Key, m.WithKey = r.undeclared(&e), true
		default:
			r.skip(&e)
		}
	}
}

// undeclared reads the key of an undeclaration: flags, of which bit 0 is N and bit 1 is M, the scope, and a suffix without length.
func (r *reader) undeclared(e *Extension) (w WireExpr) {
	body := r.enter(e)
	flags := body.u8()
	w.Scope = body.z16()
	if flags&1 != 0 {
		if body.left() > bound16 {
			body.fail(ErrBound)
		}
		w.Suffix = body.textRest()
	}
	if flags&2 == 0 {
		w.Mapping = Receiver
	}
	r.leave(&body)
	return w
}

func (c *chain) undeclared(w *WireExpr) {
	c.open(extUndeclared, 1+ZIntLen(uint64(w.Scope))+len(w.Suffix))
	c.b = AppendZInt(append(c.b, w.flags()>>5), uint64(w.Scope))
	c.b = append(c.b, w.Suffix...)
}

// AppendBinary implements Message.
func (m *Declare) AppendBinary(b []byte) ([]byte, error) {
	field, err := "", error(nil)
	switch {
	case m.Kind > UndeclareToken && m.Kind != DeclareFinal:
		field, err = "kind", ErrUnknownMessage
	case m.Kind <= UndeclareKeyExpr && m.ID > bound16:
		field, err = "id", ErrBound
	}
	if err := encodeError("declare", &m.Key, field, err); err != nil {
		return b, err
	}
	start := len(b)
	b = append(b, idDeclare)
	if m.Answer {
		b[start] |= flag5
		b = AppendZInt(b, uint64(m.InterestID))
	}
	c := chain{b: b}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	c.nodeID(m.NodeID)
	return m.appendBody(c.close(start)), nil
}

func (m *Declare) appendBody(b []byte) []byte {
	start := len(b)
	b = append(b, byte(m.Kind))
	if m.Kind == DeclareFinal {
		return b
	}
	b = AppendZInt(b, uint64(m.ID))
	c := chain{}
	switch {
	case m.Kind == DeclareKeyExpr:
		b[start] |= m.Key.flags() &^ flag6
		c.b = m.Key.append(b)
	case m.Kind == UndeclareKeyExpr:
		c.b = b
	case m.Kind.undeclares():
		c.b = b
		if m.WithKey || !m.Key.IsZero() {
			c.undeclared(&m.Key)
		}
	default:
		b[start] |= m.Key.flags()
		c.b = m.Key.append(b)
		if m.Kind == DeclareQueryable && m.Queryable != (QueryableInfo{}) {
			c.z64(extQueryable, m.Queryable.bits())
		}
	}
	return c.close(start)
}
