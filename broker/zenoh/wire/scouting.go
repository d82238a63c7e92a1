package wire

const (
	scoutHasZID = 0x08
	scoutWhat   = 0x07
)

// Scout asks a multicast group which nodes there are.
type Scout struct {
	What WhatAmI // the roles that are looked for
	ZID  ZID     // of the sender; zero is absent
}

func (m *Scout) decode(r *reader, h byte) {
	*m = Scout{}
	r.version()
	c := r.u8()
	m.What = WhatAmI(c & scoutWhat)
	if c&scoutHasZID != 0 {
		m.ZID = r.zid(c)
	}
	r.skipAll(h&flagZ != 0)
}

// AppendBinary implements Message.
func (m *Scout) AppendBinary(b []byte) ([]byte, error) {
	c := byte(m.What & scoutWhat)
	if m.ZID.IsZero() {
		return append(b, idScout, Version, c), nil
	}
	return appendZID(append(b, idScout, Version, c|scoutHasZID|zidHigh(m.ZID)), m.ZID), nil
}

// Hello answers a Scout.
type Hello struct {
	WhatAmI  WhatAmI
	ZID      ZID
	Locators []string // where the node can be reached
}

func (m *Hello) decode(r *reader, h byte) {
	*m = Hello{}
	r.version()
	c := r.u8()
	m.WhatAmI = r.whatAmI(c)
	m.ZID = r.zid(c)
	if h&flag5 != 0 {
		m.Locators = r.locators()
	}
	r.skipAll(h&flagZ != 0)
}

// AppendBinary implements Message.
func (m *Hello) AppendBinary(b []byte) ([]byte, error) {
	if err := nodeError("hello", m.ZID, m.WhatAmI); err != nil {
		return b, err
	}
	if err := locatorsError("hello", m.Locators); err != nil {
		return b, err
	}
	start := len(b)
	b = appendZID(append(b, idHello, Version, zidHigh(m.ZID)|m.WhatAmI.bits()), m.ZID)
	if len(m.Locators) > 0 {
		b[start] |= flag5
		b = appendLocators(b, m.Locators)
	}
	return b, nil
}

// DecodeScouting reads a datagram with a *Scout or *Hello.
func DecodeScouting(b []byte) (Message, error) {
	r := reader{b: b}
	name := ""
	var message Message
	switch h := r.u8(); h & maskID {
	case idScout:
		m := new(Scout)
		m.decode(&r, h)
		name, message = "scout", m
	case idHello:
		m := new(Hello)
		m.decode(&r, h)
		name, message = "hello", m
	default:
		r.fail(ErrUnknownMessage)
	}
	if r.err == nil && r.left() > 0 {
		r.fail(ErrTrailing)
	}
	if r.err != nil {
		return nil, &DecodeError{Message: name, Offset: r.off, Err: r.err}
	}
	return message, nil
}
