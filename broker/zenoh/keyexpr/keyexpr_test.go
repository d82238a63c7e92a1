package keyexpr

import (
	"errors"
	"slices"
	"strings"
	"testing"
)

// relations were computed by the reference implementation of Zenoh: intersects, a includes b, b includes a.
var relations = []struct{ a, b, want string }{
	{"a/b", "a/b", "TTT"}, {"a/b", "a/c", "FFF"}, {"a/b", "a", "FFF"}, {"a/*", "a/b", "TTF"}, {"a/*", "a", "FFF"},
	{"a/*", "a/b/c", "FFF"}, {"a/*/c", "a/b/c", "TTF"}, {"*", "a/b", "FFF"}, {"**", "a/b/c", "TTF"}, {"**", "@a", "FFF"},
	{"a/**", "a", "TTF"}, {"a/**", "a/b/c", "TTF"}, {"a/**", "a/@b", "FFF"}, {"a/**", "a/@b/c", "FFF"},
	{"a/**/@b/**", "a/@b/c", "TTF"}, {"a/**/@b", "a/x/y/@b", "TTF"}, {"**/@b", "a/@b/c", "FFF"}, {"@a/**", "@a", "TTF"},
	{"a/@b$*", "a/@bc", "FFF"}, {"a/**/d", "a/b/c/d", "TTF"}, {"a/**/d", "a/d", "TTF"}, {"a/**/d", "a/b/c", "FFF"},
	{"**/c", "c", "TTF"}, {"*/**", "a", "TTF"}, {"*/**", "**", "TFT"}, {"*/b", "a/*", "TFF"}, {"a/**", "**/b", "TFF"},
	{"a/**/b", "a/*/c", "FFF"}, {"a/**/b/**/c", "a/x/b/y/z/c", "TTF"}, {"a/*/b", "a/**/b", "TFT"}, {"a/*/**", "a/**/b", "TFF"},
	{"a$*", "a", "TTF"}, {"a$*", "ba", "FFF"}, {"a$*c", "ac", "TTF"}, {"a$*b$*c", "axbyc", "TTF"}, {"a$*b$*c", "axcyb", "FFF"},
	{"a$*", "$*b", "TFF"}, {"a$*", "*", "TFT"}, {"x$*", "xy$*", "TTF"}, {"x$*y", "x$*z", "FFF"}, {"a/$*x", "a/**", "TFT"},
	{"a$*a", "a", "FFF"}, {"a$*a", "aa", "TTF"}, {"$*a", "@a", "FFF"}, {"ab$*cd$*ef", "abxcdef", "TTF"},
	{"**/a/**", "**/b/**", "TFF"}, {"*/*", "**", "TFT"}, {"@/*/router", "@/r1/router", "TTF"}, {"*/r1/router", "@/r1/router", "FFF"},
}

func TestRelations(t *testing.T) {
	letter := func(b bool) string {
		if b {
			return "T"
		}
		return "F"
	}
	for _, tt := range relations {
		a, b := mustNew(t, tt.a), mustNew(t, tt.b)
		got := letter(a.Intersects(b)) + letter(a.Includes(b)) + letter(b.Includes(a))
		if got != tt.want {
			t.Errorf("%s and %s: got %s, want %s", a, b, got, tt.want)
		}
		if a.Intersects(b) != b.Intersects(a) {
			t.Errorf("%s and %s: intersects is not symmetric", a, b)
		}
	}
}

func TestRelationTo(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want Relation
	}{{"a/b", "a/c", Disjoint}, {"a/*", "*/b", Intersects}, {"a/**", "a/b", Includes}, {"a/b", "a/**", Intersects}, {"a", "a", Equals}} {
		if got := mustNew(t, tt.a).RelationTo(mustNew(t, tt.b)); got != tt.want {
			t.Errorf("%s to %s: got %d, want %d", tt.a, tt.b, got, tt.want)
		}
	}
}

func TestCanonize(t *testing.T) {
	for _, tt := range []struct{ in, want string }{
		{"a/**/**/b", "a/**/b"}, {"a/**/*/b", "a/*/**/b"}, {"**/*/**/*", "*/*/**"}, {"a/*/**/*/b", "a/*/*/**/b"}, {"a/**/$*/c", "a/*/**/c"},
		{"a/$*/b", "a/*/b"}, {"a/$*$*b", "a/$*b"}, {"$*", "*"}, {"a/b$*$*c", "a/b$*c"}, {"$*$*$*", "*"}, {"x$*$*$*$*", "x$*"},
	} {
		if err := Validate(tt.in); !errors.Is(err, ErrNotCanonical) {
			t.Errorf("validate %s: got %v, want %v", tt.in, err, ErrNotCanonical)
		}
		if got, err := Canonize(tt.in); got != tt.want || err != nil {
			t.Errorf("canonize %s: got %s, %v, want %s", tt.in, got, err, tt.want)
		}
	}
	for _, s := range []string{"a/b$*c$*d", "a/@$*", "@", "a/é b", "**/@a/**", "*", "**", "*/**", "**/a/**", "$*a", "a$*", "a b/\x00"} {
		if got, err := Canonize(s); got != s || err != nil {
			t.Errorf("canonize %q: got %q, %v, want it back", s, got, err)
		}
		if _, err := New(s); err != nil {
			t.Errorf("validate %q: %v", s, err)
		}
	}
}

