package zenoh

import (
	"bytes"
	"io"
	"unsafe"
)

// ZBytes is the bytes of a payload or attachment. Where a payload is optional, nil is absent, and empty but not nil is present. What a
// Session is given is not kept after the call; what it hands out is not changed any more.
type ZBytes []byte

// NewZBytes makes ZBytes of bytes, which are not copied.
func NewZBytes(b []byte) ZBytes { return b }

// NewZBytesFromString makes ZBytes of text.
func NewZBytesFromString(s string) ZBytes { return ZBytes(s) }

// Bytes gives the bytes, which are not copied.
func (z ZBytes) Bytes() []byte { return z }

// String gives the bytes as text.
func (z ZBytes) String() string { return string(z) }

// Len gives the number of bytes.
func (z ZBytes) Len() int { return len(z) }

// Reader reads the bytes.
func (z ZBytes) Reader() io.Reader { return bytes.NewReader(z) }

// Clone gives the same bytes on memory of their own.
func (z ZBytes) Clone() ZBytes { return bytes.Clone(z) }

// bytesOf gives the bytes of text, which must not be written to.
func bytesOf(s string) []byte { return unsafe.Slice(unsafe.StringData(s), len(s)) }
