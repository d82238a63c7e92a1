package shard

import (
	"fmt"
	"hash/maphash"
	"sync/atomic"

	"github.com/dgraph-io/ristretto/v2"

	"github.com/hpcclab/oaas-go/odgm/object"
)

// Cache keeps hot reads of all shards of a process within a bound of bytes.
type Cache struct {
	entries *ristretto.Cache[string, *cached]
}

// cached is a value read while the stripe's counter was at generation.
type cached struct {
	generation uint64
	meta       object.Meta
	entry      object.Entry
	whole      *object.Object // set for a whole object, whose entry is unused
}

// cacheIDs numbers shards, so that the keys of one that was closed never meet those of its successor.
var cacheIDs atomic.Uint64

// NewCache makes a cache of at most size bytes.
func NewCache(size int64) (*Cache, error) {
	c, err := ristretto.NewCache(&ristretto.Config[string, *cached]{
		NumCounters: max(size/256, 1000), MaxCost: size, BufferItems: 64, IgnoreInternalCost: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make cache: %w", err)
	}
	return &Cache{entries: c}, nil
}

// Close ends the cache's goroutines.
func (c *Cache) Close() { c.entries.Close() }

// stripeCount is a power of two.
const stripeCount = 1024

// stripes guard cached values against commits, as a seqlock does: the counter of an id's stripe is odd while a commit that touches such an id
// is under way, and has moved on afterwards. There is one committing goroutine at a time.
type stripes struct {
	generations [stripeCount]atomic.Uint64
}

var stripeSeed = maphash.MakeSeed()

func stripeOf(id string) uint32 { return uint32(maphash.String(stripeSeed, id) & (stripeCount - 1)) }

// lock marks the stripes of the objects that a group may change.
func (s *stripes) lock(group []*proposal) []uint32 {
	locked := make([]uint32, 0, len(group))
	for _, p := range group {
		w := p.cmd.GetWrite()
		if w == nil {
			continue
		}
		stripe := stripeOf(w.GetObject())
		if s.generations[stripe].Load()%2 == 0 {
			s.generations[stripe].Add(1)
			locked = append(locked, stripe)
		}
	}
	return locked
}

func (s *stripes) unlock(locked []uint32) {
	for _, stripe := range locked {
		s.generations[stripe].Add(1)
	}
}

// lookup gives a cached value that no commit can have overtaken, and the generation under which a value read now may be kept (odd: not at all).
func (s *Shard) lookup(id, key string) (value *cached, generation uint64) {
	if s.cfg.Cache == nil {
		return nil, 1
	}
	generation = s.stripes.generations[stripeOf(id)].Load()
	if generation%2 == 1 {
		return nil, generation
	}
	value, found := s.cfg.Cache.entries.Get(key)
	if !found || value.generation != generation {
		return nil, generation
	}
	return value, generation
}

// keep puts a value that was read after lookup gave the generation into the cache, unless a commit has begun since.
func (s *Shard) keep(id, key string, generation uint64, value *cached, size int) {
	if generation%2 == 1 || size > maxCached || s.stripes.generations[stripeOf(id)].Load() != generation {
		return
	}
	value.generation = generation
	s.cfg.Cache.entries.Set(key, value, int64(size))
}

// maxCached is the greatest size of a cached value in bytes: larger ones cost little more to read than to copy.
const maxCached = 256 << 10
