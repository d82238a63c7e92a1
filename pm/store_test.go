package pm

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// stores are the implementations, each opened empty.
var stores = map[string]func(t *testing.T) Store{
	"memory": func(*testing.T) Store { return NewMemory() },
	"bolt": func(t *testing.T) Store {
		s, err := OpenBolt(filepath.Join(t.TempDir(), "pm.db"))
		if err != nil {
			t.Fatal(err)
		}
		return s
	},
}

// TestStores is the contract of every Store.
func TestStores(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			expectRecords(t, s, "", "")
			write(t, s, Change{Key: "a/1", Value: []byte("x")}, Change{Key: "b", Value: []byte("y")}, Change{Key: "a/2", Value: []byte("z")})
			expectRecords(t, s, "a/", "a/1=x a/2=z")
			expectRecords(t, s, "", "a/1=x a/2=z b=y")
			first, err := s.Get(t.Context(), "b")
			if err != nil || first.Revision == 0 || string(first.Value) != "y" {
				t.Fatalf("got %+v, %v", first, err)
			}
			if none, err := s.Get(t.Context(), "c"); err != nil || none.Revision != 0 || none.Value != nil {
				t.Errorf("what is not there: %+v, %v", none, err)
			}

			// All or nothing.
			old, absent := first.Revision+1000, uint64(0)
			for _, c := range []Change{{Key: "b", Value: []byte("n"), Expect: &old}, {Key: "b", Expect: &absent}, {Key: "c", Expect: &old}} {
				if err := s.Write(t.Context(), Change{Key: "a/1", Value: []byte("n")}, c); !errors.Is(err, ErrConflict) {
					t.Errorf("%+v: %v", c, err)
				}
			}
			expectRecords(t, s, "", "a/1=x a/2=z b=y")

			// A revision is never used twice, also not after a deletion.
			write(t, s, Change{Key: "b", Expect: &first.Revision})
			write(t, s, Change{Key: "b"})
			write(t, s, Change{Key: "b", Value: []byte("y"), Expect: &absent})
			if again, err := s.Get(t.Context(), "b"); err != nil || again.Revision == first.Revision {
				t.Errorf("written anew: %+v, %v; before %d", again, err, first.Revision)
			}

			// What was given and what was taken are copies.
			value := []byte("mine")
			write(t, s, Change{Key: "m", Value: value})
			value[0] = 'X'
			got, _ := s.Get(t.Context(), "m")
			got.Value[0] = 'Y'
			expectRecords(t, s, "m", "m=mine")
		})
	}
}

// TestStoresCount has several writers raise one counter by compare-and-swap: none of them gets lost.
func TestStoresCount(t *testing.T) {
	for name, open := range stores {
		t.Run(name, func(t *testing.T) {
			s := open(t)
			defer s.Close()
			var all sync.WaitGroup
			for range 4 {
				all.Go(func() {
					for n := 0; n < 5; {
						r, err := s.Get(t.Context(), "n")
						if err != nil {
							t.Error(err)
							return
						}
						err = s.Write(t.Context(), Change{Key: "n", Value: append(r.Value, 'x'), Expect: &r.Revision})
						if err == nil {
							n++
						} else if !errors.Is(err, ErrConflict) {
							t.Error(err)
							return
						}
					}
				})
			}
			all.Wait()
			expectRecords(t, s, "n", "n="+strings.Repeat("x", 20))
		})
	}
}

func TestBoltComesBack(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pm.db")
	s, err := OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	write(t, s, Change{Key: "a", Value: []byte("x")})
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = OpenBolt(path); err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	expectRecords(t, s, "", "a=x")
	if _, err := OpenBolt(filepath.Join(t.TempDir(), "no", "folder")); err == nil || !strings.Contains(err.Error(), "folder") {
		t.Errorf("no folder: %v", err)
	}
}

func write(t *testing.T, s Store, changes ...Change) {
	t.Helper()
	if err := s.Write(t.Context(), changes...); err != nil {
		t.Fatal(err)
	}
}

func expectRecords(t *testing.T, s Store, prefix, want string) {
	t.Helper()
	if got := dump(t, s, prefix); got != want {
		t.Errorf("records are %q, want %q", got, want)
	}
}

// dump gives all records of a store, to see whether they have changed.
func dump(t *testing.T, s Store, prefix string) string {
	t.Helper()
	list, err := s.List(t.Context(), prefix)
	if err != nil {
		t.Fatal(err)
	}
	texts := make([]string, len(list))
	for i, r := range list {
		texts[i] = fmt.Sprintf("%s=%s", r.Key, r.Value)
	}
	return strings.Join(texts, " ")
}
