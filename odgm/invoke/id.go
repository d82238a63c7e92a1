package invoke

import (
	"crypto/rand"
	"time"
)

const digits = "0123456789abcdefghjkmnpqrstvwxyz"

// NewID gives a new ULID in lower case: 48 bits of time, so that ids sort by when they were made, and 80 bits that nobody can guess.
func NewID() string { return newID(time.Now()) }

func newID(now time.Time) string {
	var raw [16]byte
	ms := uint64(now.UnixMilli())
	for i := range 6 {
		raw[i] = byte(ms >> (40 - 8*i))
	}
	_, _ = rand.Read(raw[6:]) // never fails
	var text [26]byte
	// 26 digits of 5 bits hold 130: the first digit has the upper 3 bits.
	var acc, bits uint32 = 0, 2
	at := 0
	for _, b := range raw {
		acc = acc<<8 | uint32(b)
		bits += 8
		for bits >= 5 {
			bits -= 5
			text[at] = digits[acc>>bits&31]
			at++
		}
	}
	return string(text[:])
}
