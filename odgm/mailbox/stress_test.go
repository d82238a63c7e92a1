package mailbox

import (
	"context"
	"fmt"
	"sync"
	"testing"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestStress(t *testing.T) {
	b := New(Config{Limit: 1000})
	const objects, clients, rounds = 3, 8, 400
	type state struct {
		mu            sync.Mutex
		alone, shared int
	}
	var model [objects]state
	enter := func(s *state, alone bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if alone {
			s.alone++
		} else {
			s.shared++
		}
		if s.alone > 1 || s.alone == 1 && s.shared > 0 {
			t.Errorf("%d methods and %d writes have the same object", s.alone, s.shared)
		}
	}
	leave := func(s *state, alone bool) {
		s.mu.Lock()
		defer s.mu.Unlock()
		if alone {
			s.alone--
		} else {
			s.shared--
		}
	}
	var wg sync.WaitGroup
	for c := range clients {
		wg.Go(func() {
			for i := range rounds {
				n := (c*7 + i*i) % objects
				id, alone := fmt.Sprint(n), (c+i)%3 == 0
				ctx, cancel := context.WithCancel(t.Context())
				if i%5 == 0 {
					go cancel()
				}
				var turn *Turn
				var err error
				if alone {
					turn, err = b.Run(ctx, ref(id), "m", fmt.Sprint(c, "-", i), nil)
				} else {
					turn, err = b.Write(ctx, ref(id), nil)
				}
				if err == nil {
					enter(&model[n], alone)
					if alone {
						inner(t, b, id, fmt.Sprint(c, "-", i))
					}
					leave(&model[n], alone)
					turn.Done()
				} else if fault.CodeOf(err) != fault.Cancelled {
					t.Errorf("unexpected %v", err)
				}
				cancel()
			}
		})
	}
	wg.Wait()
	wantIdle(t, b)
}

// inner has two calls come back into a turn at once.
func inner(t *testing.T, b *Boxes, id, callID string) {
	chain := call.Chain{hop(id, "m", callID)}
	var wg sync.WaitGroup
	var mu sync.Mutex
	running := 0
	for n := range 2 {
		wg.Go(func() {
			turn, err := b.Run(t.Context(), ref(id), "m", fmt.Sprint(callID, "/", n), chain)
			if err != nil {
				t.Errorf("re-enter: %v", err)
				return
			}
			defer turn.Done()
			mu.Lock()
			if running++; running > 1 {
				t.Error("two calls run in one turn")
			}
			mu.Unlock()
			turn.Wrote([]string{"k"}, false)
			mu.Lock()
			running--
			mu.Unlock()
		})
	}
	wg.Wait()
}

func BenchmarkWriteNobodyThere(b *testing.B) {
	boxes := New(Config{})
	r := ref("x")
	b.ReportAllocs()
	for b.Loop() {
		turn, err := boxes.Write(b.Context(), r, nil)
		if err != nil {
			b.Fatal(err)
		}
		turn.Done()
	}
}

func BenchmarkRunNobodyThere(b *testing.B) {
	boxes := New(Config{})
	r := ref("x")
	b.ReportAllocs()
	for b.Loop() {
		turn, err := boxes.Run(b.Context(), r, "m", "c", nil)
		if err != nil {
			b.Fatal(err)
		}
		turn.Done()
	}
}

func BenchmarkWriteParallelObjects(b *testing.B) {
	boxes := New(Config{})
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		n := 0
		refs := make([]object.Ref, 64)
		for i := range refs {
			refs[i] = ref(fmt.Sprint(i))
		}
		for pb.Next() {
			n++
			turn, err := boxes.Write(b.Context(), refs[n%64], nil)
			if err != nil {
				b.Fatal(err)
			}
			turn.Done()
		}
	})
}
