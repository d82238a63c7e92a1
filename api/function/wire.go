package function

import (
	"encoding/binary"
	"math"
	"math/bits"
	"strings"
	"unicode/utf8"
)

// The part of protobuf's wire format that exchange.proto needs: numbers as varints, and everything else with its length in front.
const (
	wireVarint = 0
	wireFixed8 = 1
	wireBytes  = 2
	wireFixed4 = 5
)

// smallBody is the size up to which a body is copied once, so that all its strings share one allocation.
const smallBody = 4 << 10

// wire reads fields one after the other. The first error ends it.
type wire struct {
	buf  []byte
	pos  int
	text string // copy of the whole body, if it is small
	base int    // position of buf in text
	err  error
}

func newWire(body []byte) wire {
	w := wire{buf: body}
	if len(body) <= smallBody {
		w.text = string(body)
	}
	return w
}

// next gives number and wire type of the following field; ok is false at the end and after an error.
func (w *wire) next(message string) (number uint64, kind int, ok bool) {
	if w.err != nil || w.pos == len(w.buf) {
		return 0, 0, false
	}
	tag := w.varint(message)
	if w.err != nil {
		return 0, 0, false
	}
	if tag>>3 == 0 || tag > math.MaxUint32 {
		w.fail(message, "byte %d does not begin a field", w.base+w.pos)
		return 0, 0, false
	}
	return tag >> 3, int(tag & 7), true
}

func (w *wire) fail(field, format string, args ...any) {
	if w.err == nil {
		w.err = invalid(field, format, args...)
	}
}

// varint reads a number.
func (w *wire) varint(field string) uint64 {
	value, n := binary.Uvarint(w.buf[w.pos:])
	if n <= 0 {
		w.fail(field, "the body ends in the middle of a number, or a number has more than 64 bits")
		return 0
	}
	w.pos += n
	return value
}

// number reads a field that must be a number up to most.
func (w *wire) number(field string, kind int, most uint64) uint64 {
	if !w.want(field, kind, wireVarint) {
		return 0
	}
	value := w.varint(field)
	if value > most {
		w.fail(field, "%d is over %d", value, most)
	}
	return value
}

// bytes reads a field with its length in front. The slice is part of the body; nothing can be appended to it in place.
func (w *wire) bytes(field string, kind int) []byte {
	start, end := w.extent(field, kind)
	return w.buf[start:end:end]
}

// string reads a field that must be UTF-8.
func (w *wire) string(field string, kind int) string {
	start, end := w.extent(field, kind)
	if !utf8.Valid(w.buf[start:end]) {
		w.fail(field, "%q is not UTF-8", clip(string(w.buf[start:end])))
		return ""
	}
	if w.text != "" {
		return w.text[w.base+start : w.base+end]
	}
	return string(w.buf[start:end])
}

// message gives a reader of a nested message.
func (w *wire) message(field string, kind int) wire {
	start, end := w.extent(field, kind)
	return wire{buf: w.buf[start:end], text: w.text, base: w.base + start, err: w.err}
}

func (w *wire) extent(field string, kind int) (start, end int) {
	if !w.want(field, kind, wireBytes) {
		return 0, 0
	}
	length := w.varint(field)
	if w.err != nil {
		return 0, 0
	}
	if length > uint64(len(w.buf)-w.pos) {
		w.fail(field, "has %d bytes by its length, but only %d follow", length, len(w.buf)-w.pos)
		return 0, 0
	}
	start = w.pos
	w.pos += int(length)
	return start, w.pos
}

func (w *wire) want(field string, kind, wanted int) bool {
	if w.err == nil && kind != wanted {
		w.fail(field, "has wire type %d; %d is expected", kind, wanted)
	}
	return w.err == nil
}

// skip passes over a field that is not known.
func (w *wire) skip(field string, kind int) {
	switch kind {
	case wireVarint:
		w.varint(field)
	case wireBytes:
		w.extent(field, kind)
	case wireFixed4, wireFixed8:
		size := 4
		if kind == wireFixed8 {
			size = 8
		}
		if len(w.buf)-w.pos < size {
			w.fail(field, "the body ends in the middle of a number")
			return
		}
		w.pos += size
	default:
		w.fail(field, "wire type %d is not supported", kind)
	}
}

// Sizes and appenders. Fields with their zero value are left out, as protobuf does, unless "always" is in the name.

func sizeOfVarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func sizeOfNumber(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + sizeOfVarint(v)
}

func sizeOfText(n int) int {
	if n == 0 {
		return 0
	}
	return sizeOfAlways(n)
}

func sizeOfAlways(n int) int { return 1 + sizeOfVarint(uint64(n)) + n }

func appendNumber(dst []byte, number int, v uint64) []byte {
	if v == 0 {
		return dst
	}
	return binary.AppendUvarint(append(dst, byte(number<<3|wireVarint)), v)
}

func appendBool(dst []byte, number int, v bool) []byte {
	if !v {
		return dst
	}
	return append(dst, byte(number<<3|wireVarint), 1)
}

func appendBytes(dst []byte, number int, v []byte) []byte {
	if len(v) == 0 {
		return dst
	}
	return append(appendLength(dst, number, len(v)), v...)
}

// appendText writes a string; bytes that are not UTF-8 are replaced, because protobuf readers refuse them.
func appendText(dst []byte, number int, v string) []byte {
	if v == "" {
		return dst
	}
	return appendTextAlways(dst, number, v)
}

func appendTextAlways(dst []byte, number int, v string) []byte {
	v = validText(v)
	return append(appendLength(dst, number, len(v)), v...)
}

func appendLength(dst []byte, number, length int) []byte {
	return binary.AppendUvarint(append(dst, byte(number<<3|wireBytes)), uint64(length))
}

// validText gives v with U+FFFD for what is not UTF-8.
func validText(v string) string {
	if utf8.ValidString(v) {
		return v
	}
	return strings.ToValidUTF8(v, "\uFFFD")
}
