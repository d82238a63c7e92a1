package client

import (
	"context"
	"errors"
	"net/http"
	"time"
)

// The pause before the first retry, and the longest one; each is twice the one before.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 2 * time.Second
)

// repeatable reports whether a request may be sent again when nobody knows whether the first one was done.
func (r request) repeatable() bool {
	switch r.method {
	case http.MethodGet, http.MethodPut, http.MethodDelete:
		return true
	}
	return r.header["Idempotency-Key"] != ""
}

// passing reports whether an error may be gone a moment later.
func passing(err error) bool {
	if _, ok := errors.AsType[*Unreachable](err); ok {
		return true
	}
	f, ok := errors.AsType[*Failure](err)
	return ok && f.Code != functionError && (f.Status == http.StatusServiceUnavailable || f.Status == http.StatusTooManyRequests)
}

// again sends a request until it succeeds, fails for good, or was repeated retries times.
func (c *Client) again(ctx context.Context, r request) (*http.Response, error) {
	pause := firstPause
	for left := c.Retries; ; left-- {
		resp, err := c.once(ctx, r)
		if err == nil || left <= 0 || !r.repeatable() || !passing(err) {
			return resp, err
		}
		timer := time.NewTimer(pause)
		select {
		case <-ctx.Done():
			timer.Stop()
			return nil, err
		case <-timer.C:
		}
		pause = min(2*pause, maxPause)
	}
}
