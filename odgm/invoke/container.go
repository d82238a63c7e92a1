package invoke

import (
	"context"
	"net/url"
	"sync"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/container"
	"github.com/hpcclab/oaas-go/odgm/object"
)

// onContainer has a function container do the method. Nothing is committed of it but its end, where somebody asks for that: its result under an
// idempotency key, the end of an asynchronous call, and what triggers wait for.
func (r *running) onContainer(ctx context.Context) (call.Answer, error) {
	key, fingerprint := "", uint64(0)
	if !r.method.Stateless {
		key = r.resultKey()
	}
	if key != "" {
		// There is no turn that keeps two calls with one key apart.
		done, err := r.once.enter(ctx, r.call.Ref.String()+"\x00"+r.call.Method+"\x00"+key)
		if err != nil {
			return call.Answer{}, err
		}
		defer done()
		fingerprint = Fingerprint(r.call.Method, r.call.ContentType, r.call.Payload)
		answer, found, err := r.stored(ctx, key, fingerprint)
		if err != nil || found {
			return answer, err
		}
	}
	answer, err := retry(ctx, r, r.askContainer)
	if err != nil {
		return call.Answer{}, err
	}
	reply := &function.Reply{Payload: answer.Payload, ContentType: answer.ContentType}
	if r.shard != nil && r.worthCommit(reply, key) {
		answer.Version, err = r.commit(ctx, outcome{reply: reply}, key, fingerprint)
		return answer, err
	}
	if !r.method.Stateless {
		// The container has written by itself. An answer is not lost because nobody knows the version.
		if obj, err := r.shard.Object(ctx, r.call.Ref.ID, object.Selector{}); err == nil {
			answer.Version = obj.Version
		}
	}
	return answer, nil
}

// containers sends calls to containers of methods that bring no transport.
var containers = sync.OnceValue(container.NewTransport)

// askContainer makes one attempt.
func (r *running) askContainer(ctx context.Context, _ int) (answer call.Answer, err error) {
	p, err := r.peers.of(r.call.Ref.Class, r.method.Function, r.method.URL)
	if err != nil {
		return call.Answer{}, err
	}
	if r.method.Transport == nil {
		r.method.Transport = containers()
	}
	begun := time.Now()
	ctx, span := r.span(ctx, "function", trace.SpanKindClient)
	ctx, cancel := context.WithTimeout(ctx, r.method.Timeout)
	defer cancel()
	defer func() {
		r.metrics.function(r.call.Ref.Class, r.call.Method, time.Since(begun))
		endSpan(span, err)
	}()
	told := r.call
	told.Chain = told.Chain.With(r.hop())
	path, header, body, err := container.Encode(ctx, &told)
	if err != nil {
		return call.Answer{}, err
	}
	to := &url.URL{Scheme: p.url.Scheme, Host: p.url.Host, Path: path}
	if to.Scheme == "grpc" {
		to.Scheme = "http"
	}
	got, err := r.post(ctx, to, header, body)
	if err != nil {
		return call.Answer{}, r.orLate(ctx, err)
	}
	answer, err = container.Decode("function container "+r.method.Function+", method "+r.call.Method, &container.Response{
		Status: got.status, Header: got.header, Trailer: got.trailer, Body: got.body,
	})
	if err != nil {
		err = r.orLate(ctx, err)
	}
	return answer, err
}

// deadlineSlack is how much sooner than here a container may notice that a call's time is up.
const deadlineSlack = 20 * time.Millisecond

// orLate gives the failure of a call whose time was up: the container notices that too, perhaps first, and says so in its way or breaks off.
func (r *running) orLate(ctx context.Context, err error) error {
	if deadline, ok := ctx.Deadline(); ok && time.Until(deadline) < deadlineSlack {
		<-ctx.Done()
	}
	if ctx.Err() != nil {
		return r.late(ctx)
	}
	return err
}

// once lets one call at a time in for each key. The zero value is ready.
type once struct {
	mu   sync.Mutex
	busy map[string]chan struct{} // closed when who is in leaves
}

// enter waits until nobody is in with that key. The caller leaves with the function that it gets.
func (o *once) enter(ctx context.Context, key string) (leave func(), err error) {
	for {
		o.mu.Lock()
		other := o.busy[key]
		if other == nil {
			if o.busy == nil {
				o.busy = map[string]chan struct{}{}
			}
			gone := make(chan struct{})
			o.busy[key] = gone
			o.mu.Unlock()
			return func() {
				o.mu.Lock()
				delete(o.busy, key)
				o.mu.Unlock()
				close(gone)
			}, nil
		}
		o.mu.Unlock()
		select {
		case <-other:
		case <-ctx.Done():
			return nil, fault.Wrap(fault.CodeOf(ctx.Err()), context.Cause(ctx), "wait for another call with the same idempotency key")
		}
	}
}
