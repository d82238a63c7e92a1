package wire

// AppendZInt appends a variable-length integer: seven bits a byte, lowest first, bit 7 set when another byte follows, and eight bits in the
// ninth byte, which is the last. This is not the varint of encoding/binary from 2^63 on.
func AppendZInt(b []byte, v uint64) []byte {
	for range 8 {
		if v < 0x80 {
			return append(b, byte(v))
		}
		b = append(b, byte(v)|0x80)
		v >>= 7
	}
	return append(b, byte(v))
}

// ZIntLen gives the number of bytes that AppendZInt appends.
func ZIntLen(v uint64) int {
	n := 1
	for ; v >= 0x80 && n < 9; n++ {
		v >>= 7
	}
	return n
}

// ReadZInt reads a variable-length integer from the start of b and gives its length in bytes, which is 0 when b ends too early.
func ReadZInt(b []byte) (v uint64, n int) {
	for shift := 0; n < len(b); shift += 7 {
		c := uint64(b[n])
		n++
		if n == 9 {
			return v | c<<56, n
		}
		v |= c & 0x7f << shift
		if c < 0x80 {
			return v, n
		}
	}
	return 0, 0
}
