package odgm

import (
	"context"
	"sync"

	"github.com/hpcclab/oaas-go/api/fault"
)

// gate holds deliveries and asynchronous calls back while classes are being deployed: an event must not find its subscriber missing only because
// that one comes a moment later.
type gate struct {
	mu    sync.Mutex
	holds int
	open  chan struct{} // closed while nobody holds; nil until the first hold
}

// hold closes the gate until as many releases have come as holds.
func (g *gate) hold() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds == 0 {
		g.open = make(chan struct{})
	}
	g.holds++
}

func (g *gate) release() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.holds--; g.holds == 0 {
		close(g.open)
	}
}

// wait returns when the gate is open, or with the error of ctx.
func (g *gate) wait(ctx context.Context) error {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	if open == nil {
		return nil
	}
	select {
	case <-open:
		return nil
	case <-ctx.Done():
		return fault.From(ctx.Err())
	}
}

// Hold keeps events and asynchronous calls waiting until release is called, once. Who deploys several classes that belong together, or brings
// back what was deployed before, holds meanwhile. Calls and writes are served all the time.
func (g *Grid) Hold() (release func()) {
	g.gate.hold()
	return sync.OnceFunc(g.gate.release)
}
