package oprc

import (
	"iter"

	"github.com/hpcclab/oaas-go/api/fault"
)

// maxDepth bounds the nesting of a JSON text, so that a hostile one cannot exhaust the stack.
const maxDepth = 128

// scanner reads JSON values one after the other. Its first failure is kept in err, and from then on its methods give zero values, so
// that callers check once. Messages name the line and the column (in bytes, from 1) of the last byte that was looked at.
type scanner struct {
	text  []byte
	pos   int
	depth int
	err   error
}

// fail keeps the first failure; end is the offset behind the byte that caused it.
func (s *scanner) fail(end int, message string) {
	if s.err != nil {
		return
	}
	line, column := 1, 0
	for _, c := range s.text[:min(end, len(s.text))] {
		if column++; c == '\n' {
			line, column = line+1, 0
		}
	}
	s.err = fault.New(fault.DecodeError, "%s at line %d column %d", message, line, column)
}

// unexpected fails because of the next byte, or because there is none although inside is not complete.
func (s *scanner) unexpected(inside, message string) {
	if s.pos >= len(s.text) {
		s.fail(s.pos, "EOF while parsing "+inside)
		return
	}
	s.fail(s.pos+1, message)
}

// peek gives the next byte that is not white space, without taking it; 0 at the end.
func (s *scanner) peek() byte {
	for ; s.pos < len(s.text); s.pos++ {
		switch c := s.text[s.pos]; c {
		case ' ', '\t', '\n', '\r':
		default:
			return c
		}
	}
	return 0
}

// end fails unless only white space is left.
func (s *scanner) end() {
	if s.peek(); s.pos < len(s.text) {
		s.fail(s.pos+1, "trailing characters")
	}
}

// wrong fails because the value that begins here is of another type than the wanted one.
func (s *scanner) wrong(want string) {
	var found string
	switch c := s.peek(); {
	case c == '"':
		found = "string"
	case c == '{':
		found = "map"
	case c == '[':
		found = "sequence"
	case c == 't', c == 'f':
		found = "boolean"
	case c == 'n':
		found = "null"
	case c == '-', c >= '0' && c <= '9':
		found = "number"
	default:
		s.unexpected("a value", "expected value")
		return
	}
	s.fail(s.pos+1, "invalid type: "+found+", expected "+want)
}

// null takes a null, if there is one.
func (s *scanner) null() bool {
	return s.err == nil && s.peek() == 'n' && s.word("null")
}

func (s *scanner) word(word string) bool {
	for i := range len(word) {
		if s.pos >= len(s.text) || s.text[s.pos] != word[i] {
			s.unexpected("a value", "expected ident")
			return false
		}
		s.pos++
	}
	return true
}

// enter takes the bracket that opens an object or list.
func (s *scanner) enter(bracket byte, want string) bool {
	if s.err != nil {
		return false
	}
	if s.peek() != bracket {
		s.wrong(want)
		return false
	}
	s.pos++
	if s.depth++; s.depth > maxDepth {
		s.fail(s.pos, "recursion limit exceeded")
		return false
	}
	return true
}

// more says whether another member follows, and takes the comma before it, or else the closing bracket.
func (s *scanner) more(closing byte, first bool, inside string) bool {
	if s.err != nil {
		return false
	}
	switch c := s.peek(); {
	case c == closing:
		s.pos++
		s.depth--
		return false
	case first && s.pos < len(s.text):
		return true
	case c == ',':
		s.pos++
		if s.peek() == closing {
			s.fail(s.pos+1, "trailing comma")
		}
		return s.err == nil
	}
	s.unexpected(inside, "expected `,` or `"+string(closing)+"`")
	return false
}

// object reads a JSON object: it gives each key, and the loop's body reads the value. A key is good until the next one.
func (s *scanner) object(want string) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		if !s.enter('{', want) {
			return
		}
		for first := true; s.more('}', first, "an object"); first = false {
			if s.peek() != '"' {
				s.unexpected("an object", "key must be a string")
				return
			}
			key := s.raw()
			if s.peek() != ':' {
				s.unexpected("an object", "expected `:`")
				return
			}
			s.pos++
			if s.err != nil || !yield(key) {
				return
			}
		}
	}
}

// list reads a JSON array: the loop's body reads each element.
func (s *scanner) list(want string) iter.Seq[int] {
	return func(yield func(int) bool) {
		if !s.enter('[', want) {
			return
		}
		for i := 0; s.more(']', i == 0, "a list"); i++ {
			if !yield(i) {
				return
			}
		}
	}
}

// skip takes a value of any type.
func (s *scanner) skip() {
	switch c := s.peek(); {
	case s.err != nil:
	case c == '"':
		s.raw()
	case c == '{':
		for range s.object("a map") {
			s.skip()
		}
	case c == '[':
		for range s.list("a sequence") {
			s.skip()
		}
	case c == 't':
		s.word("true")
	case c == 'f':
		s.word("false")
	case c == 'n':
		s.word("null")
	case c == '-', c >= '0' && c <= '9':
		s.number()
	default:
		s.unexpected("a value", "expected value")
	}
}
