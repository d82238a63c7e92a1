package wire

// Response carries one reply, or an error in place of one, to who asked.
type Response struct {
	ID        uint32 // of the request
	Key       WireExpr
	QoS       QoS
	Timestamp Timestamp
	Responder EntityID // the queryable; zero is absent

	// IsErr tells which of the two follows.
	IsErr bool
	Reply Reply
	Err   ReplyErr

	// Raw, if not nil, is encoded in place of Reply and Err; see Data.Raw.
	Raw []byte

	encoded []byte
}

// Reply is a value that a queryable has.
type Reply struct {
	Consolidation Consolidation
	Extra         []Extension // unknown optional ones, to be handed on; zenoh-pico closes its session on any
	Data          Data
}

// ReplyErr is the error that a queryable answers with.
type ReplyErr struct {
	Encoding Encoding
	Source   SourceInfo
	Payload  []byte
	Extra    []Extension // unknown optional ones, to be handed on
}

// Encoded gives the bytes of the reply or error that m was decoded from, which alias the input.
func (m *Response) Encoded() []byte { return m.encoded }

func (m *Response) decode(r *reader, h byte) {
	*m = Response{
		Reply: Reply{Extra: m.Reply.Extra[:0], Data: Data{Extra: m.Reply.Data.Extra[:0]}},
		Err:   ReplyErr{Extra: m.Err.Extra[:0]},
	}
	m.ID = r.z32()
	m.Key = r.wireExpr(h)
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extQoS:
			m.QoS = qosOf(e.Value)
		case extTimestamp:
			m.Timestamp = r.timestampIn(&e)
		case extResponder:
			m.Responder = r.entityIDIn(&e)
		default:
			r.skip(&e)
		}
	}
	start := r.off
	switch h := r.u8(); h & maskID {
	case idReply:
		m.Reply.decode(r, h)
	case idErr:
		m.IsErr = true
		m.Err.decode(r, h)
	default:
		r.fail(ErrUnknownMessage)
	}
	m.encoded = r.b[start:r.off:r.off]
}

func (p *Reply) decode(r *reader, h byte) {
	if h&flag5 != 0 {
		p.Consolidation = r.consolidation()
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		p.Extra = r.keep(&e, p.Extra)
	}
	p.Data.decode(r)
}

func (p *ReplyErr) decode(r *reader, h byte) {
	if h&flag6 != 0 {
		p.Encoding = r.encoding()
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		if e.ID == extSourceInfo {
			p.Source = r.sourceInfoIn(&e)
			continue
		}
		p.Extra = r.keep(&e, p.Extra)
	}
	p.Payload = r.bytes(bound32)
}

// AppendBinary implements Message.
func (m *Response) AppendBinary(b []byte) ([]byte, error) {
	head, tail, err := m.AppendHead(b)
	return append(head, tail...), err
}

// AppendHead appends all but the tail; see Push.AppendHead.
func (m *Response) AppendHead(b []byte) (head, tail []byte, err error) {
	field, err := m.check()
	if err := encodeError("response", &m.Key, field, err); err != nil {
		return b, nil, err
	}
	start := len(b)
	b = AppendZInt(append(b, idResponse|m.Key.flags()), uint64(m.ID))
	c := chain{b: m.Key.append(b)}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	c.entityID(extResponder, &m.Responder)
	b = c.close(start)
	switch {
	case m.Raw != nil:
		return b, m.Raw, nil
	case m.IsErr:
		return m.Err.append(b), nil, nil
	}
	head, tail = m.Reply.appendHead(b)
	return head, tail, nil
}

func (m *Response) check() (string, error) {
	switch {
	case m.Raw != nil:
		return "", nil
	case !m.IsErr:
		return m.Reply.Data.check()
	case m.Err.Encoding.ID > 1<<31-1, len(m.Err.Encoding.Schema) > bound8:
		return "encoding", ErrBound
	case uint64(len(m.Err.Payload)) > bound32:
		return "payload", ErrBound
	}
	return "", nil
}

func (p *Reply) appendHead(b []byte) (head, tail []byte) {
	start := len(b)
	b = append(b, idReply)
	if p.Consolidation != ConsolidationAuto {
		b[start] |= flag5
		b = AppendZInt(b, uint64(p.Consolidation))
	}
	c := chain{b: b}
	c.list(p.Extra)
	return p.Data.appendHead(c.close(start)), p.Data.tail()
}

func (p *ReplyErr) append(b []byte) []byte {
	start := len(b)
	b = append(b, idErr)
	if !p.Encoding.IsZero() {
		b[start] |= flag6
		b = p.Encoding.append(b)
	}
	c := chain{b: b}
	c.sourceInfo(&p.Source)
	c.list(p.Extra)
	return appendBytes(c.close(start), p.Payload)
}

// ResponseFinal says that a request has all its replies.
type ResponseFinal struct {
	ID        uint32
	QoS       QoS
	Timestamp Timestamp
}

func (m *ResponseFinal) decode(r *reader, h byte) {
	*m = ResponseFinal{ID: r.z32()}
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
}

// AppendBinary implements Message.
func (m *ResponseFinal) AppendBinary(b []byte) ([]byte, error) {
	start := len(b)
	c := chain{b: AppendZInt(append(b, idResponseFinal), uint64(m.ID))}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	return c.close(start), nil
}
