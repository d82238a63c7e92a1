package invoke

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
)

// answered is what a function sent back: all of it.
type answered struct {
	status int
	header http.Header
	body   []byte
	// trailer came after the body.
	trailer http.Header
}

func (a *answered) contentType() string { return a.header.Get("Content-Type") }

// failed reports whether the function says that it has failed.
func (a *answered) failed() bool { return a.status < 200 || a.status > 299 }

// callHeaders is as many as function.SetHeaders sets, so that the room for them is taken at once.
const callHeaders = 13

// exchange sends the call and reads the answer, in the form that the function understands best.
func (r *running) exchange(ctx context.Context, c *function.Call, attempt int) (*answered, error) {
	p, err := r.peers.of(r.call.Ref.Class, r.method.Function, r.method.URL)
	if err != nil {
		return nil, err
	}
	form := function.JSON
	if p.binary.Load() {
		form = function.Binary
	}
	send := func(ctx context.Context) (*answered, error) {
		header := make(http.Header, callHeaders)
		meta := r.meta(ctx, attempt)
		function.SetHeaders(header, form, c, &meta)
		return r.post(ctx, p.url, header, function.EncodeCall(form, c))
	}
	a, err := r.limited(ctx, send)
	if err != nil {
		return nil, err
	}
	if function.AcceptsBinary(a.header) {
		p.learn(true)
	} else if a.failed() {
		p.learn(false) // perhaps another release listens there now
	}
	if form == function.Binary && a.status == http.StatusUnsupportedMediaType {
		p.learn(false)
		form = function.JSON
		return r.limited(ctx, send)
	}
	return a, nil
}

// meta gives what travels in the headers.
func (r *running) meta(ctx context.Context, attempt int) function.Meta {
	deadline, _ := ctx.Deadline()
	parent, state := traceContext(ctx)
	return function.Meta{
		ID: r.call.ID, Chain: r.call.Chain.With(r.hop()).String(), Deadline: deadline, Attempt: attempt, Depth: int(r.call.Depth),
		Traceparent: parent, Tracestate: state,
	}
}

// limited runs one exchange within the time of an attempt and measures it.
func (r *running) limited(ctx context.Context, send func(context.Context) (*answered, error)) (*answered, error) {
	begun := time.Now()
	ctx, span := r.span(ctx, "function", trace.SpanKindClient)
	ctx, cancel := context.WithTimeout(ctx, r.method.Timeout)
	defer cancel()
	a, err := send(ctx)
	r.metrics.function(r.call.Ref.Class, r.call.Method, time.Since(begun))
	failure := err
	if err == nil && a.failed() {
		failure = r.functionError(a)
	}
	endSpan(span, failure)
	return a, err
}

// post sends one request and reads the whole answer.
func (r *running) post(ctx context.Context, to *url.URL, header http.Header, body []byte) (*answered, error) {
	req := (&http.Request{
		Method: http.MethodPost, URL: to, Host: to.Host, Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: header,
		ContentLength: int64(len(body)), Body: io.NopCloser(bytes.NewReader(body)),
		GetBody: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(body)), nil },
	}).WithContext(ctx)
	if len(body) == 0 {
		req.Body, req.GetBody = http.NoBody, nil
	}
	transport := r.method.Transport
	if transport == nil {
		transport = http.DefaultTransport
	}
	resp, err := transport.RoundTrip(req)
	if err != nil {
		return nil, r.unreachable(ctx, err)
	}
	defer resp.Body.Close()
	a := &answered{status: resp.StatusCode, header: resp.Header}
	a.body, err = readAll(resp, r.cfg.MaxReply)
	a.trailer = resp.Trailer
	switch {
	case err != nil && ctx.Err() != nil:
		return nil, r.late(ctx)
	case a.failed(): // what there is of its text goes to the caller, even if it was cut short
		a.body = a.body[:min(len(a.body), r.cfg.MaxReply)]
		return a, nil
	case err != nil:
		return nil, r.badReply("the answer was cut short or broken after %d bytes: %v", len(a.body), err)
	case len(a.body) > r.cfg.MaxReply:
		return nil, r.badReply("the answer has more than the allowed %d bytes", r.cfg.MaxReply)
	}
	return a, nil
}

