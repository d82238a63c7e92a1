package wire

// Encodings of the body of an extension, in bits 5 and 6 of its header.
const (
	extUnit  = 0x00
	extZ64   = 0x20
	extBytes = 0x40
	extEnc   = 0x60
	extMust  = 0x10 // a receiver that does not know the extension refuses the message
)

// maxUnknown is how many unknown extensions of a body are kept to be handed on. There are 48 different ones; a chain of more is refused, so
// that it cannot take much more memory than it has on the wire.
const maxUnknown = 48

// Extension is one extension. ID has its number, its encoding and whether it is mandatory, without the bit that says that another follows:
// the same number with another encoding is another extension.
type Extension struct {
	ID    byte
	Value uint64 // of a number
	Body  []byte // of bytes
}

// Mandatory tells whether a receiver must know the extension.
func (e *Extension) Mandatory() bool { return e.ID&extMust != 0 }

// extension reads the next extension of a chain, and tells whether another follows.
func (r *reader) extension(e *Extension) (more bool) {
	h := r.u8()
	*e = Extension{ID: h &^ flagZ}
	switch h & extEnc {
	case extUnit:
	case extZ64:
		e.Value = r.z64()
	case extBytes:
		e.Body = r.bytes(bound32)
	default:
		r.fail(ErrMalformed)
	}
	return h&flagZ != 0 && r.err == nil
}

// skip passes over an extension that is not known here.
func (r *reader) skip(e *Extension) {
	if e.Mandatory() {
		r.fail(ErrMandatoryExtension)
	}
}

// keep passes over an extension that is not known here, and adds it to those that are handed on.
func (r *reader) keep(e *Extension, kept []Extension) []Extension {
	r.skip(e)
	if len(kept) == maxUnknown {
		r.fail(ErrBound)
	}
	if r.err != nil {
		return kept
	}
	return append(kept, *e)
}

// skipAll passes over a chain of which no extension is known.
func (r *reader) skipAll(more bool) {
	var e Extension
	for more && r.err == nil {
		more = r.extension(&e)
		r.skip(&e)
	}
}

// enter gives a reader for the body of an extension; leave must follow.
func (r *reader) enter(e *Extension) reader { return reader{b: e.Body, err: r.err} }

// leave checks that a body was read to its end. Its trouble is that of r.
func (r *reader) leave(body *reader) {
	if body.err == nil && body.left() > 0 {
		body.fail(ErrTrailing)
	}
	if r.err == nil && body.err != nil {
		r.off -= body.left()
		r.fail(body.err)
	}
}

// DecodeExtensions reads a chain of extensions that fills b, such as the one nested in the authentication extension. Mandatory or not, what
// they mean is the caller's.
func DecodeExtensions(b []byte) ([]Extension, error) {
	r := reader{b: b}
	var list []Extension
	for more := true; more && r.err == nil; {
		var e Extension
		more = r.extension(&e)
		if len(list) == maxUnknown {
			r.fail(ErrBound)
		}
		list = append(list, e)
	}
	if r.err == nil && r.left() > 0 {
		r.fail(ErrTrailing)
	}
	if r.err != nil {
		return nil, &DecodeError{Message: "extensions", Offset: r.off, Err: r.err}
	}
	return list, nil
}

// AppendExtensions appends a chain of extensions.
func AppendExtensions(b []byte, list []Extension) []byte {
	c := chain{b: b}
	c.list(list)
	return c.b
}

// chain appends extensions. The header of the last one is patched when another follows, so nobody needs to count beforehand.
type chain struct {
	b    []byte
	last int // where the header of the last extension is; 0 when there is none
}

// begin appends the header of an extension.
func (c *chain) begin(id byte) {
	if c.last > 0 {
		c.b[c.last-1] |= flagZ
	}
	c.b = append(c.b, id)
	c.last = len(c.b)
}

func (c *chain) unit(id byte, set bool) {
	if set {
		c.begin(id)
	}
}

func (c *chain) z64(id byte, v uint64) {
	c.begin(id)
	c.b = AppendZInt(c.b, v)
}

func (c *chain) bytes(id byte, p []byte) {
	if p == nil {
		return
	}
	c.begin(id)
	c.b = appendBytes(c.b, p)
}

func (c *chain) list(list []Extension) {
	for i := range list {
		switch e := &list[i]; e.ID & extEnc {
		case extZ64:
			c.z64(e.ID&^flagZ, e.Value)
		case extBytes:
			c.begin(e.ID &^ flagZ)
			c.b = appendBytes(c.b, e.Body)
		default:
			c.begin(e.ID & (extMust | 0x0f))
		}
	}
}

// open begins an extension of n bytes that the caller appends.
func (c *chain) open(id byte, n int) {
	c.begin(id)
	c.b = AppendZInt(c.b, uint64(n))
}

// close sets the flag in the header at that place when the chain is not empty, and gives the bytes.
func (c *chain) close(header int) []byte {
	if c.last > 0 {
		c.b[header] |= flagZ
	}
	return c.b
}

// appendBytes appends a length and the bytes.
func appendBytes(b, p []byte) []byte { return append(AppendZInt(b, uint64(len(p))), p...) }
