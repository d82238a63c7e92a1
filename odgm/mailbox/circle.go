package mailbox

import (
	"slices"
	"sync"

	"github.com/hpcclab/oaas-go/odgm/call"
)

// circles finds calls that wait for each other. Only a call made by a running one can close a circle, and only those that must wait are known
// here: everybody else pays nothing.
//
// The graph: a waiter waits for the method that has the turn it wants; a method waits for every waiter that has it in its chain. Those ahead
// of a waiter in its queue need no edge, because they wait for the same method.
type circles struct {
	mu     sync.Mutex
	byCall map[string][]*waiter // the waiters that have a call in their chain
}

// add makes w, which is in its queue already, known. If it closes a circle, its path is given: it begins and ends with the same method.
func (c *circles) add(w *waiter) call.Chain {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, hop := range w.chain {
		c.byCall[hop.Call] = append(c.byCall[hop.Call], w)
	}
	return c.search(w, w, nil, map[*waiter]bool{})
}

func (c *circles) remove(w *waiter) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, hop := range w.chain {
		others := c.byCall[hop.Call]
		if i := slices.Index(others, w); i >= 0 {
			others = slices.Delete(others, i, i+1)
		}
		if len(others) == 0 {
			delete(c.byCall, hop.Call)
		} else {
			c.byCall[hop.Call] = others
		}
	}
}

// search follows what w waits for until it comes to a call in the chain of start. Path has the methods from that of start's wait to w's.
func (c *circles) search(start, w *waiter, path call.Chain, seen map[*waiter]bool) call.Chain {
	seen[w] = true
	holder, found := w.blocker()
	if !found {
		return nil
	}
	if i := slices.Index(start.chain, holder); i >= 0 {
		circle := slices.Concat(start.chain[i:], path)
		return circle.With(holder)
	}
	for _, next := range c.byCall[holder.Call] {
		i := slices.Index(next.chain, holder)
		if i < 0 || seen[next] {
			continue
		}
		if circle := c.search(start, next, slices.Concat(path, next.chain[i:]), seen); circle != nil {
			return circle
		}
	}
	return nil
}
