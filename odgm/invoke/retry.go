package invoke

import (
	"context"
	"math/rand/v2"
	"net/http"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Bounds of the pause between attempts.
const (
	firstPause = 100 * time.Millisecond
	mostPause  = 5 * time.Second
)

// backoff doubles the pause with each attempt; jitter keeps calls that failed together from coming back together.
func backoff(attempt int) time.Duration {
	pause := min(firstPause<<min(max(attempt-2, 0), 10), mostPause)
	return pause/2 + rand.N(pause/2+1)
}

// mayPass tells whether another attempt may succeed where one failed. Time-outs do not count: the function may still be at work.
func mayPass(err error) bool {
	switch e := fault.From(err); e.Code {
	case fault.FunctionUnavailable:
		return true
	case fault.FunctionError:
		return e.Status == http.StatusBadGateway || e.Status == http.StatusServiceUnavailable || e.Status == http.StatusGatewayTimeout
	}
	return false
}

// retry makes attempts until one succeeds, fails for good, or is the last. Calls that a former attempt still makes are stale in the next.
func retry[T any](ctx context.Context, r *running, attempt func(ctx context.Context, number int) (T, error)) (T, error) {
	for number := 1; ; number++ {
		got, err := attempt(ctx, number)
		if err == nil || number > r.method.Retries || !mayPass(err) {
			return got, err
		}
		timer := time.NewTimer(r.cfg.Backoff(number + 1))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return got, fault.Wrap(fault.CodeOf(ctx.Err()), err, "no time for another attempt")
		}
		token := r.cfg.NewID()
		if err := r.turn.Renew(ctx, token); err != nil {
			return got, err
		}
		r.token = token
	}
}
