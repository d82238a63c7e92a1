package zenoh

import (
	"context"
	"sync"
)

// spill is a channel for the replies of a get: when it is full the session does not wait, as who reads it may be waiting for the session. What
// is too much is kept, within the limits of handlers times spillFactor, and a goroutine carries it over until the reader has it, the context
// of the get ends, or the session is closed.
type spill[T any] struct {
	s   *Session
	ctx context.Context
	o   sinkOptions[T]

	mu      sync.Mutex
	ch      chan T
	queue   []T
	bytes   int
	pumping bool
	closed  bool
	lost    uint64
}

// spillFactor is how many times as much as a handler's queue the replies of one get may hold.
const spillFactor = 64

func (p *spill[T]) pushMore(v *T) bool { return p.push(v) }
func (p *spill[T]) flush()             {}

func (p *spill[T]) push(v *T) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.closed {
		return false
	}
	if !p.pumping {
		select {
		case p.ch <- *v:
			return true
		default:
		}
	}
	n, limits := 0, p.s.config.Handlers
	if p.o.weigh != nil {
		n = p.o.weigh(v)
	}
	if len(p.queue) >= spillFactor*limits.Queue || len(p.queue) > 0 && p.bytes+n > spillFactor*limits.Bytes {
		p.lost++
		return false
	}
	p.bytes += n
	p.append(v)
	return true
}

// append is called with the lock held.
func (p *spill[T]) append(v *T) {
	p.queue = append(p.queue, *v)
	if !p.pumping {
		p.pumping = true
		p.s.work.Go(p.pump)
	}
}

func (p *spill[T]) end(last *T) {
	if !p.push(last) {
		p.mu.Lock()
		if !p.closed {
			p.append(last)
		}
		p.mu.Unlock()
	}
	p.close(false)
}

// pump carries over what is queued. The last one closes the channel, if nothing more can come.
func (p *spill[T]) pump() {
	for {
		p.mu.Lock()
		batch := p.queue
		p.queue, p.bytes = nil, 0
		if len(batch) == 0 {
			p.pumping = false
			if p.closed {
				close(p.ch)
			}
			p.mu.Unlock()
			return
		}
		p.mu.Unlock()
		for i := range batch {
			select {
			case p.ch <- batch[i]:
				continue
			case <-p.ctx.Done():
			case <-p.s.ctx.Done():
			}
			break
		}
	}
}

func (p *spill[T]) close(bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.closed && !p.pumping {
		close(p.ch)
	}
	p.closed = true
}

func (p *spill[T]) dropped() uint64 {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.lost
}
