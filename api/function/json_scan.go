package function

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"
)

// scan reads JSON more strictly than encoding/json does: field names match exactly, a name may be given once, numbers are whole, and text
// is UTF-8 without lone surrogates, because replacing what does not fit would change somebody's state silently. The first error ends it.
type scan struct {
	buf []byte
	pos int
	err error
}

func (s *scan) fail(field, format string, args ...any) {
	if s.err == nil {
		s.err = invalid(field, format, args...)
	}
}

// peek gives the next byte that is not white space, 0 at the end.
func (s *scan) peek() byte {
	for s.pos < len(s.buf) {
		switch c := s.buf[s.pos]; c {
		case ' ', '\t', '\r', '\n':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

// take passes over c, which must come next.
func (s *scan) take(c byte, field string) bool {
	if s.err != nil {
		return false
	}
	if got := s.peek(); got != c {
		s.unexpected(field, strconv.QuoteRune(rune(c)))
		return false
	}
	s.pos++
	return true
}

func (s *scan) unexpected(field, wanted string) {
	if s.peek() == 0 && s.pos == len(s.buf) {
		s.fail(field, "the JSON ends where %s is expected", wanted)
		return
	}
	r, _ := utf8.DecodeRune(s.buf[s.pos:])
	s.fail(field, "byte %d is %q where %s is expected", s.pos, r, wanted)
}

// object reads an object and calls fn at the value of each field, which fn must read.
func (s *scan) object(field string, fn func(name string)) {
	if !s.take('{', field) {
		return
	}
	if s.peek() == '}' {
		s.pos++
		return
	}
	for {
		name := s.string(field)
		if !s.take(':', field) {
			return
		}
		fn(name)
		if !s.more('}', field) {
			return
		}
	}
}

// array reads a list and calls fn at each element, which fn must read.
func (s *scan) array(field string, fn func(i int)) {
	if !s.take('[', field) {
		return
	}
	if s.peek() == ']' {
		s.pos++
		return
	}
	for i := 0; ; i++ {
		fn(i)
		if !s.more(']', field) {
			return
		}
	}
}

// more passes over the comma before another element, or over the end of the list.
func (s *scan) more(end byte, field string) bool {
	if s.err != nil {
		return false
	}
	switch s.peek() {
	case ',':
		s.pos++
		return true
	case end:
		s.pos++
		return false
	}
	s.unexpected(field, strconv.QuoteRune(',')+" or "+strconv.QuoteRune(rune(end)))
	return false
}

// string reads a string.
func (s *scan) string(field string) string { return string(s.stringBytes(field)) }

// stringBytes reads a string; without escapes the bytes are part of the body.
func (s *scan) stringBytes(field string) []byte {
	if !s.take('"', field) {
		return nil
	}
	start := s.pos
	for s.pos < len(s.buf) {
		switch c := s.buf[s.pos]; {
		case c == '"':
			text := s.buf[start:s.pos:s.pos]
			s.pos++
			return s.valid(field, text)
		case c == '\\':
			return s.escaped(field, start)
		case c < ' ':
			s.fail(field, "byte %d is the control character %#02x, which a JSON string must escape", s.pos, c)
			return nil
		}
		s.pos++
	}
	s.fail(field, "the JSON ends in the middle of a string")
	return nil
}

// escaped goes on with a string at its first escape.
func (s *scan) escaped(field string, start int) []byte {
	text := append([]byte(nil), s.buf[start:s.pos]...)
	for s.pos < len(s.buf) {
		c := s.buf[s.pos]
		s.pos++
		switch {
		case c == '"':
			return s.valid(field, text)
		case c < ' ':
			s.fail(field, "byte %d is the control character %#02x, which a JSON string must escape", s.pos-1, c)
			return nil
		case c == '\\':
			var ok bool
			if text, ok = s.escape(field, text); !ok {
				return nil
			}
		default:
			text = append(text, c)
		}
	}
	s.fail(field, "the JSON ends in the middle of a string")
	return nil
}

func (s *scan) valid(field string, text []byte) []byte {
	if !utf8.Valid(text) {
		s.fail(field, "a string is not UTF-8; send bytes as base64")
		return nil
	}
	return text
}

// escape reads what follows a backslash and appends what it stands for.
func (s *scan) escape(field string, text []byte) ([]byte, bool) {
	if s.pos == len(s.buf) {
		s.fail(field, "the JSON ends in the middle of a string")
		return nil, false
	}
	c := s.buf[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
		return append(text, c), true
	case 'b':
		return append(text, '\b'), true
	case 'f':
		return append(text, '\f'), true
	case 'n':
		return append(text, '\n'), true
	case 'r':
		return append(text, '\r'), true
	case 't':
		return append(text, '\t'), true
	case 'u':
		return s.unicode(field, text)
	}
	s.fail(field, "byte %d begins an escape that JSON does not have", s.pos-1)
	return nil, false
}

// unicode reads the digits of a \u escape, and those of the second half of a surrogate pair.
func (s *scan) unicode(field string, text []byte) ([]byte, bool) {
	r := s.hex()
	if utf16.IsSurrogate(r) && s.pos+1 < len(s.buf) && s.buf[s.pos] == '\\' && s.buf[s.pos+1] == 'u' {
		s.pos += 2
		if r = utf16.DecodeRune(r, s.hex()); r == utf8.RuneError {
			r = -1 // two halves that are no pair
		}
	}
	if r < 0 || utf16.IsSurrogate(r) {
		s.fail(field, "a \\u escape before byte %d is no character", s.pos)
		return nil, false
	}
	return utf8.AppendRune(text, r), true
}

// hex reads four hexadecimal digits, -1 if there are none.
func (s *scan) hex() rune {
	if len(s.buf)-s.pos < 4 {
		return -1
	}
	n, err := strconv.ParseUint(string(s.buf[s.pos:s.pos+4]), 16, 16)
	if err != nil {
		return -1
	}
	s.pos += 4
	return rune(n)
}

// uint reads a whole number of at most bits bits.
func (s *scan) uint(field string, bits int) uint64 {
	text := s.literal(field, "a whole number")
	n, err := strconv.ParseUint(text, 10, bits)
	if s.err == nil && (err != nil || len(text) > 1 && text[0] == '0') {
		s.fail(field, "%s is not a whole number from 0 to %d", clip(text), uint64(1)<<(bits-1)*2-1)
	}
	return n
}

func (s *scan) bool(field string) bool {
	switch text := s.literal(field, "true or false"); {
	case s.err != nil || text == "false":
		return false
	case text == "true":
		return true
	default:
		s.fail(field, "%s is not true or false", clip(text))
		return false
	}
}

// literal gives the text of a number or word, up to the next separator.
func (s *scan) literal(field, wanted string) string {
	if s.err != nil {
		return ""
	}
	s.peek()
	start := s.pos
	for s.pos < len(s.buf) && strings.IndexByte(" \t\r\n,:[]{}\"", s.buf[s.pos]) < 0 {
		s.pos++
	}
	if start == s.pos {
		s.unexpected(field, wanted)
	}
	return string(s.buf[start:s.pos])
}

// base64 reads a string in the standard alphabet with padding.
func (s *scan) base64(field string) []byte {
	text := s.stringBytes(field)
	if s.err != nil {
		return nil
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(data, text)
	if err != nil {
		s.fail(field, "%q is not base64 with the standard alphabet and padding: %v", clip(string(text)), err)
		return nil
	}
	return data[:n]
}

// raw passes over any value and gives its text.
func (s *scan) raw(field string) []byte {
	if s.err != nil {
		return nil
	}
	s.peek()
	start := s.pos
	for depth := 0; s.err == nil; {
		switch c := s.peek(); {
		case c == '{' || c == '[':
			s.pos++
			depth++
		case depth > 0 && (c == '}' || c == ']'):
			s.pos++
			depth--
		case depth > 0 && (c == ',' || c == ':'):
			s.pos++
		case c == '"':
			s.stringBytes(field)
		default:
			s.literal(field, "a value")
		}
		if depth == 0 {
			break
		}
	}
	text := s.buf[start:s.pos]
	if s.err == nil && !json.Valid(text) {
		s.fail(field, "%s is not JSON", clip(string(text)))
	}
	return text
}

// null passes over the word null, if it comes next.
func (s *scan) null() bool {
	if s.err != nil || s.peek() != 'n' || !bytes.HasPrefix(s.buf[s.pos:], []byte("null")) {
		return false
	}
	s.pos += len("null")
	return true
}

// end reports what follows after the whole value.
func (s *scan) end() {
	if s.err == nil && (s.peek() != 0 || s.pos < len(s.buf)) {
		s.fail("", "byte %d: there is something after the end of the JSON", s.pos)
	}
}
