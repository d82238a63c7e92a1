package wire

// Decoder reads the messages of a batch one after another. Frame stands for its header alone: the network messages of the frame come after it.
//
// Messages are memory of the Decoder: each is valid until the next call of Next, and its byte strings as long as the batch. The zero Decoder has
// nothing to read. A Decoder is for one goroutine.
type Decoder struct {
	r       reader
	network bool // a network message may stand here
	bare    bool // nothing but network messages

	init          Init
	open          Open
	close         Close
	keepAlive     KeepAlive
	frame         Frame
	fragment      Fragment
	join          Join
	transportOAM  TransportOAM
	push          Push
	request       Request
	response      Response
	responseFinal ResponseFinal
	declare       Declare
	interest      Interest
	oam           OAM
}

// Reset makes the Decoder read a batch, without its length prefix.
func (d *Decoder) Reset(batch []byte) {
	d.r = reader{b: batch}
	d.network, d.bare = false, false
}

// ResetNetwork makes the Decoder read network messages that stand in no frame, such as one that was put together from fragments.
func (d *Decoder) ResetNetwork(b []byte) {
	d.r = reader{b: b}
	d.network, d.bare = true, true
}

// More tells whether there is another message. There is none after an error.
func (d *Decoder) More() bool { return d.r.err == nil && d.r.off < len(d.r.b) }

// Left gives how many bytes were not read yet.
func (d *Decoder) Left() int { return d.r.left() }

// Offset gives how many bytes were read.
func (d *Decoder) Offset() int { return d.r.off }

// Next reads the next message. The error is a *DecodeError; the batch is of no use then, as nobody knows where the next message begins.
func (d *Decoder) Next() (Message, error) {
	h := d.r.u8()
	if d.r.err != nil {
		return nil, d.fail("")
	}
	if h&maskID == idPush && d.network { // by far the most frequent
		if d.push.decode(&d.r, h); d.r.err != nil {
			return nil, d.fail("push")
		}
		return &d.push, nil
	}
	m, name := d.nextNetwork(h)
	switch {
	case m == nil && d.bare:
		d.r.fail(ErrUnknownMessage)
	case m == nil:
		m, name = d.nextTransport(h)
	case !d.network:
		d.r.fail(ErrUnknownMessage) // outside of a frame
	}
	if m == nil {
		d.r.fail(ErrUnknownMessage)
	}
	if d.r.err != nil {
		return nil, d.fail(name)
	}
	return m, nil
}

func (d *Decoder) fail(name string) error {
	return &DecodeError{Message: name, Offset: d.r.off, Err: d.r.err}
}

// nextNetwork reads a network message, or gives nil when the header is not that of any.
func (d *Decoder) nextNetwork(h byte) (m Message, name string) {
	switch h & maskID {
	case idPush:
		m, name = &d.push, "push"
		d.push.decode(&d.r, h)
	case idRequest:
		m, name = &d.request, "request"
		d.request.decode(&d.r, h)
	case idResponse:
		m, name = &d.response, "response"
		d.response.decode(&d.r, h)
	case idResponseFinal:
		m, name = &d.responseFinal, "response final"
		d.responseFinal.decode(&d.r, h)
	case idDeclare:
		m, name = &d.declare, "declare"
		d.declare.decode(&d.r, h)
	case idInterest:
		m, name = &d.interest, "interest"
		d.interest.decode(&d.r, h)
	case idOAM:
		m, name = &d.oam, "oam"
		d.oam.decode(&d.r, h)
	}
	return m, name
}

// nextTransport reads a transport message, or gives nil when the header is not that of any.
func (d *Decoder) nextTransport(h byte) (m Message, name string) {
	d.network = h&maskID == idFrame
	switch h & maskID {
	case idFrame:
		m, name = &d.frame, "frame"
		d.frame.decode(&d.r, h)
	case idFragment:
		m, name = &d.fragment, "fragment"
		d.fragment.decode(&d.r, h)
	case idKeepAlive:
		m, name = &d.keepAlive, "keep alive"
		d.r.skipAll(h&flagZ != 0)
	case idInit:
		m, name = &d.init, "init"
		d.init.decode(&d.r, h)
	case idOpen:
		m, name = &d.open, "open"
		d.open.decode(&d.r, h)
	case idClose:
		m, name = &d.close, "close"
		d.close.decode(&d.r, h)
	case idJoin:
		m, name = &d.join, "join"
		d.join.decode(&d.r, h)
	case idTransportOAM:
		m, name = &d.transportOAM, "transport oam"
		d.transportOAM.decode(&d.r, h)
	}
	return m, name
}
