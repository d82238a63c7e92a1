package wire

import (
	"bytes"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
)

// ZID is the id of a Zenoh node: a number of 128 bits, lowest byte first, that is not zero. It is comparable; the zero value is no id.
type ZID [16]byte

// NewZID makes a random id of 16 bytes.
func NewZID() ZID {
	var id ZID
	rand.Read(id[:]) // never fails
	id[15] |= 1 << 7
	return id
}

// ZIDFromBytes makes an id of 1 to 16 bytes, lowest first. Zeros at the end do not count.
func ZIDFromBytes(p []byte) (ZID, error) {
	var id ZID
	if len(p) > len(id) {
		return ZID{}, ErrZID
	}
	copy(id[:], p)
	if id.IsZero() {
		return ZID{}, ErrZID
	}
	return id, nil
}

// ParseZID reads the text form: lower-case hexadecimal, highest digit first, without leading zeros.
func ParseZID(s string) (ZID, error) {
	if len(s) == 0 || len(s) > 32 || s[0] == '0' || strings.ToLower(s) != s {
		return ZID{}, fmt.Errorf("parse %.40q: %w", s, ErrZID)
	}
	p, err := hex.DecodeString(strings.Repeat("0", len(s)%2) + s)
	if err != nil {
		return ZID{}, fmt.Errorf("parse %.40q: %w", s, ErrZID)
	}
	slices.Reverse(p)
	return ZIDFromBytes(p)
}

// String gives the text form, which is empty for no id.
func (id ZID) String() string {
	p := id.Bytes()
	slices.Reverse(p)
	return strings.TrimPrefix(hex.EncodeToString(p), "0")
}

// Bytes gives the bytes of the id, lowest first, without the zeros at the end.
func (id ZID) Bytes() []byte { return slices.Clone(id[:id.Len()]) }

// Len gives the number of bytes of the id on the wire.
func (id ZID) Len() int {
	n := len(id)
	for n > 0 && id[n-1] == 0 {
		n--
	}
	return n
}

// IsZero tells whether this is no id.
func (id ZID) IsZero() bool { return id == ZID{} }

// Compare orders ids as numbers.
func (id ZID) Compare(other ZID) int {
	slices.Reverse(id[:])
	slices.Reverse(other[:])
	return bytes.Compare(id[:], other[:])
}

// WhatAmI is the role of a node, or as the matcher of a Scout a set of roles.
type WhatAmI uint8

// The roles.
const (
	Router WhatAmI = 1 << iota
	Peer
	Client
)

// String names the role or roles as configuration does, for example "peer" or "router|peer".
func (w WhatAmI) String() string {
	var names []string
	for i, name := range []string{"router", "peer", "client"} {
		if w>>i&1 != 0 {
			names = append(names, name)
		}
	}
	return strings.Join(names, "|")
}

// valid tells whether w is exactly one role.
func (w WhatAmI) valid() bool { return w == Router || w == Peer || w == Client }

// bits gives the role as most messages have it: 0, 1, 2.
func (w WhatAmI) bits() byte { return byte(w >> 1) }

// whatAmI reads the role as most messages have it.
func (r *reader) whatAmI(c byte) WhatAmI {
	if c&3 == 3 {
		r.fail(ErrMalformed)
	}
	return WhatAmI(1) << (c & 3)
}

// zid reads the raw bytes of an id, of which length−1 stands in the high half of c.
func (r *reader) zid(c byte) ZID { return r.checkZID(r.take(int(c>>4) + 1)) }

// zidBytes reads an id that has its length before it.
func (r *reader) zidBytes() ZID { return r.checkZID(r.bytes(bound32)) }

func (r *reader) checkZID(p []byte) ZID {
	if r.err != nil {
		return ZID{}
	}
	id, err := ZIDFromBytes(p)
	if err != nil {
		r.fail(err)
	}
	return id
}

// zidHigh gives length−1 in the high half of a byte. The id must not be zero.
func zidHigh(id ZID) byte { return byte(id.Len()-1) << 4 }

// appendZID appends the raw bytes of an id.
func appendZID(b []byte, id ZID) []byte { return append(b, id[:id.Len()]...) }
