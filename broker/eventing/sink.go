// Package eventing sends CloudEvents to Knative sinks and receives those that Knative, or anybody else, sends.
//
// Guarantee: Send returns nil only when the sink has accepted the event, and its error says whether another attempt may succeed. Receive gives
// complete, valid events of version 1.0 of the specification, all of a request or none, and refuses everything else with a *fault.Error.
package eventing

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/cloudevents/sdk-go/v2/binding"
	"github.com/cloudevents/sdk-go/v2/event"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"

	changes "github.com/hpcclab/oaas-go/broker/event"
)

// SinkConfig is what a Sink is made of. Zero values mean the defaults.
type SinkConfig struct {
	// Overrides is the JSON of K_CE_OVERRIDES; empty for none.
	Overrides string
	// Timeout bounds one Send; 30 seconds.
	Timeout time.Duration
	// MaxReply bounds the bytes of an answer that are read; 64 KiB. A longer one is cut off, which costs the connection.
	MaxReply int64
	// Transport sends the requests; nil means a pool of connections of its own.
	Transport http.RoundTripper
}

// Sink sends CloudEvents over HTTP. It may be used by many goroutines at once.
type Sink struct {
	client    *http.Client
	overrides map[string]string
	maxReply  int64
}

// maxRedirects bounds the redirects of one Send.
const maxRedirects = 5

// NewSink makes a Sink. It fails when the overrides are malformed.
func NewSink(cfg SinkConfig) (*Sink, error) {
	overrides, err := parseOverrides(cfg.Overrides)
	if err != nil {
		return nil, err
	}
	if cfg.Timeout <= 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.MaxReply <= 0 {
		cfg.MaxReply = 64 << 10
	}
	if cfg.Transport == nil {
		cfg.Transport = newPool()
	}
	return &Sink{
		client:    &http.Client{Transport: cfg.Transport, Timeout: cfg.Timeout, CheckRedirect: followPosts},
		overrides: overrides,
		maxReply:  cfg.MaxReply,
	}, nil
}

// newPool keeps enough idle connections that a busy sink does not see a new one for each event.
func newPool() *http.Transport {
	pool := http.DefaultTransport.(*http.Transport).Clone()
	pool.MaxIdleConns = 1024
	pool.MaxIdleConnsPerHost = 128
	return pool
}

// followPosts follows redirects that keep method and body (307, 308). After the others the event would arrive as a GET without data.
func followPosts(next *http.Request, before []*http.Request) error {
	if next.Method != http.MethodPost {
		return http.ErrUseLastResponse
	}
	if len(before) > maxRedirects {
		return fmt.Errorf("more than %d redirects", maxRedirects)
	}
	return nil
}

// Close closes idle connections.
func (s *Sink) Close() { s.client.CloseIdleConnections() }

// Send posts an event in binary mode to the URL of a sink. Every error is a *SendError, unless the context has ended.
func (s *Sink) Send(ctx context.Context, target string, e event.Event) error {
	request, err := s.request(ctx, target, e)
	if err != nil {
		return &SendError{URL: redact(target), final: true, cause: err}
	}
	response, err := s.client.Do(request)
	if err != nil {
		if ctx.Err() != nil {
			return fmt.Errorf("send event %s to %s: %w", e.ID(), redact(target), ctx.Err())
		}
		return &SendError{URL: redact(target), cause: unwrapURL(err)}
	}
	defer response.Body.Close()
	text := s.readReply(response)
	if response.StatusCode >= 200 && response.StatusCode < 300 {
		return nil
	}
	return &SendError{
		URL: redact(target), Status: response.StatusCode, Text: text,
		final: !Retryable(response.StatusCode), after: retryAfter(response, time.Now()),
	}
}

// request encodes the event. Whatever it fails for, it would fail for again.
func (s *Sink) request(ctx context.Context, target string, e event.Event) (*http.Request, error) {
	u, err := url.Parse(target)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" {
		return nil, errors.New("the URL of a sink is http:// or https:// with a host")
	}
	if e, err = s.override(e); err != nil {
		return nil, err
	}
	if err := e.Validate(); err != nil {
		return nil, fmt.Errorf("event %s: %s", e.ID(), changes.Describe(err))
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, target, nil)
	if err != nil {
		return nil, err
	}
	if err := cehttp.WriteRequest(binding.WithForceBinary(ctx), (*binding.EventMessage)(&e), request); err != nil {
		return nil, fmt.Errorf("encode event %s: %w", e.ID(), err)
	}
	encodeHeader(request.Header)
	if parent, ok := e.Extensions()[changes.AttrTraceparent].(string); ok {
		request.Header.Set("Traceparent", parent)
	}
	return request, nil
}

// override gives the event with the extensions of K_CE_OVERRIDES; the caller's event is unchanged.
func (s *Sink) override(e event.Event) (event.Event, error) {
	if len(s.overrides) == 0 || e.Context == nil {
		return e, nil
	}
	e.Context = e.Context.Clone()
	for name, value := range s.overrides {
		if err := e.Context.SetExtension(name, value); err != nil {
			return e, fmt.Errorf("override attribute %s: %w", name, err)
		}
	}
	return e, nil
}

// readReply reads the answer, so that the connection can be used again, and gives its beginning as text.
func (s *Sink) readReply(response *http.Response) string {
	const quote = 512
	body, err := io.ReadAll(io.LimitReader(response.Body, s.maxReply))
	if err != nil && len(body) == 0 {
		return ""
	}
	return strings.TrimSpace(strings.ToValidUTF8(string(body[:min(len(body), quote)]), ""))
}

// Retryable reports whether an event that was answered with that status should be sent again: as Knative decides it (404, 408, 409, 429 and
// from 500 on; a 404 may come from an ingress that does not know a new route yet), and 425, which asks for it.
func Retryable(status int) bool {
	switch status {
	case http.StatusNotFound, http.StatusRequestTimeout, http.StatusConflict, http.StatusTooEarly, http.StatusTooManyRequests:
		return true
	}
	return status >= 500
}

// redact hides the password of a URL.
func redact(target string) string {
	if u, err := url.Parse(target); err == nil {
		return u.Redacted()
	}
	return "a malformed URL"
}

// unwrapURL drops the method and URL that the HTTP client puts before its errors.
func unwrapURL(err error) error {
	if wrapped, ok := errors.AsType[*url.Error](err); ok {
		return wrapped.Err
	}
	return err
}
