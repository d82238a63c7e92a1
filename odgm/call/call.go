// Package call holds what a call is on its way through the platform: who is called, with what, on whose behalf, and what came back.
//
// Guarantee: plain data; a Chain that was formatted parses to an equal one.
package call

import (
	"net/http"
	"time"

	"github.com/hpcclab/oaas-go/odgm/object"
)

// Call is one call of a method of an object, or of a stateless function of a class. Its deadline is that of the context it travels with.
type Call struct {
	// ID names the call; the function sees it as the CloudEvents id. A retried attempt keeps it.
	ID string
	// Ref is the object; for a stateless function its ID is empty.
	Ref    object.Ref
	Method string

	Payload     []byte
	ContentType string
	// Options are the invocation options of OaaS-RS ("accept", "content-type", those of a trigger's target, …).
	Options map[string]string
	// Request is the caller's request as it came, for stateless functions; may be nil. Its body is not read: Payload has it.
	Request *http.Request

	// IdempotencyKey makes a repeated call give the stored result; empty for none.
	IdempotencyKey string
	// Invocation is the id of the asynchronous call that this runs for; empty for a synchronous one.
	Invocation string
	// Chain has the calls that led to this one, outermost first.
	Chain Chain
	// Depth counts the triggers that led to this call.
	Depth uint32
	// Caller says who calls, as far as it is known: "external", "trigger" or the calling method.
	Caller string
}

// Answer is what a call gave.
type Answer struct {
	Payload     []byte
	ContentType string
	// Version is the object's version after the call; for a readonly method, the version that it saw.
	Version uint64
	// Replayed is true when the result was stored by an earlier call with the same idempotency key.
	Replayed bool
	// Status and Header are those of a stateless function's HTTP answer; Status is 0 for methods.
	Status int
	Header http.Header
}

// Method is how a class binds a name to a function.
type Method struct {
	Name      string
	Function  string
	Stateless bool
	// Container methods are done by a function container of OaaS-RS: called by gRPC (HTTP/2), without state and without a turn; see odgm/container.
	Container bool
	// ReadOnly methods run beside others on a snapshot and cannot change anything.
	ReadOnly bool
	// State selects the entries that travel with the call.
	State object.Selector
	// Timeout bounds each attempt.
	Timeout time.Duration
	// Retries is the number of further attempts after a failure that may pass.
	Retries int
	// URL is where the function listens. Transport sends the requests; a local runner ignores the URL's host.
	URL       string
	Transport http.RoundTripper
}
