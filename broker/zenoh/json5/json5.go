// Package json5 reads JSON5 (spec.json5.org), the form of Zenoh's configuration: JSON with comments, trailing commas, names without quotes,
// strings in single quotes, and more forms of numbers.
//
// Guarantee: the result is made of map[string]any, []any, string, float64, bool and nil, nested at most 100 deep; a name that stands twice in
// an object is an error. Errors are *SyntaxError.
package json5

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// SyntaxError tells where text is not JSON5, and why.
type SyntaxError struct {
	Line, Column int // from 1
	Reason       string
}

// Error gives the place and the reason.
func (e *SyntaxError) Error() string {
	return fmt.Sprintf("line %d, column %d: %s", e.Line, e.Column, e.Reason)
}

const maxDepth = 100

// Parse reads one value.
func Parse(text []byte) (v any, err error) {
	p := &parser{s: strings.TrimPrefix(string(text), "\ufeff")}
	defer func() {
		switch r := recover().(type) {
		case nil:
		case *SyntaxError:
			v, err = nil, r
		default:
			panic(r)
		}
	}()
	v = p.value(0)
	if p.space(); p.i < len(p.s) {
		p.fail("something behind the end")
	}
	return v, nil
}

// parser reads from i on.
type parser struct {
	s string
	i int
}

// fail ends the parsing.
func (p *parser) fail(format string, a ...any) {
	before := p.s[:min(p.i, len(p.s))]
	line := strings.LastIndexByte(before, '\n')
	panic(&SyntaxError{1 + strings.Count(before, "\n"), len(before) - line, fmt.Sprintf(format, a...)})
}

// peek gives the next byte, or 0 at the end.
func (p *parser) peek() byte {
	if p.i < len(p.s) {
		return p.s[p.i]
	}
	return 0
}

// take tells whether the next byte is c, and goes on behind it then.
func (p *parser) take(c byte) bool {
	if p.i < len(p.s) && p.s[p.i] == c {
		p.i++
		return true
	}
	return false
}

// space goes on behind white space and comments.
func (p *parser) space() {
	for p.i < len(p.s) {
		rest := p.s[p.i:]
		r, n := utf8.DecodeRuneInString(rest)
		switch {
		case unicode.IsSpace(r), r == '\ufeff':
			p.i += n
		case strings.HasPrefix(rest, "//"):
			if n = strings.IndexAny(rest, "\n\r\u2028\u2029"); n < 0 {
				n = len(rest)
			}
			p.i += n
		case strings.HasPrefix(rest, "/*"):
			if n = strings.Index(rest[2:], "*/"); n < 0 {
				p.fail("a comment without end")
			}
			p.i += n + 4
		default:
			return
		}
	}
}

func (p *parser) value(depth int) any {
	if depth > maxDepth {
		p.fail("more than %d values in each other", maxDepth)
	}
	p.space()
	switch c := p.peek(); {
	case c == '{':
		return p.object(depth)
	case c == '[':
		return p.array(depth)
	case c == '"' || c == '\'':
		return p.text()
	case c == '+' || c == '-' || c == '.' || c >= '0' && c <= '9':
		return p.number()
	}
	start := p.i
	switch word := p.name(); word {
	case "null":
		return nil
	case "true", "false":
		return word == "true"
	case "Infinity":
		return math.Inf(1)
	case "NaN":
		return math.NaN()
	default:
		p.i = start
		p.fail("no value")
		return nil
	}
}

func (p *parser) object(depth int) any {
	p.i++
	m := map[string]any{}
	for {
		if p.space(); p.take('}') {
			return m
		}
		start, key := p.i, ""
		if c := p.peek(); c == '"' || c == '\'' {
			key = p.text()
		} else if key = p.name(); key == "" {
			p.fail("no name of a field")
		}
		if _, twice := m[key]; twice {
			p.i = start
			p.fail("%q twice", key)
		}
		if p.space(); !p.take(':') {
			p.fail("no colon after %q", key)
		}
		m[key] = p.value(depth + 1)
		if p.space(); !p.take(',') && p.peek() != '}' {
			p.fail("no comma and no } after %q", key)
		}
	}
}

func (p *parser) array(depth int) any {
	p.i++
	list := []any{}
	for {
		if p.space(); p.take(']') {
			return list
		}
		list = append(list, p.value(depth+1))
		if p.space(); !p.take(',') && p.peek() != ']' {
			p.fail("no comma and no ] after an item")
		}
	}
}

// name reads a name without quotes, which may be empty.
func (p *parser) name() string {
	start := p.i
	for p.i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		if r != '_' && r != '$' && !unicode.IsLetter(r) && (p.i == start || !unicode.IsDigit(r)) {
			break
		}
		p.i += n
	}
	return p.s[start:p.i]
}

func (p *parser) number() float64 {
	start := p.i
	for p.i < len(p.s) && strings.IndexByte("+-.0123456789abcdefABCDEFxXInityNa", p.s[p.i]) >= 0 {
		p.i++
	}
	word := p.s[start:p.i]
	sign, digits := 1.0, strings.TrimPrefix(word, "+")
	if d, minus := strings.CutPrefix(word, "-"); minus {
		sign, digits = -1, d
	}
	if hex, ok := strings.CutPrefix(strings.ToLower(digits), "0x"); ok {
		v, err := strconv.ParseUint(hex, 16, 64)
		if err == nil {
			return sign * float64(v)
		}
	}
	v, err := strconv.ParseFloat(digits, 64)
	octal := len(digits) > 1 && digits[0] == '0' && digits[1] >= '0' && digits[1] <= '9'
	if err != nil || octal || strings.ContainsAny(digits[:1], "+-") || strings.ContainsAny(digits, "xXpP") {
		p.i = start
		p.fail("no number")
	}
	return sign * v
}

// escapes are the letters behind a backslash that mean something else.
var escapes = map[rune]string{'b': "\b", 'f': "\f", 'n': "\n", 'r': "\r", 't': "\t", 'v': "\v", '0': "\x00", '\n': "", '\r': "", '\u2028': "", '\u2029': ""}

func (p *parser) text() string {
	quote := rune(p.s[p.i])
	p.i++
	var b strings.Builder
	for p.i < len(p.s) {
		r, n := utf8.DecodeRuneInString(p.s[p.i:])
		switch {
		case r == quote:
			p.i++
			return b.String()
		case r == '\n' || r == '\r':
			p.fail("a line that ends within a string")
		case r == '\\':
			p.i++
			b.WriteString(p.escape())
			continue
		}
		p.i += n
		b.WriteRune(r)
	}
	p.fail("a string without end")
	return ""
}

// escape reads what stands behind a backslash.
func (p *parser) escape() string {
	r, n := utf8.DecodeRuneInString(p.s[p.i:])
	if n == 0 {
		return "" // there is no end either
	}
	p.i += n
	switch r {
	case 'x':
		return string(p.hex(2))
	case 'u':
		r := p.hex(4)
		if r >= 0xd800 && r < 0xdc00 && strings.HasPrefix(p.s[p.i:], `\u`) {
			p.i += 2
			r = (r-0xd800)<<10 + p.hex(4) - 0xdc00 + 0x10000
		}
		return string(r)
	case '\r':
		p.take('\n')
	}
	if s, ok := escapes[r]; ok {
		return s
	}
	return string(r)
}

func (p *parser) hex(n int) rune {
	end := min(p.i+n, len(p.s))
	v, err := strconv.ParseUint(p.s[p.i:end], 16, 32)
	if err != nil || end-p.i < n {
		p.fail("want %d hexadecimal digits", n)
	}
	p.i = end
	return rune(v)
}