func TestBadText(t *testing.T) {
	for _, tt := range []struct {
		in     string
		offset int
		want   error
	}{
		{"", 0, ErrEmptyChunk}, {"/", 0, ErrEmptyChunk}, {"/a", 0, ErrEmptyChunk}, {"a/", 2, ErrEmptyChunk}, {"a//b", 2, ErrEmptyChunk},
		{"a*/b", 1, ErrStray}, {"a/b*", 3, ErrStray}, {"a/***", 2, ErrStray}, {"a/**b", 2, ErrStray}, {"a/@*", 3, ErrStray},
		{"a/$b", 2, ErrStray}, {"a/b$", 3, ErrStray}, {"a#b", 1, ErrForbidden}, {"a?b", 1, ErrForbidden}, {"a$**", 3, ErrStray},
		{"$*$*#", 2, ErrForbidden}, {"a/\xff", 0, ErrUTF8}, {"**/**/", 6, ErrEmptyChunk}, {"**/**//a", 6, ErrEmptyChunk},
	} {
		_, err := Canonize(tt.in)
		syntax, ok := errors.AsType[*SyntaxError](err)
		if !ok || !errors.Is(err, tt.want) || syntax.Offset != tt.offset {
			t.Errorf("canonize %q: got %v, want %v at byte %d", tt.in, err, tt.want, tt.offset)
		}
		if Validate(tt.in) == nil {
			t.Errorf("validate %q: got nil", tt.in)
		}
		if k, err := Borrow([]byte(tt.in)); err == nil || !k.IsZero() {
			t.Errorf("borrow %q: got %q, %v", tt.in, k, err)
		}
		if k, err := NewAutocanonized(tt.in); err == nil || !k.IsZero() {
			t.Errorf("autocanonize %q: got %q, %v", tt.in, k, err)
		}
	}
	long := Validate(strings.Repeat("a", 1<<16) + "#")
	if got := long.Error(); len(got) > 256 {
		t.Errorf("the error for a long expression has %d bytes", len(got))
	}
}

func TestJoinAndConcat(t *testing.T) {
	for _, tt := range []struct{ a, b, want string }{
		{"a", "**", "a/**"}, {"a/**", "**/b", "a/**/b"}, {"a/**", "*", "a/*/**"}, {"", "a/$*", "a/*"}, {"a", "/b", ""}, {"a", "", ""},
	} {
		k := KeyExpr{tt.a}
		if got, err := k.Join(tt.b); got.String() != tt.want || (err == nil) != (tt.want != "") {
			t.Errorf("join %s, %s: got %q, %v", tt.a, tt.b, got, err)
		}
	}
	for _, tt := range []struct{ a, b, want string }{
		{"a/b", "c", "a/bc"}, {"a", "/**", "a/**"}, {"a/*", "*", ""}, {"a$*", "*", ""}, {"a$*", "$*", ""}, {"a/**", "/**", ""}, {"a", "/", ""},
		{"a$*", "b", "a$*b"}, {"a", "", "a"},
	} {
		got, err := mustNew(t, tt.a).Concat(tt.b)
		if _, ok := errors.AsType[*SyntaxError](err); got.String() != tt.want || ok != (tt.want == "") {
			t.Errorf("concat %s, %s: got %q, %v", tt.a, tt.b, got, err)
		}
	}
}

func TestLiteralPrefix(t *testing.T) {
	for _, tt := range []struct{ in, prefix, rest string }{
		{"a/b", "a/b", ""}, {"a/b/**", "a/b", "/**"}, {"**", "", "**"}, {"a/b$*/c", "a", "/b$*/c"}, {"a$*", "", "a$*"},
	} {
		if prefix, rest := mustNew(t, tt.in).LiteralPrefix(); prefix != tt.prefix || rest != tt.rest {
			t.Errorf("%s: got %q and %q", tt.in, prefix, rest)
		}
	}
}

func TestZeroMatchesNothing(t *testing.T) {
	all := mustNew(t, "**")
	if (KeyExpr{}).Intersects(all) || all.Intersects(KeyExpr{}) || all.Includes(KeyExpr{}) || (KeyExpr{}).Includes(KeyExpr{}) {
		t.Error("the zero expression matches something")
	}
	var tree Tree[int]
	tree.Set(all, 1)
	if tree.Set(KeyExpr{}, 2) || tree.Delete(KeyExpr{}) || len(slices.Collect(keys(tree.Intersecting(KeyExpr{})))) != 0 {
		t.Error("the zero expression is in the tree")
	}
	if _, ok := tree.Get(KeyExpr{}); ok {
		t.Error("the zero expression has a value")
	}
}

func TestBorrowAndClone(t *testing.T) {
	b := []byte("a/b")
	borrowed, err := Borrow(b)
	if err != nil {
		t.Fatal(err)
	}
	kept := borrowed.Clone()
	b[0] = 'x'
	if kept.String() != "a/b" || borrowed.String() != "x/b" {
		t.Errorf("got %s and %s", kept, borrowed)
	}
}

func TestMatchingDoesNotAllocate(t *testing.T) {
	pairs := make([][2]KeyExpr, 0, len(relations))
	for _, tt := range relations {
		pairs = append(pairs, [2]KeyExpr{mustNew(t, tt.a), mustNew(t, tt.b)})
	}
	n := testing.AllocsPerRun(10, func() {
		for _, p := range pairs {
			p[0].Intersects(p[1])
			p[0].Includes(p[1])
		}
	})
	if n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func mustNew(t testing.TB, s string) KeyExpr {
	t.Helper()
	k, err := New(s)
	if err != nil {
		t.Fatal(err)
	}
	return k
}
