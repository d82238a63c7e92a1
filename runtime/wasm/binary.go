package wasm

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"strconv"
)

// What a binary begins with: the magic number, then the version. Components have another version, and a layer that is not 0.
var (
	magic     = []byte("\x00asm")
	plain     = []byte{1, 0, 0, 0}
	component = []byte{0x0d, 0, 1, 0}
)

// checkKind refuses what is no module, with the reason.
func checkKind(code []byte) error {
	switch {
	case len(code) > MaxModule:
		return fmt.Errorf("the module has %d bytes; the limit is %d", len(code), MaxModule)
	case len(code) < 8 || !bytes.Equal(code[:4], magic):
		return errors.New("this is no WebAssembly module: it does not begin with \\0asm")
	case bytes.Equal(code[4:8], component):
		return errors.New("this is a component (WASI preview 2), as OaaS-RS runs them; only modules (WASI preview 1) run here: compile for wasip1, " +
			"for example with GOOS=wasip1, or with cargo build --target wasm32-wasip1 instead of wasm32-wasip2 or cargo component")
	case !bytes.Equal(code[4:8], plain):
		return fmt.Errorf("WebAssembly version %x is not known; it is 01000000 for modules", code[4:8])
	}
	return nil
}

// Numbers of sections.
const (
	sectionImport = 2
	sectionGlobal = 6
	sectionExport = 7
	sectionCode   = 10
)

// errBinary is given for a module that does not parse. The compiler says what is wrong with it.
var errBinary = errors.New("malformed module")

// withGlobals gives the module with an export for each mutable global, and the names of these exports. Restorable is false if an instance of it cannot be put
// back by its memory and globals alone; then the module is given as it is.
func withGlobals(code []byte) (changed []byte, globals []string, restorable bool) {
	m := &scanner{rest: code[8:]}
	defer func() {
		if recover() != nil { // a slice out of range: the binary is cut short or lies about a length
			changed, globals, restorable = code, nil, false
		}
	}()
	changed = bytes.Clone(code[:8])
	var imported uint32
	var mutable []uint32
	for len(m.rest) > 0 {
		id, body := m.byte(), m.bytes()
		s := &scanner{rest: body}
		switch id {
		case sectionImport:
			imported = s.importedGlobals()
		case sectionGlobal:
			var ok bool
			if mutable, ok = s.mutableGlobals(imported); !ok {
				return code, nil, false
			}
		case sectionExport:
			body, globals = s.exportGlobals(mutable)
		case sectionCode:
			if s.changesTables() {
				return code, nil, false
			}
		}
		changed = append(changed, id)
		changed = binary.AppendUvarint(changed, uint64(len(body)))
		changed = append(changed, body...)
	}
	return changed, globals, imported == 0
}

// scanner reads a binary. It panics where that is cut short.
type scanner struct{ rest []byte }

func (s *scanner) byte() byte {
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

func (s *scanner) skip(n int) { s.rest = s.rest[n:] }

// leb reads a number of LEB128; of a signed one the value means nothing.
func (s *scanner) leb() (value uint64) {
	for shift := 0; ; shift += 7 {
		b := s.byte()
		value |= uint64(b&0x7f) << shift
		if b < 0x80 {
			return value
		}
		if shift > 63 {
			panic(errBinary)
		}
	}
}

func (s *scanner) bytes() []byte {
	n := s.leb()
	b := s.rest[:n]
	s.rest = s.rest[n:]
	return b
}

func (s *scanner) importedGlobals() (n uint32) {
	for range s.leb() {
		s.bytes()
		s.bytes()
		switch s.byte() {
		case 0: // function: its type
			s.leb()
		case 1: // table: type and limits
			s.byte()
			s.limits()
		case 2:
			s.limits()
		case 3: // global: type and mutability
			s.skip(2)
			n++
		default:
			panic(errBinary)
		}
	}
	return n
}

func (s *scanner) limits() {
	if s.byte()&1 != 0 {
		s.leb()
	}
	s.leb()
}

// mutableGlobals gives the indexes of the module's own mutable globals; ok is false if one has a type that the host cannot set.
func (s *scanner) mutableGlobals(first uint32) (mutable []uint32, ok bool) {
	for i := range s.leb() {
		kind, changes := s.byte(), s.byte()
		if changes == 1 {
			if kind < 0x7c || kind > 0x7f { // f64, f32, i64, i32
				return nil, false
			}
			mutable = append(mutable, first+uint32(i))
		}
		s.constant()
	}
	return mutable, true
}

// constant skips a constant expression.
func (s *scanner) constant() {
	for {
		op := s.byte()
		if op == 0x0b {
			return
		}
		if _, known := s.immediates(op); !known {
			panic(errBinary)
		}
	}
}

// exportGlobals adds exports to an export section.
func (s *scanner) exportGlobals(globals []uint32) (body []byte, names []string) {
	count := s.leb()
	body = binary.AppendUvarint(nil, count+uint64(len(globals)))
	body = append(body, s.rest...)
	for _, index := range globals {
		name := "oaas:global:" + strconv.Itoa(int(index))
		names = append(names, name)
		body = binary.AppendUvarint(body, uint64(len(name)))
		body = append(append(body, name...), 3)
		body = binary.AppendUvarint(body, uint64(index))
	}
	return body, names
}

// changesTables tells whether any function has an instruction that changes a table or drops a segment, or one that is not known here.
func (s *scanner) changesTables() bool {
	for range s.leb() {
		f := &scanner{rest: s.bytes()}
		for range f.leb() { // locals: how many, of which type
			f.leb()
			f.byte()
		}
		for len(f.rest) > 0 {
			if changes, known := f.immediates(f.byte()); changes || !known {
				return true
			}
		}
	}
	return false
}
