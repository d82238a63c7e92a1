package transport

import (
	"bytes"
	"time"
)

// Byte strings up to ownSmall bytes are cut from blocks of ownBlock bytes, larger ones up to ownMax bytes from blocks for ownMany of them, as
// far as their batch goes. That saves an allocation for each; who keeps one of them keeps its block, which has at most ownMax times ownMany bytes.
const (
	ownBlock = 4 << 10
	ownSmall = 256
	ownMax   = 2 << 10
	ownMany  = 16
)

// Own gives a byte string of the message that a handler has, on memory that stays as it is when the handler returns. It is for the handler's
// goroutine only. A message that came in fragments is not copied if the string is nearly all of its memory. Nil stays nil.
func (t *Transport) Own(b []byte) []byte {
	in := &t.in
	n := len(b)
	switch {
	case b == nil:
		return nil
	case n == 0:
		return []byte{}
	case n <= len(in.block):
	case n <= ownSmall:
		in.block = make([]byte, ownBlock)
	case cap(in.message) > 0 && n >= cap(in.message)-cap(in.message)/8:
		in.message = nil
		return b
	case n > ownMax:
		return bytes.Clone(b)
	default:
		in.block = make([]byte, min(n*ownMany, n+in.batches.Left()))
	}
	c := in.block[:n:n]
	in.block = in.block[n:]
	copy(c, b)
	return c
}

// Arrival tells a handler when the batch of its message came, as nearly as when it first asked for one of the batch. It is for the handler's
// goroutine only.
func (t *Transport) Arrival() time.Time {
	if t.in.arrived.IsZero() {
		t.in.arrived = time.Now()
	}
	return t.in.arrived
}
