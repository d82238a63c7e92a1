package keyexpr

import (
	"math/rand/v2"
	"strings"
	"testing"
)

// The slow functions are the recursions by which the protocol defines the relations, memoized so that tests end.

type memo map[[2]int]bool

func slowIntersects(a, b string) bool {
	A, B := strings.Split(a, "/"), strings.Split(b, "/")
	seen := memo{}
	var rec func(i, j int) bool
	rec = func(i, j int) (res bool) {
		if r, ok := seen[[2]int{i, j}]; ok {
			return r
		}
		defer func() { seen[[2]int{i, j}] = res }()
		switch {
		case i < len(A) && A[i] == "**":
			return rec(i+1, j) || (j < len(B) && !verbatim(B[j]) && rec(i, j+1))
		case j < len(B) && B[j] == "**":
			return rec(i, j+1) || (i < len(A) && !verbatim(A[i]) && rec(i+1, j))
		case i == len(A) || j == len(B):
			return i == len(A) && j == len(B)
		}
		return slowChunkIntersects(A[i], B[j]) && rec(i+1, j+1)
	}
	return rec(0, 0)
}

func slowIncludes(a, b string) bool {
	A, B := strings.Split(a, "/"), strings.Split(b, "/")
	seen := memo{}
	var rec func(i, j int) bool
	rec = func(i, j int) (res bool) {
		if r, ok := seen[[2]int{i, j}]; ok {
			return r
		}
		defer func() { seen[[2]int{i, j}] = res }()
		switch {
		case i < len(A) && A[i] == "**":
			return rec(i+1, j) || (j < len(B) && !verbatim(B[j]) && rec(i, j+1))
		case i == len(A) || j == len(B):
			return i == len(A) && j == len(B)
		case B[j] == "**":
			return false
		}
		return slowChunkIncludes(A[i], B[j]) && rec(i+1, j+1)
	}
	return rec(0, 0)
}

func slowChunkIntersects(a, b string) bool {
	switch {
	case a == b:
		return true
	case verbatim(a) || verbatim(b):
		return false
	case a == "*" || b == "*":
		return true
	}
	return slowUnits(units(a), units(b), true)
}

func slowChunkIncludes(a, b string) bool {
	switch {
	case a == b:
		return true
	case verbatim(a) || verbatim(b):
		return false
	case a == "*":
		return true
	case b == "*":
		return false
	}
	return slowUnits(units(a), units(b), false)
}

// units splits a chunk into bytes, with $* as one of them.
func units(chunk string) []string {
	var out []string
	for i := 0; i < len(chunk); i++ {
		if strings.HasPrefix(chunk[i:], "$*") {
			out = append(out, "$*")
			i++
			continue
		}
		out = append(out, chunk[i:i+1])
	}
	return out
}

func slowUnits(a, b []string, both bool) bool {
	switch {
	case len(a) > 0 && a[0] == "$*":
		return slowUnits(a[1:], b, both) || (len(b) > 0 && slowUnits(a, b[1:], both))
	case both && len(b) > 0 && b[0] == "$*":
		return slowUnits(a, b[1:], both) || (len(a) > 0 && slowUnits(a[1:], b, both))
	case len(a) == 0 || len(b) == 0:
		return len(a) == 0 && len(b) == 0
	}
	return a[0] == b[0] && slowUnits(a[1:], b[1:], both)
}

// randomExpr makes canonical text of few different chunks, so that many pairs have something in common.
func randomExpr(r *rand.Rand) string {
	chunks := []string{"a", "b", "ab", "*", "*", "**", "**", "@a", "@b", "a$*", "$*b", "a$*b", "$*a$*", "@a$*", "aab"}
	var parts []string
	for range 1 + r.IntN(6) {
		parts = append(parts, chunks[r.IntN(len(chunks))])
	}
	s, err := Canonize(strings.Join(parts, "/"))
	if err != nil {
		panic(err)
	}
	return s
}

func TestAgainstTheRecursions(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	positive := 0
	for range 100_000 {
		a, b := randomExpr(r), randomExpr(r)
		got, want := [2]bool{intersects(a, b), includes(a, b)}, [2]bool{slowIntersects(a, b), slowIncludes(a, b)}
		if got != want {
			t.Fatalf("%s and %s: got intersects, includes = %v, want %v", a, b, got, want)
		}
		if got[0] {
			positive++
		}
	}
	if positive < 5_000 {
		t.Errorf("only %d pairs intersect", positive)
	}
}

func FuzzRelations(f *testing.F) {
	for _, tt := range relations {
		f.Add(tt.a, tt.b)
	}
	f.Fuzz(func(t *testing.T, a, b string) {
		if len(a) > 64 || len(b) > 64 || Validate(a) != nil || Validate(b) != nil {
			return
		}
		if got, want := intersects(a, b), slowIntersects(a, b); got != want {
			t.Errorf("%s intersects %s: got %v", a, b, got)
		}
		if got, want := includes(a, b), slowIncludes(a, b); got != want {
			t.Errorf("%s includes %s: got %v", a, b, got)
		}
		if includes(a, b) && !intersects(a, b) {
			t.Errorf("%s includes %s but does not intersect it", a, b)
		}
	})
}

func FuzzCanonize(f *testing.F) {
	for _, s := range []string{"a/**/**/b", "**/*/**/$*$*", "a/b$*$*c", "/a", "a//b", "a#", "@/**/\xff", "a*$*"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := Canonize(s)
		if valid := Validate(s); valid == nil && (err != nil || c != s) {
			t.Fatalf("%q is valid, but becomes %q, %v", s, c, err)
		}
		if err != nil {
			return
		}
		if err := Validate(c); err != nil {
			t.Errorf("%q becomes %q: %v", s, c, err)
		}
	})
}
