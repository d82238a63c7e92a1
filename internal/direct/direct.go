// Package direct is an HTTP/1.1 client transport for many small requests to one server over a fast link, as between the platform and the
// functions beside it.
//
// [http.Transport] hands each request to two goroutines of its connection, which costs more than the request itself when the server is near. Here
// the caller's goroutine writes the request and reads the answer. Everything that this does not suit (large or streamed bodies, upgrades, other
// methods) goes through an http.Transport.
//
// Guarantee: a request is sent at most once; the context cuts it off at any point; a connection is used again only if the answer was read to its end
// and the server has neither closed it nor sent anything more.
package direct

import (
	"bufio"
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"
)

// maxBody is the longest body that is written by the caller's goroutine: one that fits into the buffers of a socket, so that a server that answers
// before it has read everything cannot block it.
const maxBody = 64 << 10

// Transport keeps connections to one server.
type Transport struct {
	dial        func(ctx context.Context) (net.Conn, error)
	idleTimeout time.Duration
	maxIdle     int
	rest        *http.Transport // for what does not suit

	mu     sync.Mutex
	idle   []*conn // the last used at the end
	reaper *time.Timer
}

var _ http.RoundTripper = (*Transport)(nil)

// New makes a transport that connects with dial, whatever a request's URL says. Connections that are not used are closed after idleTimeout; at most
// maxIdle are kept.
func New(dial func(ctx context.Context) (net.Conn, error), idleTimeout time.Duration, maxIdle int) *Transport {
	return &Transport{dial: dial, idleTimeout: idleTimeout, maxIdle: maxIdle, rest: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return dial(ctx) },
		MaxIdleConnsPerHost:   maxIdle,
		IdleConnTimeout:       idleTimeout,
		DisableCompression:    true,
		ExpectContinueTimeout: time.Second,
	}}
}

// conn is a connection with its buffers.
type conn struct {
	net.Conn
	reader *bufio.Reader
	writer *bufio.Writer
	since  time.Time // idle since
}

// suits reports whether a request is a small one with its body in memory.
func suits(req *http.Request) bool {
	small := req.Body == nil || req.Body == http.NoBody || (req.GetBody != nil && req.ContentLength > 0 && req.ContentLength <= maxBody)
	return small && req.Method == http.MethodPost && req.Header.Get("Upgrade") == "" && req.Header.Get("Expect") == "" &&
		len(req.TransferEncoding) == 0 && req.URL.Scheme == "http" && !req.Close
}

// RoundTrip sends the request and reads the head of the answer. The connection belongs to the answer until its body is read to the end or closed.
func (t *Transport) RoundTrip(req *http.Request) (*http.Response, error) {
	if !suits(req) {
		return t.rest.RoundTrip(req)
	}
	ctx := req.Context()
	c, err := t.connect(ctx)
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close()
		}
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })
	resp, err := c.exchange(req)
	if err != nil {
		stop()
		_ = c.Close()
		if cause := ctx.Err(); cause != nil {
			err = cause
		}
		return nil, err
	}
	body := &body{ReadCloser: resp.Body, transport: t, conn: c, stop: stop, ctx: ctx, reusable: !resp.Close}
	if resp.Body == http.NoBody || resp.ContentLength == 0 {
		body.finish(true)
		resp.Body = http.NoBody
		return resp, nil
	}
	resp.Body = body
	return resp, nil
}

// exchange writes a request and reads the head of its final answer.
func (c *conn) exchange(req *http.Request) (*http.Response, error) {
	if err := req.Write(c.writer); err != nil {
		return nil, err
	}
	if err := c.writer.Flush(); err != nil {
		return nil, err
	}
	for {
		resp, err := http.ReadResponse(c.reader, req)
		if err != nil || resp.StatusCode >= 200 {
			return resp, err
		}
		// an interim answer (100, 103): the final one follows
	}
}

// connect takes the connection that was used last, if it is still good, or makes one.
func (t *Transport) connect(ctx context.Context) (*conn, error) {
	for {
		c := t.take()
		if c == nil {
			break
		}
		if time.Since(c.since) < t.idleTimeout && quiet(c) {
			return c, nil
		}
		_ = c.Close()
	}
	raw, err := t.dial(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: raw, reader: bufio.NewReader(raw), writer: bufio.NewWriter(raw)}, nil
}

func (t *Transport) take() *conn {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) == 0 {
		return nil
	}
	c := t.idle[len(t.idle)-1]
	t.idle = t.idle[:len(t.idle)-1]
	return c
}

// put keeps a connection for the next request.
func (t *Transport) put(c *conn) {
	c.since = time.Now()
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.idle) >= t.maxIdle {
		_ = c.Close()
		return
	}
	t.idle = append(t.idle, c)
	if t.reaper == nil {
		t.reaper = time.AfterFunc(t.idleTimeout, t.reap)
	}
}

// reap closes connections that were idle for too long, and comes again while there are others.
func (t *Transport) reap() {
	t.mu.Lock()
	defer t.mu.Unlock()
	old := 0
	for old < len(t.idle) && time.Since(t.idle[old].since) >= t.idleTimeout {
		_ = t.idle[old].Close()
		old++
	}
	t.idle = append(t.idle[:0], t.idle[old:]...)
	t.reaper = nil
	if len(t.idle) > 0 {
		t.reaper = time.AfterFunc(t.idleTimeout, t.reap)
	}
}

// CloseIdleConnections closes the connections that no request uses.
func (t *Transport) CloseIdleConnections() {
	t.rest.CloseIdleConnections()
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, c := range t.idle {
		_ = c.Close()
	}
	t.idle = nil
	if t.reaper != nil {
		t.reaper.Stop()
		t.reaper = nil
	}
}

// body is that of an answer; at its end the connection is free for the next request.
type body struct {
	io.ReadCloser
	transport *Transport
	conn      *conn
	stop      func() bool
	ctx       context.Context
	reusable  bool
	done      atomic.Bool
}

// Read reads; an error of a request that was cut off is that of its context.
func (b *body) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	switch {
	case err == io.EOF:
		b.finish(true)
	case err != nil:
		b.finish(false)
		if cause := b.ctx.Err(); cause != nil {
			err = cause
		}
	}
	return n, err
}

// Close gives up what has not been read, and the connection with it.
func (b *body) Close() error {
	b.finish(false)
	return nil
}

func (b *body) finish(whole bool) {
	if !b.done.CompareAndSwap(false, true) {
		return
	}
	// If the context has ended, its deadline may be on the connection any moment.
	if b.stop() && whole && b.reusable {
		b.transport.put(b.conn)
		return
	}
	_ = b.conn.Close()
}
