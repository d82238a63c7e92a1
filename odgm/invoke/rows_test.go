package invoke

import (
	"sync"
	"testing"
)

func TestRows(t *testing.T) {
	var r rows[int, *int]
	if row, ok := r.get(1); ok || row != nil {
		t.Error("an empty map has a row")
	}
	const keys, writers = 50, 4
	var wg sync.WaitGroup
	kept := make([][keys]*int, writers)
	for w := range writers {
		wg.Go(func() {
			for key := range keys {
				kept[w][key] = r.put(key, new(int))
			}
		})
	}
	wg.Wait()
	for key := range keys {
		row, ok := r.get(key)
		if !ok {
			t.Fatalf("row %d is lost", key)
		}
		for w := range writers {
			if kept[w][key] != row {
				t.Errorf("row %d: writer %d has another one than readers", key, w)
			}
		}
	}
}
