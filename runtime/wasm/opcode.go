package wasm

// immediates skips what follows an opcode. Changes is true for instructions that change a table or drop a segment; known is false for those that are not of
// WebAssembly 2.0, whose length is not known then.
func (s *scanner) immediates(op byte) (changes, known bool) {
	switch {
	case op >= 0x45 && op <= 0xc4, op == 0x00, op == 0x01, op == 0x05, op == 0x0b, op == 0x0f, op == 0x1a, op == 0x1b, op == 0xd1:
		// numeric instructions and others without immediates
	case op >= 0x02 && op <= 0x04, op == 0x0c, op == 0x0d, op == 0x10, op >= 0x20 && op <= 0x24, op == 0x25, op == 0x3f, op == 0x40, op == 0x41, op == 0x42,
		op == 0xd0, op == 0xd2:
		s.leb() // a block type, label, function, local, global, table, memory or constant
	case op >= 0x28 && op <= 0x3e, op == 0x11:
		s.leb() // alignment and offset, or type and table
		s.leb()
	case op == 0x26: // table.set
		return true, true
	case op == 0x0e: // br_table
		for range s.leb() + 1 {
			s.leb()
		}
	case op == 0x1c: // select with types
		for range s.leb() {
			s.byte()
		}
	case op == 0x43:
		s.skip(4)
	case op == 0x44:
		s.skip(8)
	case op == 0xfc:
		return s.bulk()
	case op == 0xfd:
		return false, s.vector()
	default:
		return false, false
	}
	return false, true
}

// bulk skips what follows the prefix of saturating conversions, and of instructions on whole memories and tables.
func (s *scanner) bulk() (changes, known bool) {
	switch op := s.leb(); {
	case op <= 7:
	case op == 8, op == 10: // memory.init, memory.copy
		s.leb()
		s.leb()
	case op == 11, op == 16: // memory.fill, table.size
		s.leb()
	case op <= 17: // data.drop and all that changes tables
		return true, true
	default:
		return false, false
	}
	return false, true
}

// vector skips what follows the prefix of vector instructions.
func (s *scanner) vector() (known bool) {
	switch op := s.leb(); {
	case op <= 11, op == 92, op == 93: // loads and stores
		s.leb()
		s.leb()
	case op == 12, op == 13: // constants, shuffles
		s.skip(16)
	case op >= 21 && op <= 34: // lanes
		s.byte()
	case op >= 84 && op <= 91: // loads and stores of lanes
		s.leb()
		s.leb()
		s.byte()
	case op > 255:
		return false
	}
	return true
}
