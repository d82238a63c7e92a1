package wire

import (
	"encoding/binary"
	"unicode/utf8"
)

// reader walks over the input. The first trouble is kept in err, after which every read gives zero and nothing moves on: callers check err
// once at the end, and in the condition of each loop.
type reader struct {
	b   []byte
	off int
	err error
}

func (r *reader) fail(err error) {
	if r.err == nil {
		r.err = err
	}
}

// left gives the number of bytes not read yet.
func (r *reader) left() int { return len(r.b) - r.off }

func (r *reader) u8() byte {
	if r.err != nil || r.off >= len(r.b) {
		r.fail(ErrTruncated)
		return 0
	}
	c := r.b[r.off]
	r.off++
	return c
}

func (r *reader) u16() uint16 {
	if p := r.take(2); p != nil {
		return binary.LittleEndian.Uint16(p)
	}
	return 0
}

// z reads a variable-length integer of at most bound.
func (r *reader) z(bound uint64) uint64 {
	if r.err != nil {
		return 0
	}
	var v uint64
	if r.off < len(r.b) && r.b[r.off] < 0x80 {
		v = uint64(r.b[r.off])
		r.off++
	} else {
		var n int
		if v, n = ReadZInt(r.b[r.off:]); n == 0 {
			r.fail(ErrTruncated)
			return 0
		}
		r.off += n
	}
	if v > bound {
		r.fail(ErrBound)
		return 0
	}
	return v
}

func (r *reader) z16() uint16 { return uint16(r.z(1<<16 - 1)) }
func (r *reader) z32() uint32 { return uint32(r.z(1<<32 - 1)) }
func (r *reader) z64() uint64 { return r.z(1<<64 - 1) }

// take gives the next n bytes, which alias the input and cannot grow into what follows them. They are nil only after an error.
func (r *reader) take(n int) []byte {
	if r.err != nil || n > r.left() {
		r.fail(ErrTruncated)
		return nil
	}
	p := r.b[r.off : r.off+n : r.off+n]
	r.off += n
	return p
}

// bytes reads a length of at most bound and that many bytes.
func (r *reader) bytes(bound uint64) []byte {
	n := r.z(bound)
	if n > uint64(r.left()) {
		r.fail(ErrTruncated)
		return nil
	}
	return r.take(int(n))
}

// text is bytes that must be UTF-8.
func (r *reader) text(bound uint64) []byte {
	p := r.bytes(bound)
	if !utf8.Valid(p) {
		r.fail(ErrUTF8)
		return nil
	}
	return p
}

// textRest gives all that is left, which must be UTF-8.
func (r *reader) textRest() []byte {
	p := r.rest()
	if !utf8.Valid(p) {
		r.fail(ErrUTF8)
		return nil
	}
	return p
}

// rest gives all that is left.
func (r *reader) rest() []byte { return r.take(r.left()) }

// Bounds of lengths.
const (
	bound8  = 1<<8 - 1
	bound16 = 1<<16 - 1
	bound32 = 1<<32 - 1
)
