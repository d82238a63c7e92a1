package wasm

import (
	"encoding/binary"
	"slices"
)

// The modules of the tests are put together by hand, so that they need no compiler and do exactly what they should.

func vector(items ...[]byte) []byte {
	return append(binary.AppendUvarint(nil, uint64(len(items))), slices.Concat(items...)...)
}

func text(s string) []byte { return append(binary.AppendUvarint(nil, uint64(len(s))), s...) }

func section(id byte, items ...[]byte) []byte { return sized([]byte{id}, vector(items...)) }

// sized puts the length of body between head and body.
func sized(head, body []byte) []byte {
	return append(binary.AppendUvarint(head, uint64(len(body))), body...)
}

// Types of functions, in the order of the type section.
const (
	typeNothing = iota // no parameters, no results
	typeBuffer         // i32 to i32
	typeCall           // to i64
	typeExit           // i32
	typeRead           // four i32 to i32
)

var types = section(1,
	[]byte{0x60, 0, 0}, []byte{0x60, 1, 0x7f, 1, 0x7f}, []byte{0x60, 0, 1, 0x7e}, []byte{0x60, 1, 0x7f, 0}, []byte{0x60, 4, 0x7f, 0x7f, 0x7f, 0x7f, 1, 0x7f})

// guestModule describes a module with one memory, one mutable i32 global and a table.
type guestModule struct {
	imports [][]byte          // functions, numbered first
	funcs   map[string][]byte // code by export name, without the final end
	pages   uint32
	data    string // at address 2000
}

func importFunc(module, name string, kind byte) []byte {
	return slices.Concat(text(module), text(name), []byte{0, kind})
}

func wasi(name string, kind byte) []byte { return importFunc("wasi_snapshot_preview1", name, kind) }

var kinds = map[string]byte{exportBuffer: typeBuffer, exportCall: typeCall, exportCommand: typeNothing, exportInitialize: typeNothing, exportStart: typeNothing}

func (g guestModule) bytes() []byte {
	var exports, funcs, code [][]byte
	exports = append(exports, append(text("memory"), 2, 0))
	names := make([]string, 0, len(g.funcs))
	for name := range g.funcs {
		names = append(names, name)
	}
	slices.Sort(names)
	for i, name := range names {
		exports = append(exports, append(text(name), 0, byte(len(g.imports)+i)))
		funcs = append(funcs, []byte{kinds[name]})
		code = append(code, sized(nil, append(append([]byte{0}, g.funcs[name]...), 0x0b)))
	}
	out := slices.Concat(magic, plain, types)
	if len(g.imports) > 0 {
		out = append(out, section(2, g.imports...)...)
	}
	out = append(out, section(3, funcs...)...)
	out = append(out, section(4, []byte{0x70, 0, 1})...)                                       // a table of one function
	out = append(out, section(5, binary.AppendUvarint([]byte{0}, uint64(max(g.pages, 1))))...) // a memory
	out = append(out, section(6, []byte{0x7f, 1, 0x41, 0, 0x0b})...)                           // a mutable i32
	out = append(out, section(7, exports...)...)
	out = append(out, section(10, code...)...)
	if g.data != "" {
		out = append(out, section(11, append([]byte{0, 0x41, 0xd0, 0x0f, 0x0b}, text(g.data)...))...)
	}
	return out
}

// Pieces of code.
var (
	i32at1024 = []byte{0x41, 0x80, 0x08}             // i32.const 1024
	endless   = []byte{0x03, 0x40, 0x0c, 0, 0x0b}    // loop br 0 end
	trap      = []byte{0x00}                         // unreachable
	tableSet  = []byte{0x41, 0, 0xd0, 0x70, 0x26, 0} // table[0] = null
	bump      = []byte{                              // the byte at 2020 and the global each count up; the global goes to 2021
		0x41, 0, 0x41, 0, 0x2d, 0, 0xe4, 0x0f, 0x41, 1, 0x6a, 0x3a, 0, 0xe4, 0x0f,
		0x23, 0, 0x41, 1, 0x6a, 0x24, 0, 0x41, 0, 0x23, 0, 0x41, 0x30, 0x6a, 0x3a, 0, 0xe5, 0x0f,
	}
)

// answerAt gives code for the result of oaas_call: so many bytes at an address.
func answerAt(at, size uint32) []byte { return i64const(int64(uint64(at)<<32 | uint64(size))) }

func i64const(v int64) []byte {
	out := []byte{0x42}
	for {
		b := byte(v & 0x7f)
		v >>= 7
		if v == 0 && b&0x40 == 0 || v == -1 && b&0x40 != 0 {
			return append(out, b)
		}
		out = append(out, b|0x80)
	}
}

// counting answers with what it has counted in its memory and in its global: "11", unless a call sees one before it.
const counting = `{"payload":{"text":"00"}}`

// reactor gives a module whose oaas_call runs code.
func reactor(code ...[]byte) guestModule {
	return guestModule{data: counting, funcs: map[string][]byte{exportBuffer: i32at1024, exportCall: slices.Concat(code...)}}
}

// command gives a module whose _start runs code.
func command(imports [][]byte, code ...[]byte) guestModule {
	return guestModule{imports: imports, data: counting, funcs: map[string][]byte{exportCommand: slices.Concat(code...)}}
}
