package oprc

import (
	"encoding/base64"
	"strconv"
	"unicode/utf16"
	"unicode/utf8"
)

// str reads a string.
func (s *scanner) str() string {
	if s.err == nil && s.peek() != '"' {
		s.wrong("a string")
	}
	return string(s.raw())
}

// raw reads the string that begins here: part of the text where nothing is escaped, a copy otherwise.
func (s *scanner) raw() []byte {
	if s.err != nil {
		return nil
	}
	s.pos++
	start, ascii := s.pos, true
	for ; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; {
		case c == '"':
			out := s.text[start:s.pos]
			s.pos++
			if !ascii && !utf8.Valid(out) {
				s.fail(s.pos, "invalid unicode code point")
			}
			return out
		case c == '\\':
			return s.escaped(append([]byte(nil), s.text[start:s.pos]...))
		case c < ' ':
			s.fail(s.pos+1, "control character (\\u0000-\\u001F) found while parsing a string")
			return nil
		case c >= utf8.RuneSelf:
			ascii = false
		}
	}
	s.fail(s.pos, "EOF while parsing a string")
	return nil
}

// escaped reads on from the first backslash of a string, behind what out has.
func (s *scanner) escaped(out []byte) []byte {
	for s.err == nil && s.pos < len(s.text) {
		c := s.text[s.pos]
		s.pos++
		switch {
		case c == '"':
			if !utf8.Valid(out) {
				s.fail(s.pos, "invalid unicode code point")
			}
			return out
		case c == '\\':
			out = s.escape(out)
		case c < ' ':
			s.fail(s.pos, "control character (\\u0000-\\u001F) found while parsing a string")
		default:
			out = append(out, c)
		}
	}
	s.fail(len(s.text), "EOF while parsing a string")
	return nil
}

// escape reads what follows a backslash.
func (s *scanner) escape(out []byte) []byte {
	if s.pos >= len(s.text) {
		return out
	}
	c := s.text[s.pos]
	s.pos++
	switch c {
	case '"', '\\', '/':
		return append(out, c)
	case 'b':
		return append(out, '\b')
	case 'f':
		return append(out, '\f')
	case 'n':
		return append(out, '\n')
	case 'r':
		return append(out, '\r')
	case 't':
		return append(out, '\t')
	case 'u':
		return utf8.AppendRune(out, s.codePoint())
	}
	s.fail(s.pos, "invalid escape")
	return out
}

// codePoint reads the digits of \uXXXX, and the second half of a surrogate pair.
func (s *scanner) codePoint() rune {
	r := s.hex4()
	if !utf16.IsSurrogate(r) {
		return r
	}
	if s.pos+1 < len(s.text) && s.text[s.pos] == '\\' && s.text[s.pos+1] == 'u' {
		s.pos += 2
		if pair := utf16.DecodeRune(r, s.hex4()); pair != utf8.RuneError {
			return pair
		}
	}
	s.fail(s.pos, "lone leading surrogate in hex escape")
	return utf8.RuneError
}

func (s *scanner) hex4() rune {
	if s.pos+4 > len(s.text) {
		s.fail(len(s.text), "EOF while parsing a string")
		return 0
	}
	n, err := strconv.ParseUint(string(s.text[s.pos:s.pos+4]), 16, 16)
	s.pos += 4
	if err != nil {
		s.fail(s.pos, "invalid escape")
	}
	return rune(n)
}

// bytes reads a string of padded standard base64, in exactly that form.
func (s *scanner) bytes() []byte {
	if s.err == nil && s.peek() != '"' {
		s.wrong("a base64 string")
	}
	raw := s.raw()
	if s.err != nil {
		return nil
	}
	for _, c := range raw {
		if c == '\n' || c == '\r' { // the decoder would skip them
			s.fail(s.pos, "invalid base64: line break")
			return nil
		}
	}
	out := make([]byte, base64.StdEncoding.DecodedLen(len(raw)))
	n, err := base64.StdEncoding.Strict().Decode(out, raw)
	if err != nil {
		s.fail(s.pos, "invalid base64: "+err.Error())
		return nil
	}
	return out[:n]
}

// unsigned reads an integer of at most that many bits.
func (s *scanner) unsigned(bits int) uint64 {
	want := "u" + strconv.Itoa(bits)
	token := s.whole(want)
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseUint(token, 10, bits)
	if err != nil {
		s.fail(s.pos, "invalid value: integer "+token+", expected "+want)
	}
	return n
}

// int32 reads an integer that may be negative.
func (s *scanner) int32() int32 {
	token := s.whole("i32")
	if s.err != nil {
		return 0
	}
	n, err := strconv.ParseInt(token, 10, 32)
	if err != nil {
		s.fail(s.pos, "invalid value: integer "+token+", expected i32")
	}
	return int32(n)
}

// whole reads a number that has neither fraction nor exponent.
func (s *scanner) whole(want string) string {
	if s.err != nil {
		return ""
	}
	if c := s.peek(); c != '-' && (c < '0' || c > '9') {
		s.wrong(want)
		return ""
	}
	token, whole := s.number()
	if !whole {
		s.fail(s.pos, "invalid type: floating point, expected "+want)
	}
	return token
}

// number reads a number and says whether it has neither fraction nor exponent.
func (s *scanner) number() (token string, whole bool) {
	start := s.pos
	if s.text[s.pos] == '-' {
		s.pos++
	}
	if zero := s.pos; s.digits() && s.text[zero] == '0' && s.pos > zero+1 {
		s.fail(s.pos, "invalid number")
	}
	whole = true
	if s.err == nil && s.pos < len(s.text) && s.text[s.pos] == '.' {
		whole = false
		s.pos++
		s.digits()
	}
	if s.err == nil && s.pos < len(s.text) && s.text[s.pos]|0x20 == 'e' {
		whole = false
		s.pos++
		if s.pos < len(s.text) && (s.text[s.pos] == '+' || s.text[s.pos] == '-') {
			s.pos++
		}
		s.digits()
	}
	return string(s.text[start:s.pos]), whole
}

// digits takes one digit or more.
func (s *scanner) digits() bool {
	start := s.pos
	for s.pos < len(s.text) && s.text[s.pos] >= '0' && s.text[s.pos] <= '9' {
		s.pos++
	}
	if s.pos == start {
		s.unexpected("a value", "invalid number")
	}
	return s.pos > start
}
