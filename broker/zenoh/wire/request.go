package wire

import "time"

// Target says which queryables a query goes to.
type Target uint8

const (
	// BestMatching is the nearest one that is complete, or all when none is.
	BestMatching Target = iota
	// All is every one that intersects.
	All
	// AllComplete is every one that is complete for the query.
	AllComplete
)

// Consolidation says which of several replies for one key the asker wants to see.
type Consolidation uint8

// The kinds of consolidation. Auto leaves the choice to the asker's own session.
const (
	ConsolidationAuto Consolidation = iota
	ConsolidationNone
	ConsolidationMonotonic
	ConsolidationLatest
)

// consolidation reads a kind of consolidation; unknown ones mean Auto.
func (r *reader) consolidation() Consolidation {
	if v := r.z64(); v <= uint64(ConsolidationLatest) {
		return Consolidation(v)
	}
	return ConsolidationAuto
}

// Request carries a query to queryables.
type Request struct {
	ID        uint32 // unique in its session while the query is pending
	Key       WireExpr
	QoS       QoS
	Timestamp Timestamp
	Target    Target
	Budget    uint32        // largest number of replies; 0 is absent
	Timeout   time.Duration // in milliseconds on the wire; 0 is absent
	NodeID    uint16
	Query     Query
}

// Query is what is asked of the queryables under a key.
type Query struct {
	Consolidation Consolidation
	Parameters    []byte // UTF-8
	Source        SourceInfo
	Encoding      Encoding // of the payload
	Payload       []byte   // nil is absent
	Attachment    []byte
	Extra         []Extension // unknown optional ones, to be handed on

	// Raw, if not nil, is encoded in place of all the fields above; see Data.Raw.
	Raw []byte

	encoded []byte
}

// Encoded gives the bytes that q was decoded from, which alias the input.
func (q *Query) Encoded() []byte { return q.encoded }

// maxMillis is the largest number of milliseconds that a time.Duration has room for.
const maxMillis = uint64(1<<63-1) / uint64(time.Millisecond)

func (m *Request) decode(r *reader, h byte) {
	*m = Request{Query: Query{Extra: m.Query.Extra[:0]}}
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
		case extTarget:
			if e.Value > uint64(AllComplete) {
				r.fail(ErrMalformed)
			}
			m.Target = Target(e.Value)
		case extBudget:
			m.Budget = uint32(r.narrow(&e, bound32))
		case extTimeout:
			m.Timeout = time.Duration(min(e.Value, maxMillis)) * time.Millisecond
		case extNodeID:
			m.NodeID = uint16(r.narrow(&e, bound16))
		default:
			r.skip(&e)
		}
	}
	m.Query.decode(r)
}

func (q *Query) decode(r *reader) {
	start := r.off
	h := r.u8()
	if h&maskID != idQuery {
		r.fail(ErrUnknownMessage)
	}
	if h&flag5 != 0 {
		q.Consolidation = r.consolidation()
	}
	if h&flag6 != 0 {
		q.Parameters = r.text(bound32)
	}
	var e Extension
	for more := h&flagZ != 0; more && r.err == nil; {
		more = r.extension(&e)
		switch e.ID {
		case extSourceInfo:
			q.Source = r.sourceInfoIn(&e)
		case extQueryBody:
			body := r.enter(&e)
			q.Encoding, q.Payload = body.encoding(), body.rest()
			r.leave(&body)
		case extQueryAttach:
			q.Attachment = e.Body
		default:
			q.Extra = r.keep(&e, q.Extra)
		}
	}
	q.encoded = r.b[start:r.off:r.off]
}

// AppendBinary implements Message.
func (m *Request) AppendBinary(b []byte) ([]byte, error) {
	head, tail, err := m.AppendHead(b)
	return append(head, tail...), err
}

// AppendHead appends all but the tail; see Push.AppendHead. There is one when Query.Raw is set.
func (m *Request) AppendHead(b []byte) (head, tail []byte, err error) {
	field, err := m.check()
	if err := encodeError("request", &m.Key, field, err); err != nil {
		return b, nil, err
	}
	start := len(b)
	b = AppendZInt(append(b, idRequest|m.Key.flags()), uint64(m.ID))
	c := chain{b: m.Key.append(b)}
	c.qos(m.QoS)
	c.timestamp(&m.Timestamp)
	if m.Target != BestMatching {
		c.z64(extTarget, uint64(m.Target))
	}
	if m.Budget != 0 {
		c.z64(extBudget, uint64(m.Budget))
	}
	if m.Timeout > 0 { // a shorter time than a millisecond must not become "as long as you like"
		c.z64(extTimeout, uint64(max(m.Timeout.Milliseconds(), 1)))
	}
	c.nodeID(m.NodeID)
	b = c.close(start)
	if m.Query.Raw != nil {
		return b, m.Query.Raw, nil
	}
	return m.Query.append(b), nil, nil
}

func (m *Request) check() (string, error) {
	q := &m.Query
	switch {
	case m.Target > AllComplete:
		return "target", ErrMalformed
	case q.Raw != nil:
		return "", nil
	case q.Encoding.ID > 1<<31-1, len(q.Encoding.Schema) > bound8:
		return "encoding", ErrBound
	case uint64(len(q.Payload)) > bound32-512: // the encoding stands in the same extension
		return "payload", ErrBound
	case uint64(len(q.Attachment)) > bound32:
		return "attachment", ErrBound
	case uint64(len(q.Parameters)) > bound32:
		return "parameters", ErrBound
	}
	return "", nil
}

func (q *Query) append(b []byte) []byte {
	start := len(b)
	b = append(b, idQuery)
	if q.Consolidation != ConsolidationAuto {
		b[start] |= flag5
		b = AppendZInt(b, uint64(q.Consolidation))
	}
	if len(q.Parameters) > 0 {
		b[start] |= flag6
		b = appendBytes(b, q.Parameters)
	}
	c := chain{b: b}
	c.sourceInfo(&q.Source)
	if q.Payload != nil {
		c.open(extQueryBody, q.Encoding.size()+len(q.Payload))
		c.b = append(q.Encoding.append(c.b), q.Payload...)
	}
	c.bytes(extQueryAttach, q.Attachment)
	c.list(q.Extra)
	return c.close(start)
}
