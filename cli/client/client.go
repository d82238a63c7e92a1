// Package client talks to a platform over its HTTP interface, for the command line and for programs that want the same.
//
// Guarantee: a failure that the platform answered with is a *[Failure] with its code; a platform that cannot be reached is an
// *[Unreachable]. Every call ends with its context, and no answer is read beyond a bounded size except streams and results.
package client

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"
)

// DefaultURL is where `oaas dev` listens unless told otherwise.
const DefaultURL = "http://127.0.0.1:8080"

// maxAnswer bounds answers that are read as a whole.
const maxAnswer = 256 << 20

// Client talks to one platform. It is safe for use by many goroutines.
type Client struct {
	base string
	http *http.Client

	// Retries is how often a request that may be repeated is sent again when the platform is not there, or says that it cannot serve now.
	Retries int
}

// New makes a client of the platform at base, an http or https URL.
func New(base string) (*Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || (u.Scheme != "http" && u.Scheme != "https") {
		return nil, fmt.Errorf("%q is not the address of a platform: want a URL such as %s", base, DefaultURL)
	}
	transport := &http.Transport{
		Proxy: http.ProxyFromEnvironment, MaxIdleConnsPerHost: 64, IdleConnTimeout: time.Minute, ForceAttemptHTTP2: true,
	}
	return &Client{base: strings.TrimRight(base, "/"), http: &http.Client{Transport: transport}}, nil
}

// URL gives the address of the platform.
func (c *Client) URL() string { return c.base }

// Close lets go of idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

// Failure is an answer of the platform that says no.
type Failure struct {
	Status  int
	Code    string
	Message string
	// Body and ContentType are the whole answer.
	Body        []byte
	ContentType string
	// Cause is the transport's own error, if it has one.
	Cause error
}

// Unwrap gives the cause.
func (f *Failure) Unwrap() error { return f.Cause }

// Error gives the platform's words.
func (f *Failure) Error() string {
	if f.Message == "" {
		return fmt.Sprintf("the platform answered %d %s", f.Status, http.StatusText(f.Status))
	}
	return f.Message
}

// Unreachable is the error for a platform that does not answer.
type Unreachable struct {
	URL   string
	Cause error
}

// Error names the address.
func (u *Unreachable) Error() string {
	return fmt.Sprintf("no platform answers at %s: %v", u.URL, u.Cause)
}

// Unwrap gives the cause.
func (u *Unreachable) Unwrap() error { return u.Cause }

// request is what a call sends.
type request struct {
	method string
	path   string
	query  url.Values
	header map[string]string
	body   []byte
}

// path joins escaped segments.
func path(segments ...string) string {
	var b strings.Builder
	for _, s := range segments {
		b.WriteByte('/')
		b.WriteString(url.PathEscape(s))
	}
	return b.String()
}

// send gives the answer if it is a success; the caller closes its body.
func (c *Client) send(ctx context.Context, r request) (*http.Response, error) { return c.again(ctx, r) }

// once is send without retries.
func (c *Client) once(ctx context.Context, r request) (*http.Response, error) {
	target := c.base + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fmt.Errorf("make request: %w", err)
	}
	for k, v := range r.header {
		if v != "" {
			req.Header.Set(k, v)
		}
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, c.sendError(ctx, err)
	}
	if resp.StatusCode < 400 {
		return resp, nil
	}
	defer resp.Body.Close()
	return nil, failure(resp)
}

// sendError tells a platform that is not there from a call that took too long or was given up.
func (c *Client) sendError(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if u, ok := errors.AsType[*url.Error](err); ok {
		err = u.Err
	}
	if _, ok := errors.AsType[*net.OpError](err); ok || errors.Is(err, io.EOF) {
		return &Unreachable{URL: c.base, Cause: err}
	}
	return fmt.Errorf("talk to %s: %w", c.base, err)
}

// functionError is the code of an answer that a function gave.
const functionError = "FUNCTION_ERROR"

// failure reads an error answer: the platform's shape, or whatever a function said.
func failure(resp *http.Response) error {
	f := &Failure{Status: resp.StatusCode, ContentType: resp.Header.Get("Content-Type")}
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer (status %d): %w", resp.StatusCode, err)
	}
	f.Code = resp.Header.Get("Oaas-Error")
	f.Body, f.Message = text, strings.TrimSpace(string(text))
	code, message := saidError(text)
	if message != "" {
		f.Message = message
	}
	switch {
	case f.Code == functionError:
		f.Message = fmt.Sprintf("the function answered %d: %s", f.Status, f.Message)
	case code != "":
		f.Code = code
	}
	return f
}

// saidError reads {"error":{"code","message"}} of the gateway and {"error":"message"} of the Package Manager; else both are "".
func saidError(text []byte) (code, message string) {
	var shape struct{ Error json.RawMessage }
	if json.Unmarshal(text, &shape) != nil {
		return "", ""
	}
	var full struct{ Code, Message string }
	if json.Unmarshal(shape.Error, &full) == nil && full.Message != "" {
		return full.Code, full.Message
	}
	if json.Unmarshal(shape.Error, &message) != nil {
		return "", ""
	}
	return "", message
}

// fetch sends a request and decodes its JSON answer into out, unless out is nil.
func (c *Client) fetch(ctx context.Context, r request, out any) error {
	if r.header == nil {
		r.header = map[string]string{}
	}
	if r.header["Accept"] == "" {
		r.header["Accept"] = "application/json"
	}
	resp, err := c.send(ctx, r)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return fmt.Errorf("read the answer: %w", c.sendError(ctx, err))
	}
	if out == nil {
		return nil
	}
	if err := json.Unmarshal(text, out); err != nil {
		return fmt.Errorf("read the answer of %s %s: %w (is this an oaas platform?)", r.method, r.path, err)
	}
	return nil
}

// jsonBody gives a request the JSON form of v.
func (r request) jsonBody(v any) (request, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return r, fmt.Errorf("encode request: %w", err)
	}
	if r.header == nil {
		r.header = map[string]string{}
	}
	r.header["Content-Type"] = "application/json"
	r.body = text
	return r, nil
}
