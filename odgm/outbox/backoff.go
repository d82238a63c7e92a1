package outbox

import (
	"errors"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

// Final marks an error of a dispatcher as one that further attempts cannot mend: the event goes to the dead-letter list at once. Errors of
// other packages say the same by a method Final() bool. It gives nil for nil.
func Final(err error) error {
	if err == nil {
		return nil
	}
	return &finalError{err}
}

type finalError struct{ error }

func (e *finalError) Final() bool   { return true }
func (e *finalError) Unwrap() error { return e.error }

// IsFinal reports whether an error in the chain says that further attempts are useless.
func IsFinal(err error) bool {
	final, ok := errors.AsType[interface {
		error
		Final() bool
	}](err)
	return ok && final.Final()
}

// asked gives the wait that the target asked for, 0 if it did not.
func asked(err error) time.Duration {
	if f, ok := errors.AsType[*fault.Error](err); ok && f.RetryAfter > 0 {
		return f.RetryAfter
	}
	if polite, ok := errors.AsType[interface {
		error
		RetryAfter() time.Duration
	}](err); ok {
		return polite.RetryAfter()
	}
	return 0
}

// delay gives the wait after so many failures: doubling, capped, with a jitter of a fifth up or down so that targets that come back are not
// hit by everybody at once.
func (c *Config) delay(failures int) time.Duration {
	d := c.Backoff
	for range min(failures-1, 62) {
		if d >= c.BackoffCap/2 {
			d = c.BackoffCap
			break
		}
		d *= 2
	}
	return time.Duration(float64(min(d, c.BackoffCap)) * (0.8 + 0.4*c.Rand()))
}

// retryDelay is delay, or what the target asked for if that is longer, up to the cap.
func (c *Config) retryDelay(failures int, err error) time.Duration {
	return max(c.delay(failures), min(asked(err), c.BackoffCap))
}
