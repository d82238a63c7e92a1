package wire

// InterestMode says which declarations an interest is about.
type InterestMode uint8

const (
	// InterestFinal takes the interest of that id back.
	InterestFinal InterestMode = iota
	// InterestCurrent asks for what is declared now, ended by a DeclareFinal.
	InterestCurrent
	// InterestFuture asks for what is declared and undeclared from now on.
	InterestFuture
	// InterestCurrentFuture asks for both.
	InterestCurrentFuture
)

// InterestOptions says which kinds of declarations an interest is about. The bits are those of the wire.
type InterestOptions uint8

// The options that callers choose; the others follow from the key.
const (
	InterestKeyExprs    InterestOptions = 0x01
	InterestSubscribers InterestOptions = 0x02
	InterestQueryables  InterestOptions = 0x04
	InterestTokens      InterestOptions = 0x08
	InterestAggregate   InterestOptions = 0x80 // one answer for all that intersects, under the key of the interest
	interestRestricted  InterestOptions = 0x10
	interestChosen                      = InterestKeyExprs | InterestSubscribers | InterestQueryables | InterestTokens | InterestAggregate
)

// Interest asks a router to tell what others declare.
type Interest struct {
	ID      uint32
	Mode    InterestMode
	Options InterestOptions
	// Restricted tells that only what intersects Key is asked for.
	Restricted bool
	Key        WireExpr
	QoS        QoS
	Timestamp  Timestamp
	NodeID     uint16
}

func (m *Interest) decode(r *reader, h byte) {
	*m = Interest{ID: r.z32(), Mode: InterestMode(h >> 5 & 3)}
	if m.Mode != InterestFinal {
		options := InterestOptions(r.u8())
		m.Options = options & interestChosen
		if m.Restricted = options&interestRestricted != 0; m.Restricted {
			m.Key = r.wireExpr(byte(options))
		}
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
}

// AppendBinary implements Message.
func (m *Interest) AppendBinary(b []byte) ([]byte, error) {
	field, err := "", error(nil)
	if m.Mode > InterestCurrentFuture {
		field, err = "mode", ErrMalformed
	}
	if err := encodeError("interest", &m.Key, field, err); err != nil {
		return b, err
	}
	start := len(b)
	b = AppendZInt(append(b, idInterest|byte(m.Mode)<<5), uint64(m.ID))
	if m.Mode != InterestFinal {
		options := m.Options & interestChosen
		if m.Restricted {
			options |= interestRestricted | InterestOptions(m.Key.flags())
			b = m.Key.append(append(b, byte(options)))
		} else {
			b = append(b, byte(options))
		}
	}
	c := chain{b: b}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	c.nodeID(m.NodeID)
	return c.close(start), nil
}
