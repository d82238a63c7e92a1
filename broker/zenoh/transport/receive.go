package transport

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// receiver is what the reading goroutine keeps.
type receiver struct {
	t       *Transport
	batches wire.Decoder
	whole   wire.Decoder
	last    [8][2]uint32 // sequence numbers that came last, by priority; best effort and reliable
	pieces  [8][2][]byte // messages that are not whole yet; nil is none
	held    int          // bytes of all of those
	spare   []byte       // memory for the next message of fragments
	size    int          // of the last one, up to maxHint
	message []byte       // the memory of the message that is handed on, if that is nobody else's
	block   []byte       // what is left of memory for byte strings that are kept
	arrived time.Time    // when the batch came, if somebody asked
	lossy   bool         // the message that is handed on came as best effort
}

func (in *receiver) init(t *Transport, sn uint32) {
	in.t = t
	for i := range in.last {
		before := (sn - 1) & t.mask
		in.last[i] = [2]uint32{before, before}
	}
}

// read hands messages on until something ends it. The error is never nil.
func (t *Transport) read(handler func(wire.Network) error) error {
	var deadline time.Time
	for {
		// The deadline is moved rarely, as that costs more than reading a small batch.
		if now := time.Now(); deadline.Sub(now) < t.lease {
			deadline = now.Add(t.lease + t.lease/8)
		}
		b, err := t.link.ReadBatch(deadline)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return fmt.Errorf("%w: nothing came for %v", ErrExpired, t.lease)
		case err != nil:
			return linkError{err}
		case len(b) > t.limit:
			return fmt.Errorf("%w: batch of %d bytes, more than the %d agreed on", ErrProtocol, len(b), t.limit)
		}
		if err := t.in.batch(b, handler); err != nil {
			return err
		}
		if t.after != nil {
			t.after()
		}
	}
}

// batch hands on what is in a batch.
func (in *receiver) batch(b []byte, handler func(wire.Network) error) error {
	accept := false
	in.arrived = time.Time{}
	for in.batches.Reset(b); in.batches.More(); {
		m, err := in.batches.Next()
		if err != nil {
			return fmt.Errorf("%w: %w", ErrProtocol, err)
		}
		switch m := m.(type) {
		case wire.Network:
			if accept {
				err = handler(m)
			}
		case *wire.Frame:
			in.lossy = !m.Reliable
			accept, err = in.accept(m.Priority, m.Reliable, m.SN)
		case *wire.Fragment:
			in.lossy = !m.Reliable
			err = in.fragment(m, handler)
		case *wire.KeepAlive, *wire.TransportOAM:
		case *wire.Close:
			err = linkError{&CloseError{Reason: m.Reason}}
		default:
			err = fmt.Errorf("%w: %T after the handshake", ErrProtocol, m)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// accept tells whether a frame or fragment with that number is newer than the last of its lane. Old and repeated ones are left out.
func (in *receiver) accept(p wire.Priority, reliable bool, sn uint32) (bool, error) {
	mask := in.t.mask
	switch {
	case p != wire.PriorityData && !in.t.qos:
		return false, fmt.Errorf("%w: a lane of a priority without agreement on it", ErrProtocol)
	case sn > mask:
		return false, fmt.Errorf("%w: sequence number %d above %d", ErrProtocol, sn, mask)
	}
	last := &in.last[p.Index()][lanesOf(reliable)]
	gap := (sn - *last) & mask
	if gap < 1 || gap > mask>>1 {
		return false, nil
	}
	*last = sn
	return true, nil
}

// fragment adds a piece to its message, and hands on what is whole. A message of which a piece is missing is forgotten.
func (in *receiver) fragment(f *wire.Fragment, handler func(wire.Network) error) error {
	pieces := &in.pieces[f.Priority.Index()][lanesOf(f.Reliable)]
	before := in.last[f.Priority.Index()][lanesOf(f.Reliable)]
	fresh, err := in.accept(f.Priority, f.Reliable, f.SN)
	if err != nil || !fresh {
		return err
	}
	switch consecutive := f.SN == (before+1)&in.t.mask; {
	case f.Drop:
		in.forget(pieces)
		return nil
	case f.First:
		in.forget(pieces)
		*pieces = in.take()
	case !consecutive && *pieces != nil:
		in.forget(pieces)
		return nil
	case *pieces == nil && in.t.patch > 0:
		return nil
	case *pieces == nil:
		*pieces = in.take()
	}
	if in.held+len(f.Payload) > in.t.config.MaxMessageSize {
		in.forget(pieces)
		return nil
	}
	if need := len(*pieces) + len(f.Payload); need > cap(*pieces) { // append would grow by a quarter
		*pieces = slices.Grow(*pieces, max(need, 2*cap(*pieces))-len(*pieces))
	}
	*pieces = append(*pieces, f.Payload...)
	in.held += len(f.Payload)
	if f.More {
		return nil
	}
	whole := *pieces
	in.forget(pieces)
	in.message, in.size = whole, min(len(whole), maxHint)
	defer in.reuse()
	in.whole.ResetNetwork(whole)
	m, err := in.whole.Next()
	switch {
	case err != nil && in.t.patch == 0: // without mark of the first piece, this is how a missing one shows
		return nil
	case err != nil:
		return fmt.Errorf("%w: fragments: %w", ErrProtocol, err)
	case in.whole.More():
		return fmt.Errorf("%w: more than one message in fragments", ErrProtocol)
	}
	n, ok := m.(wire.Network)
	if !ok {
		return fmt.Errorf("%w: %T in fragments", ErrProtocol, m)
	}
	return handler(n)
}

// maxSpare is the size up to which the memory of a message of fragments is used again.
const maxSpare = 1 << 18

// maxHint is the largest size of a message that memory is made for before it has come.
const maxHint = 1 << 20

// take gives empty memory for a message, which is not nil.
func (in *receiver) take() []byte {
	b := in.spare[:0]
	if in.spare = nil; b == nil {
		b = make([]byte, 0, in.size)
	}
	return b
}

// reuse takes the memory of a message of fragments back, unless it was kept.
func (in *receiver) reuse() {
	if cap(in.message) <= maxSpare {
		in.spare = in.message
	}
	in.message = nil
}

// forget gives up the pieces of a message, or hands them over.
func (in *receiver) forget(pieces *[]byte) {
	in.held -= len(*pieces)
	*pieces = nil
}
