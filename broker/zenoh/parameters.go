package zenoh

import (
	"iter"
	"strings"
)

// Parameters are the part of a selector behind the question mark: name=value pairs with semicolons between. Names that begin with an
// underscore are reserved for Zenoh.
type Parameters string

// Reserved names.
const (
	// ParameterAnyKE allows replies under keys that the query does not ask for.
	ParameterAnyKE = "_anyke"
	// ParameterTime is the range of time that is asked for, such as [now(-1h)..].
	ParameterTime = "_time"
)

// All ranges over the pairs, in their order. A name without a value has the empty one.
func (p Parameters) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for pair := range strings.SplitSeq(string(p), ";") {
			if pair == "" {
				continue
			}
			if name, value, _ := strings.Cut(pair, "="); !yield(name, value) {
				return
			}
		}
	}
}

// Get gives the first value of a name.
func (p Parameters) Get(name string) (value string, ok bool) {
	for n, v := range p.All() {
		if n == name {
			return v, true
		}
	}
	return "", false
}

// Values gives the values of a list, which has bars between them.
func (p Parameters) Values(name string) []string {
	v, ok := p.Get(name)
	if !ok {
		return nil
	}
	return strings.Split(v, "|")
}

// With gives the parameters with one pair put in place of all others of that name, or at the end.
func (p Parameters) With(name, value string) Parameters {
	pair, done := name, false
	if value != "" {
		pair += "=" + value
	}
	var pairs []string
	for n, v := range p.All() {
		switch {
		case n != name && v != "":
			pairs = append(pairs, n+"="+v)
		case n != name:
			pairs = append(pairs, n)
		case !done:
			pairs, done = append(pairs, pair), true
		}
	}
	if !done {
		pairs = append(pairs, pair)
	}
	return Parameters(strings.Join(pairs, ";"))
}

// has is Get without the value.
func (p Parameters) has(name string) bool {
	if p == "" {
		return false
	}
	_, ok := p.Get(name)
	return ok
}

// ParseSelector reads a key expression with parameters behind a question mark.
func ParseSelector(s string) (KeyExpr, Parameters, error) {
	text, parameters, _ := strings.Cut(s, "?")
	key, err := NewKeyExpr(text)
	return key, Parameters(parameters), err
}