// readAll reads a body up to one byte more than the limit. For a body whose length is known, the memory is taken at once.
func readAll(resp *http.Response, limit int) ([]byte, error) {
	n := resp.ContentLength
	if n <= 0 || n > int64(limit) {
		return io.ReadAll(io.LimitReader(resp.Body, int64(limit)+1))
	}
	body := make([]byte, n+1) // one byte more, to see that nothing follows
	got, err := io.ReadFull(resp.Body, body[:n])
	if err != nil {
		return body[:got], err
	}
	if extra, err := resp.Body.Read(body[n:]); extra > 0 || (err != nil && err != io.EOF) {
		return body[:n], errors.New("it does not have the length that was announced")
	}
	return body[:n:n], nil
}

// functionError is a failure that the function reports itself.
func (r *running) functionError(a *answered) error {
	e := fault.New(fault.FunctionError, "function %s, method %s: answered %d %s", r.method.Function, r.call.Method, a.status, http.StatusText(a.status))
	if text := firstLine(a); text != "" {
		e.Message += ": " + text
	}
	e.Status, e.Body, e.ContentType = a.status, a.body, a.contentType()
	return e
}

// firstLine gives the beginning of an answer's text, for messages.
func firstLine(a *answered) string {
	const most = 200
	line, _, _ := bytes.Cut(bytes.TrimSpace(a.body), []byte("\n"))
	return strings.ToValidUTF8(string(line[:min(len(line), most)]), "")
}

// unreachable is the failure of a request that got no answer.
func (r *running) unreachable(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return r.late(ctx)
	}
	if known, ok := errors.AsType[*fault.Error](err); ok {
		return known // a runner that starts functions itself knows better what is wrong
	}
	if text := err.Error(); strings.Contains(text, "malformed") || strings.Contains(text, "response headers exceeded") {
		return r.badReply("not an HTTP answer: %v", err)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("it closed the connection without an answer")
	}
	return fault.Wrap(fault.FunctionUnavailable, err, "function %s, method %s: no answer", r.method.Function, r.call.Method)
}

// late is the failure of a request that was cut off because its time was up, or because nobody wants the answer any more.
func (r *running) late(ctx context.Context) error {
	cause := context.Cause(ctx)
	if fault.CodeOf(ctx.Err()) == fault.Cancelled {
		return fault.Wrap(fault.Cancelled, cause, "function %s, method %s: the call was given up", r.method.Function, r.call.Method)
	}
	return fault.Wrap(fault.DeadlineExceeded, cause, "function %s, method %s: no answer in time (at most %v an attempt)",
		r.method.Function, r.call.Method, r.method.Timeout)
}

// peers remembers what is known about the functions: one row for each that is bound to a class.
type peers struct {
	rows rows[peerKey, *peer]
}

type peerKey struct{ class, function, url string }

type peer struct {
	url    *url.URL
	binary atomic.Bool // it has said that it understands the binary form
}

// learn writes only when something has changed: the row is read by every call.
func (p *peer) learn(binary bool) {
	if p.binary.Load() != binary {
		p.binary.Store(binary)
	}
}

func (p *peers) of(class, name, text string) (*peer, error) {
	key := peerKey{class, name, text}
	if row, ok := p.rows.get(key); ok {
		return row, nil
	}
	u, err := url.Parse(text)
	if err != nil || u.Host == "" {
		return nil, fault.New(fault.FunctionUnavailable, "function %s has no usable URL: %q", name, text)
	}
	if u.Path == "" {
		u.Path = "/"
	}
	return p.rows.put(key, &peer{url: u}), nil
}
