package runner

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/internal/direct"
)

var _ http.RoundTripper = (*Function)(nil)

// Settings of the connections to an instance.
const (
	// idleConnTimeout is shorter than the keep-alive time of common servers (Node's is 5 s), so that it is never the function that closes
	// an idle connection under a request.
	idleConnTimeout = 1500 * time.Millisecond
	idleConns       = 512
	// idleHTTP2Timeout may be longer: over HTTP/2 a server says which requests it has not seen when it closes a connection.
	idleHTTP2Timeout = time.Minute
	// attempts bounds how many instances a request tries that refuse its connection.
	attempts = 5
	// exitPatience is how long an error waits to learn that it was the death of the process.
	exitPatience = 100 * time.Millisecond
)

// connections are those to an instance.
type connections interface {
	http.RoundTripper
	CloseIdleConnections()
}

// newTransport makes the connections to an instance.
func newTransport(addr string, http2 bool) connections {
	dialer := &net.Dialer{}
	dial := func(ctx context.Context) (net.Conn, error) { return dialer.DialContext(ctx, "tcp", addr) }
	if !http2 {
		return direct.New(dial, idleConnTimeout, idleConns)
	}
	t := &http.Transport{
		DialContext:        func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		Protocols:          new(http.Protocols),
		DisableCompression: true,
		IdleConnTimeout:    idleHTTP2Timeout,
	}
	t.Protocols.SetUnencryptedHTTP2(true)
	return t
}

// RoundTrip sends the request to an instance, and waits for one if there is none. Scheme and host of the URL are ignored; the host goes
// on as Host header unless the request has one. The place on the instance is taken until the response's body is read or closed.
//
// A request is sent to another instance if, and only if, its connection was refused, so that nothing of it was written.
func (f *Function) RoundTrip(req *http.Request) (*http.Response, error) {
	body := newOnceBody(req)
	ctx := req.Context()
	for attempt := 1; ; attempt++ {
		i, err := f.acquire(ctx)
		if err != nil {
			abandonBody(req, body)
			return nil, err
		}
		out, err := i.address(req, body, attempt)
		if err != nil {
			f.release(i)
			return nil, fault.Wrap(fault.Internal, err, "function %s: get the request's body again", f.name)
		}
		resp, err := i.transport.RoundTrip(out)
		if err == nil {
			body.settle()
			f.lease(resp, i)
			return resp, nil
		}
		refused := isRefused(err) && body.fresh() && ctx.Err() == nil
		if refused {
			i.doubt()
		}
		f.release(i)
		if !refused || attempt == attempts {
			abandonBody(req, body)
			return nil, f.callFault(ctx, i, err)
		}
	}
}

// address copies a request with the instance as its target.
func (i *instance) address(req *http.Request, body *onceBody, attempt int) (*http.Request, error) {
	out, u := *req, *req.URL
	u.Scheme, u.Host = "http", i.addr
	out.URL = &u
	if out.Host == "" {
		out.Host = req.URL.Host
	}
	switch {
	case body != nil:
		out.Body = body
	case attempt > 1 && req.GetBody != nil && req.Body != nil:
		again, err := req.GetBody()
		if err != nil {
			return nil, err
		}
		out.Body = again
	}
	return &out, nil
}

// abandonBody closes the body of a request that is not sent (again), as a RoundTripper must.
func abandonBody(req *http.Request, body *onceBody) {
	switch {
	case body != nil:
		body.settle()
		discard(body)
	case req.Body != nil:
		discard(req.Body)
	}
}

// isRefused tells whether no connection came about.
func isRefused(err error) bool {
	op, ok := errors.AsType[*net.OpError](err)
	return ok && op.Op == "dial"
}

// callFault makes the fault of a request that got no response.
func (f *Function) callFault(ctx context.Context, i *instance, err error) error {
	if cause := ctx.Err(); cause != nil {
		return f.contextFault(cause, "wait for its answer")
	}
	patience := time.NewTimer(exitPatience)
	defer patience.Stop()
	select {
	case <-i.finished:
		return fault.New(fault.FunctionUnavailable, "function %s (revision %s): its process ended during the request: %s%s",
			f.name, i.revision.name, i.failure.Reason, i.failure.output())
	case <-patience.C:
	}
	return fault.Wrap(fault.FunctionUnavailable, err, "function %s (revision %s): send request", f.name, i.revision.name)
}

// lease ties the place on the instance to the response's body.
func (f *Function) lease(resp *http.Response, i *instance) {
	if resp.Body == nil || resp.Body == http.NoBody {
		f.release(i)
		return
	}
	l := &leasedBody{ReadCloser: resp.Body, instance: i}
	if w, ok := resp.Body.(io.Writer); ok {
		resp.Body = leasedStream{l, w} // 101 Switching Protocols: the body is the connection
		return
	}
	resp.Body = l
}

// leasedBody gives the place back when the response has ended.
type leasedBody struct {
	io.ReadCloser
	instance *instance
	released atomic.Bool
}

type leasedStream struct {
	*leasedBody
	io.Writer
}

func (b *leasedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.release()
	}
	return n, err
}

func (b *leasedBody) Close() error {
	err := b.ReadCloser.Close()
	b.release()
	return err
}

func (b *leasedBody) release() {
	if b.released.CompareAndSwap(false, true) {
		b.instance.revision.function.release(b.instance)
	}
}

// onceBody is a request body that survives attempts which did not touch it: http.Transport closes the body also when it found no
// connection. It keeps such a close back until it is known that there will be no further attempt.
type onceBody struct {
	io.ReadCloser
	mu      sync.Mutex
	touched bool // read from
	settled bool // the last attempt is made: closes go through
	closed  bool // closed by an attempt
}

// newOnceBody gives nil for a request that needs none: without body, or with one that can be had again. Such bodies are mostly in memory, and
// http.Transport sends them in one packet with the header only if it sees what they are.
func newOnceBody(req *http.Request) *onceBody {
	if req.Body == nil || req.Body == http.NoBody || req.GetBody != nil {
		return nil
	}
	return &onceBody{ReadCloser: req.Body}
}

// Read reads from the request's body.
func (b *onceBody) Read(p []byte) (int, error) {
	b.mu.Lock()
	b.touched = true
	closed := b.closed
	b.mu.Unlock()
	if closed {
		return 0, http.ErrBodyReadAfterClose
	}
	return b.ReadCloser.Read(p)
}

// Close closes the request's body, at the latest when the last attempt is made.
func (b *onceBody) Close() error {
	b.mu.Lock()
	through := (b.settled || b.touched) && !b.closed
	b.closed = true
	b.mu.Unlock()
	if through {
		return b.ReadCloser.Close()
	}
	return nil
}

// fresh readies the body for another attempt, and tells whether it can be.
func (b *onceBody) fresh() bool {
	if b == nil {
		return true
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.touched {
		return false
	}
	b.closed = false
	return true
}

// settle says that there will be no further attempt.
func (b *onceBody) settle() {
	if b == nil {
		return
	}
	b.mu.Lock()
	through := b.closed && !b.settled && !b.touched
	b.settled = true
	b.mu.Unlock()
	if through {
		discard(b.ReadCloser)
	}
}
