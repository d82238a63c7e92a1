package keyexpr

import (
	"fmt"
	"iter"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

func keys[V any](seq iter.Seq2[KeyExpr, V]) iter.Seq[string] {
	return func(yield func(string) bool) {
		for k := range seq {
			if !yield(k.String()) {
				return
			}
		}
	}
}

func TestTreeAgainstAMap(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	var tree Tree[int]
	model := map[KeyExpr]int{}
	long := func(s string) string { // some expressions are beyond what the nodes take
		if r.IntN(20) == 0 {
			return strings.Repeat("z/", 70) + s
		}
		return s
	}
	for step := range 5_000 {
		k := mustNew(t, long(randomExpr(r)))
		_, had := model[k]
		switch r.IntN(4) {
		case 0, 1:
			if tree.Set(k, step) == had {
				t.Fatalf("set %s: wrong about whether it is new", k)
			}
			model[k] = step
		case 2:
			if tree.Delete(k) != had {
				t.Fatalf("delete %s: want %v", k, had)
			}
			delete(model, k)
		case 3:
			compareMatches(t, &tree, model, k)
		}
		v, ok := tree.Get(k)
		if want, wantOK := model[k]; v != want || ok != wantOK || tree.Len() != len(model) {
			t.Fatalf("get %s: got %d, %v, want %d, %v; %d of %d", k, v, ok, want, wantOK, tree.Len(), len(model))
		}
	}
	if got := maps.Collect(tree.All()); !maps.Equal(got, model) {
		t.Errorf("got %d expressions, want %d", len(got), len(model))
	}
	for k := range model {
		tree.Delete(k)
	}
	if !tree.root.isBare() || tree.Len() != 0 {
		t.Error("the emptied tree still has nodes")
	}
}

func compareMatches(t *testing.T, tree *Tree[int], model map[KeyExpr]int, k KeyExpr) {
	t.Helper()
	got := slices.Sorted(keys(tree.Intersecting(k)))
	var want []string
	for stored := range model {
		if intersects(stored.s, k.s) {
			want = append(want, stored.s)
		}
	}
	if slices.Sort(want); !slices.Equal(got, want) {
		t.Fatalf("%s:\n got %v\nwant %v", k, got, want)
	}
}

func TestTreeStopsWhenAsked(t *testing.T) {
	var tree Tree[int]
	for i, s := range []string{"a", "*", "**", "a$*", strings.Repeat("a/", 80) + "**"} {
		tree.Set(mustNew(t, s), i)
	}
	for _, k := range []string{"a", "**", "*", strings.Repeat("a/", 80) + "b"} {
		for range tree.Intersecting(mustNew(t, k)) {
			break
		}
	}
	for range tree.All() {
		break
	}
}

func TestTreeKeepsItsOwnMemory(t *testing.T) {
	b := []byte("a/b")
	k, err := Borrow(b)
	if err != nil {
		t.Fatal(err)
	}
	var tree Tree[int]
	tree.Set(k.Clone(), 1)
	copy(b, "c/d")
	if _, ok := tree.Get(mustNew(t, "a/b")); !ok {
		t.Error("a/b is gone")
	}
}

func TestLookingUpDoesNotAllocate(t *testing.T) {
	var tree Tree[int]
	for i := range 100 {
		tree.Set(mustNew(t, fmt.Sprintf("demo/%d/a", i)), i)
	}
	tree.Set(mustNew(t, "demo/**"), 1)
	k, sum := mustNew(t, "demo/50/a"), 0
	if n := testing.AllocsPerRun(100, func() {
		for _, v := range tree.Intersecting(k) {
			sum += v
		}
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkIntersects(b *testing.B) {
	for _, tt := range [][2]string{
		{"demo/a/b/c", "demo/a/b/d"}, {"demo/**", "demo/a/b/c"}, {"a/**/b/**/c", "a/x/b/y/z/c"},
		{"a/*/c$*d", "a/b/cxxd"}, {"a/**/b", "**/c/**/b"},
	} {
		x, y := mustNew(b, tt[0]), mustNew(b, tt[1])
		b.Run(strings.ReplaceAll(tt[0]+"~"+tt[1], "/", "."), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				x.Intersects(y)
			}
		})
	}
}

func BenchmarkValidate(b *testing.B) {
	s := "oprc/example.record/12/objects/1234567890/entries/name"
	b.ReportAllocs()
	for b.Loop() {
		if err := Validate(s); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkTree(b *testing.B) {
	for _, size := range []int{10, 10_000} {
		for _, wild := range []bool{false, true} {
			var tree Tree[int]
			for i := range size {
				tree.Set(mustNew(b, fmt.Sprintf("oprc/class%d/%d/objects", i%100, i)), i)
				if wild && i%10 == 0 {
					tree.Set(mustNew(b, fmt.Sprintf("oprc/class%d/*/objects/%d/**", i%100, i)), i)
				}
			}
			k := mustNew(b, "oprc/class7/7/objects")
			b.Run(fmt.Sprintf("size=%d/wild=%v", size, wild), func(b *testing.B) {
				b.ReportAllocs()
				for b.Loop() {
					for range tree.Intersecting(k) {
					}
				}
			})
		}
	}
}
