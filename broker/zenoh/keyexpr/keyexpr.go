// Package keyexpr is the algebra of Zenoh key expressions: which are valid, what their canonical form is, which intersect, which include
// another, and a Tree that finds the stored expressions that a given one intersects.
//
// Guarantee: the answers are those of the Zenoh 1.x protocol, also where that is conservative (a/*/** is not said to include a/**/b). A
// KeyExpr other than the zero one is always valid and canonical. Every question is answered without allocation and without recursion, with
// at most as many comparisons of chunks as the product of their numbers, whatever wildcards a hostile peer sends. Limits on the length of
// expressions are the caller's.
package keyexpr

import (
	"strings"
	"unsafe"
)

// KeyExpr is a valid, canonical key expression. It is comparable and may be a map key. The zero value is the absence of an expression: it
// intersects and includes nothing.
type KeyExpr struct{ s string }

// New makes a key expression of text that must be valid and canonical already; the error is a *SyntaxError.
func New(s string) (KeyExpr, error) {
	if err := Validate(s); err != nil {
		return KeyExpr{}, err
	}
	return KeyExpr{s}, nil
}

// NewAutocanonized makes a key expression of text that is brought to its canonical form first; the error is a *SyntaxError.
func NewAutocanonized(s string) (KeyExpr, error) {
	c, err := Canonize(s)
	if err != nil {
		return KeyExpr{}, err
	}
	return KeyExpr{c}, nil
}

// Borrow is New on bytes that are not copied: the result holds as long as the caller leaves b alone. It is meant for looking up the key of
// a message that is being routed; Clone gives a copy to keep.
func Borrow(b []byte) (KeyExpr, error) {
	s := unsafe.String(unsafe.SliceData(b), len(b))
	if err := Validate(s); err != nil {
		return KeyExpr{}, cloneError(err)
	}
	return KeyExpr{s}, nil
}

// Clone gives the same expression on memory of its own.
func (k KeyExpr) Clone() KeyExpr { return KeyExpr{strings.Clone(k.s)} }

// String gives the text of the expression.
func (k KeyExpr) String() string { return k.s }

// IsZero tells whether k is the absence of an expression.
func (k KeyExpr) IsZero() bool { return k.s == "" }

// IsWild tells whether k may match other keys than itself. A $* inside a verbatim chunk matches nothing, but counts.
func (k KeyExpr) IsWild() bool { return strings.IndexByte(k.s, '*') >= 0 }

// Intersects tells whether some key is matched by both expressions.
func (k KeyExpr) Intersects(other KeyExpr) bool {
	return k.s != "" && other.s != "" && intersects(k.s, other.s)
}

// Includes tells whether every key that other matches is matched by k.
func (k KeyExpr) Includes(other KeyExpr) bool {
	return k.s != "" && other.s != "" && includes(k.s, other.s)
}

// Equals tells whether the expressions are the same. Canonical forms make this the comparison of their texts.
func (k KeyExpr) Equals(other KeyExpr) bool { return k == other }

// Relation says how two expressions stand to each other; a greater one implies the smaller ones.
type Relation uint8

// The relations that RelationTo tells apart.
const (
	Disjoint Relation = iota
	Intersects
	Includes
	Equals
)

// RelationTo gives the strongest relation of k to other.
func (k KeyExpr) RelationTo(other KeyExpr) Relation {
	switch {
	case k == other:
		return Equals
	case k.Includes(other):
		return Includes
	case k.Intersects(other):
		return Intersects
	}
	return Disjoint
}

// Join gives k/other in canonical form. Other may be any text that Canonize accepts.
func (k KeyExpr) Join(other string) (KeyExpr, error) {
	if k.s == "" {
		return NewAutocanonized(other)
	}
	return NewAutocanonized(k.s + "/" + other)
}

// Concat appends text to the expression, which may continue its last chunk. It is refused where a star would meet a star, as the result
// would mean something that neither side says, and where the result is not canonical.
func (k KeyExpr) Concat(suffix string) (KeyExpr, error) {
	s := k.s + suffix
	if strings.HasSuffix(k.s, "*") && strings.HasPrefix(suffix, "*") {
		return KeyExpr{}, &SyntaxError{Expr: s, Offset: len(k.s), Err: ErrStray}
	}
	return New(s)
}

// LiteralPrefix splits the expression after its leading chunks without wildcards, for example demo/a/** into demo/a and /**. It is what
// is worth declaring once and naming by a number afterwards.
func (k KeyExpr) LiteralPrefix() (prefix, rest string) {
	star := strings.IndexByte(k.s, '*')
	if star < 0 {
		return k.s, ""
	}
	slash := strings.LastIndexByte(k.s[:star], '/')
	if slash < 0 {
		return "", k.s
	}
	return k.s[:slash], k.s[slash:]
}
