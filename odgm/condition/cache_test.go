package condition

import (
	"fmt"
	"sync"
	"testing"
)

func TestCacheKeepsTheLastUsed(t *testing.T) {
	cache := NewCache(2)
	get := func(text string) *Condition {
		t.Helper()
		c, err := cache.Get(text)
		if err != nil {
			t.Fatal(err)
		}
		return c
	}
	a, b := get("version > 1"), get("version > 2")
	if get("version > 1") != a {
		t.Error("a was compiled again")
	}
	get("version > 3") // drops b, which was not used for longest
	if get("version > 1") != a {
		t.Error("a was dropped")
	}
	if get("version > 2") == b {
		t.Error("b was kept")
	}
	if cache.Len() != 2 {
		t.Errorf("%d conditions", cache.Len())
	}
	if a.String() != "version > 1" {
		t.Errorf("text %q", a)
	}
}

func TestCacheKeepsNoErrors(t *testing.T) {
	cache := NewCache(0)
	for range 2 {
		if _, err := cache.Get("nonsense("); err == nil {
			t.Fatal("compiled")
		}
	}
	if cache.Len() != 0 {
		t.Errorf("%d conditions", cache.Len())
	}
}

func TestCacheConcurrently(t *testing.T) {
	cache := NewCache(3)
	var group sync.WaitGroup
	for worker := range 6 {
		group.Go(func() {
			for i := range 60 {
				n := (i + worker) % 5
				c, err := cache.Get(fmt.Sprintf("version == %d", n))
				if err != nil {
					t.Error(err)
					return
				}
				if holds, err := c.Eval(Input{Version: uint64(n)}); err != nil || !holds {
					t.Errorf("got %v, %v", holds, err)
					return
				}
			}
		})
	}
	group.Wait()
	if cache.Len() > 3 {
		t.Errorf("%d conditions", cache.Len())
	}
}
