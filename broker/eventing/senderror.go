package eventing

import (
	"fmt"
	"net/http"
	"strconv"
	"time"
)

// SendError says that a sink did not accept an event.
type SendError struct {
	URL string
	// Status is that of the answer, 0 when there was none.
	Status int
	// Text is the beginning of the answer.
	Text string

	final bool
	after time.Duration
	cause error
}

// Error gives sink, status and text.
func (e *SendError) Error() string {
	switch {
	case e.cause != nil:
		return fmt.Sprintf("send to %s: %v", e.URL, e.cause)
	case e.Text == "":
		return fmt.Sprintf("send to %s: status %d", e.URL, e.Status)
	}
	return fmt.Sprintf("send to %s: status %d: %s", e.URL, e.Status, e.Text)
}

// Unwrap gives the cause, or nil.
func (e *SendError) Unwrap() error { return e.cause }

// Final reports that another attempt is useless.
func (e *SendError) Final() bool { return e.final }

// RetryAfter gives the wait that the sink asked for, 0 if it did not.
func (e *SendError) RetryAfter() time.Duration { return e.after }

// retryAfter reads the header of an answer that asks for patience: seconds, or a date.
func retryAfter(response *http.Response, now time.Time) time.Duration {
	if response.StatusCode != http.StatusTooManyRequests && response.StatusCode != http.StatusServiceUnavailable {
		return 0
	}
	text := response.Header.Get("Retry-After")
	if seconds, err := strconv.ParseInt(text, 10, 32); err == nil {
		return time.Duration(max(seconds, 0)) * time.Second
	}
	if date, err := http.ParseTime(text); err == nil {
		return max(date.Sub(now), 0)
	}
	return 0
}
