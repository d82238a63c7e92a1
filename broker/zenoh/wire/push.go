package wire

// Push carries a change of the value under a key to those who subscribed.
type Push struct {
	Key       WireExpr
	QoS       QoS
	Timestamp Timestamp // of the network, which nobody sets nowadays; that of the sample is in Data
	NodeID    uint16    // where the message entered a tree of routers; 0 is absent
	Data      Data
}

func (m *Push) decode(r *reader, h byte) {
	m.Key = r.wireExpr(h)
	m.QoS, m.Timestamp, m.NodeID = QoS{}, Timestamp{}, 0
	if h&flagZ != 0 {
		m.decodeExtensions(r)
	}
	m.Data.decode(r)
}

func (m *Push) decodeExtensions(r *reader) {
	var e Extension
	for more := true; more && r.err == nil; {
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
func (m *Push) AppendBinary(b []byte) ([]byte, error) {
	if err := m.check(); err != nil {
		return b, err
	}
	return m.Data.append(m.appendEnvelope(b)), nil
}

// AppendHead appends all but the tail, which are bytes of the message itself that end it: a sender of large messages may write the two one
// after the other without copying.
func (m *Push) AppendHead(b []byte) (head, tail []byte, err error) {
	if err := m.check(); err != nil {
		return b, nil, err
	}
	return m.Data.appendHead(m.appendEnvelope(b)), m.Data.tail(), nil
}

func (m *Push) check() error {
	field, err := m.Data.check()
	return encodeError("push", &m.Key, field, err)
}

func (m *Push) appendEnvelope(b []byte) []byte {
	start := len(b)
	b = m.Key.append(append(b, idPush|m.Key.flags()))
	if m.QoS == (QoS{}) && m.NodeID == 0 && m.Timestamp.IsZero() {
		return b
	}
	c := chain{b: b}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	c.nodeID(m.NodeID)
	return c.close(start)
}
