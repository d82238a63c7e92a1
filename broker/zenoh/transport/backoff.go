package transport

import (
	"context"
	"time"
)

// Backoff spaces attempts to connect: the first pause is Initial, each further one Factor times as long, up to Max. Zero fields have the
// defaults of the native implementation. It is for one goroutine.
type Backoff struct {
	Initial time.Duration // 1 s
	Max     time.Duration // 4 s
	Factor  float64       // 2; less than 1 is 1

	next time.Duration
}

// Next gives the pause before the next attempt.
func (b *Backoff) Next() time.Duration {
	limit := orDefault(b.Max, 4*time.Second)
	if b.next == 0 {
		b.next = orDefault(b.Initial, time.Second)
	}
	pause := min(b.next, limit)
	b.next = min(time.Duration(float64(pause)*max(1, orDefault(b.Factor, 2))), limit)
	return pause
}

// Reset begins anew, after an attempt that went well.
func (b *Backoff) Reset() { b.next = 0 }

// Wait waits for the next attempt, or until ctx ends, and gives its error then.
func (b *Backoff) Wait(ctx context.Context) error {
	timer := time.NewTimer(b.Next())
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
