package invoke

import (
	"maps"
	"sync"
	"sync/atomic"
)

// rows is a map that every call reads, and that is written once for each key, of which there are about as many as methods. Reading takes neither
// a lock nor memory. The zero value is empty.
type rows[K comparable, V any] struct {
	all atomic.Pointer[map[K]V]
	mu  sync.Mutex // held while all is replaced
}

func (r *rows[K, V]) get(key K) (row V, ok bool) {
	if all := r.all.Load(); all != nil {
		row, ok = (*all)[key]
	}
	return row, ok
}

// put adds a row, unless somebody else was faster; it gives the one that is there then.
func (r *rows[K, V]) put(key K, row V) V {
	r.mu.Lock()
	defer r.mu.Unlock()
	if known, ok := r.get(key); ok {
		return known
	}
	next := map[K]V{}
	if all := r.all.Load(); all != nil {
		next = maps.Clone(*all)
	}
	next[key] = row
	r.all.Store(&next)
	return row
}
