package condition

import (
	"container/list"
	"sync"
)

// Cache keeps the conditions that were used last, by their text, so that each is compiled once. It is safe for concurrent use.
type Cache struct {
	mu    sync.Mutex
	size  int
	items map[string]*list.Element
	used  *list.List // of *Condition, the last used in front
}

// NewCache makes a cache of at most size conditions, at least one.
func NewCache(size int) *Cache {
	return &Cache{size: max(1, size), items: make(map[string]*list.Element), used: list.New()}
}

// Get gives the condition of that text, compiled now if it is not in the cache. Texts that do not compile are not kept.
func (c *Cache) Get(text string) (*Condition, error) {
	if found := c.find(text); found != nil {
		return found, nil
	}
	// Compiling takes long, so it is done outside the lock; two that compile the same text at once waste a little work.
	made, err := Compile(text)
	if err != nil {
		return nil, err
	}
	return c.add(made), nil
}

// Len gives the number of conditions in the cache.
func (c *Cache) Len() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.used.Len()
}

func (c *Cache) find(text string) *Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	item, ok := c.items[text]
	if !ok {
		return nil
	}
	c.used.MoveToFront(item)
	return item.Value.(*Condition)
}

func (c *Cache) add(made *Condition) *Condition {
	c.mu.Lock()
	defer c.mu.Unlock()
	if item, ok := c.items[made.text]; ok {
		return item.Value.(*Condition)
	}
	c.items[made.text] = c.used.PushFront(made)
	if c.used.Len() > c.size {
		last := c.used.Remove(c.used.Back()).(*Condition)
		delete(c.items, last.text)
	}
	return made
}
