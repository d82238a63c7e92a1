package wire

// Extensions of messages of the network and of their bodies.
const (
	extQoS         = 0x21
	extTimestamp   = 0x42
	extNodeID      = 0x33
	extTarget      = 0x34
	extBudget      = 0x25
	extTimeout     = 0x26
	extResponder   = 0x43
	extQueryable   = 0x21
	extUndeclared  = 0x5f
	extSourceInfo  = 0x41
	extPutAttached = 0x43
	extDelAttached = 0x42
	extQueryBody   = 0x43
	extQueryAttach = 0x45
)

func (c *chain) qos(q QoS) {
	if q != (QoS{}) {
		c.z64(extQoS, q.bits())
	}
}

func (c *chain) timestamp(t *Timestamp) {
	if !t.IsZero() {
		c.open(extTimestamp, t.size())
		c.b = t.append(c.b)
	}
}

func (c *chain) nodeID(id uint16) {
	if id != 0 {
		c.z64(extNodeID, uint64(id))
	}
}

// narrow gives the value of an extension that must not be larger than bound.
func (r *reader) narrow(e *Extension, bound uint64) uint64 {
	if e.Value > bound {
		r.fail(ErrBound)
		return 0
	}
	return e.Value
}

// Data is a change of the value under a key: PUT or DEL. A deletion has neither encoding nor payload.
type Data struct {
	Delete     bool
	Timestamp  Timestamp
	Encoding   Encoding
	Source     SourceInfo
	Attachment []byte
	Payload    []byte
	Extra      []Extension // unknown optional ones, to be handed on

	// Raw, if not nil, is encoded in place of all the fields above, but a Timestamp is put into it if it has none. Decoding does not set it: a
	// router that changes nothing else sets it to what Encoded gives.
	Raw []byte

	encoded []byte
}

// Encoded gives the bytes that d was decoded from, which alias the input.
func (d *Data) Encoded() []byte { return d.encoded }

func (d *Data) decode(r *reader) {
	start := r.off
	h := r.u8()
	extra := d.Extra[:0]
	*d = Data{}
	d.Extra = extra
	switch h & maskID {
	case idPut:
	case idDel:
		d.Delete = true
	default:
		r.fail(ErrUnknownMessage)
	}
	if h&flag5 != 0 {
		d.Timestamp = r.timestamp()
	}
	if h&flag6 != 0 && !d.Delete {
		d.Encoding = r.encoding()
	}
	if h&flagZ != 0 {
		d.decodeExtensions(r)
	}
	if !d.Delete {
		d.Payload = r.bytes(bound32)
	}
	d.encoded = r.b[start:r.off:r.off]
}

func (d *Data) decodeExtensions(r *reader) {
	var e Extension
	for more := true; more && r.err == nil; {
		more = r.extension(&e)
		switch {
		case e.ID == extSourceInfo:
			d.Source = r.sourceInfoIn(&e)
		case e.ID == extPutAttached, d.Delete && e.ID == extDelAttached: // zenoh-pico attaches to DEL as to PUT
			d.Attachment = e.Body
		default:
			d.Extra = r.keep(&e, d.Extra)
		}
	}
}

// appendHead appends all but the tail.
func (d *Data) appendHead(b []byte) []byte {
	if d.Raw != nil {
		if !d.stamps() {
			return b
		}
		return d.Timestamp.append(append(b, d.Raw[0]|flag5))
	}
	start := len(b)
	h, attached := byte(idPut), byte(extPutAttached)
	if d.Delete {
		h, attached = idDel, extDelAttached
	}
	b = append(b, h)
	if !d.Timestamp.IsZero() {
		b[start] |= flag5
		b = d.Timestamp.append(b)
	}
	if !d.Delete && !d.Encoding.IsZero() {
		b[start] |= flag6
		b = d.Encoding.append(b)
	}
	if d.Source != (SourceInfo{}) || d.Attachment != nil || len(d.Extra) > 0 {
		c := chain{b: b}
		c.sourceInfo(&d.Source)
		c.bytes(attached, d.Attachment)
		c.list(d.Extra)
		b = c.close(start)
	}
	if !d.Delete {
		b = AppendZInt(b, uint64(len(d.Payload)))
	}
	return b
}

// stamps tells whether the timestamp must be put into Raw.
func (d *Data) stamps() bool { return len(d.Raw) > 0 && d.Raw[0]&flag5 == 0 && !d.Timestamp.IsZero() }

// tail gives the bytes at the end that are appended as they are.
func (d *Data) tail() []byte {
	switch {
	case d.stamps():
		return d.Raw[1:]
	case d.Raw != nil:
		return d.Raw
	case d.Delete:
		return nil
	}
	return d.Payload
}

func (d *Data) append(b []byte) []byte { return append(d.appendHead(b), d.tail()...) }

// check gives the field that has no form on the wire.
func (d *Data) check() (string, error) {
	if d.Raw != nil {
		return "", nil
	}
	switch {
	case d.Encoding.ID > 1<<31-1, len(d.Encoding.Schema) > bound8:
		return "encoding", ErrBound
	case uint64(len(d.Payload)) > bound32:
		return "payload", ErrBound
	case uint64(len(d.Attachment)) > bound32:
		return "attachment", ErrBound
	}
	return "", nil
}

// encodeError gives the error of a message of which a key or another field has no form on the wire, or nil.
func encodeError(message string, key *WireExpr, field string, err error) error {
	if len(key.Suffix) > bound16 {
		field, err = "key", ErrBound
	}
	if err != nil {
		return &EncodeError{Message: message, Field: field, Err: err}
	}
	return nil
}
