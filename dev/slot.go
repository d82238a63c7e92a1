package dev

import (
	"context"
	"net/http"
	"net/url"
	"sync"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/odgm/container"
)

// slot is where the calls of a function go. Classes are bound to slots, so that they can be deployed before their functions have started: a
// call waits until the function is there, or until it is known that it will not be.
type slot struct {
	name string

	mu     sync.Mutex
	target http.RoundTripper
	err    error
	set    chan struct{} // closed while target or err is set
}

func newSlot(name string) *slot { return &slot{name: name, set: make(chan struct{})} }

// fill sends calls to target from now on.
func (s *slot) fill(target http.RoundTripper) { s.resolve(target, nil) }

// fail refuses calls with err from now on, unless there is something that serves.
func (s *slot) fail(err error) { s.resolve(nil, err) }

func (s *slot) resolve(target http.RoundTripper, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if target == nil && s.target != nil {
		return
	}
	if s.target == nil && s.err == nil {
		close(s.set)
	}
	s.target, s.err = target, err
}

// RoundTrip sends a request to the function.
func (s *slot) RoundTrip(req *http.Request) (*http.Response, error) {
	target, err := s.wait(req.Context())
	if err != nil {
		if req.Body != nil {
			_ = req.Body.Close() // nothing was sent
		}
		return nil, err
	}
	return target.RoundTrip(req)
}

func (s *slot) wait(ctx context.Context) (http.RoundTripper, error) {
	select {
	case <-s.set:
	case <-ctx.Done():
		return nil, fault.Wrap(fault.From(ctx.Err()).Code, ctx.Err(), "function %s is still starting", s.name)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.target == nil {
		return nil, fault.Wrap(fault.FunctionUnavailable, s.err, "function %s is not there", s.name)
	}
	return s.target, nil
}

// remote sends calls to a function that somebody else runs.
type remote struct {
	url *url.URL
	// service is true where the requests' own paths are kept, as they name a service of gRPC.
	service bool
	*http.Transport
}

// Remote gives what sends calls to a function that runs elsewhere, at its url.
func Remote(f *opackage.Function) (http.RoundTripper, error) { return newRemote(f) }

func newRemote(f *opackage.Function) (*remote, error) {
	u, err := url.Parse(f.URL)
	if err != nil {
		return nil, fault.New(fault.InvalidArgument, "url %q: %v", f.URL, err)
	}
	if u.Scheme == "grpc" {
		u.Scheme = "http"
	}
	t := &http.Transport{MaxIdleConnsPerHost: 512, IdleConnTimeout: 30 * time.Second, DisableCompression: true}
	if f.NeedsHTTP2() {
		t = container.NewTransport()
	}
	return &remote{u, f.EffectiveContract() == opackage.GRPCContract, t}, nil
}

// RoundTrip sends the request to the function's address.
func (r *remote) RoundTrip(req *http.Request) (*http.Response, error) {
	out, u := *req, *req.URL
	u.Scheme, u.Host = r.url.Scheme, r.url.Host
	if !r.service {
		u.Path, u.RawPath = r.url.Path, r.url.RawPath
	}
	if u.Path == "" {
		u.Path = "/"
	}
	out.URL, out.Host = &u, r.url.Host
	resp, err := r.Transport.RoundTrip(&out)
	if err != nil && req.Context().Err() == nil {
		return nil, fault.Wrap(fault.FunctionUnavailable, err, "function at %s", r.url)
	}
	return resp, err
}

var (
	_ http.RoundTripper = (*slot)(nil)
	_ http.RoundTripper = (*remote)(nil)
)
