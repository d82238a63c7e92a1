package condition

import "sync"

// maxCachedConditions bounds the cache: conditions come from package files, so there are as many as triggers in them.
const maxCachedConditions = 4096

// Cache keeps compiled conditions by their text; it may be used by many goroutines.
type Cache struct {
	mu       sync.Mutex
	compiled map[string]*Condition
}

// NewCache makes an empty cache.
func NewCache() *Cache { return &Cache{compiled: map[string]*Condition{}} }

// Get gives the compiled form of an expression.
func (c *Cache) Get(expr string) (*Condition, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, found := c.compiled[expr]; found {
		return known, nil
	}
	compiled, err := Compile(expr)
	if err != nil {
		return nil, err
	}
	if len(c.compiled) >= maxCachedConditions {
		clear(c.compiled)
	}
	c.compiled[expr] = compiled
	return compiled, nil
}
