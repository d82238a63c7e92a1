package invoke

import (
	"context"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/container"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// answering is a function container whose one method a test gives.
type answering struct {
	oprc.UnimplementedOprcFunctionServer
	object func(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error)
	calls  atomic.Int64
}

// InvokeObj counts, and answers as the test says.
func (a *answering) InvokeObj(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	a.calls.Add(1)
	return a.object(ctx, r)
}

// InvokeFn answers with what it got.
func (a *answering) InvokeFn(_ context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
	return &oprc.InvocationResponse{Payload: r.GetPayload()}, nil
}

// contain binds a method to a container.
func (w *world) contain(name string, object func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error), options ...func(*call.Method)) *answering {
	w.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		w.t.Fatal(err)
	}
	a := &answering{object: object}
	s := grpc.NewServer()
	oprc.RegisterOprcFunctionServer(s, a)
	var running sync.WaitGroup
	running.Go(func() { _ = s.Serve(l) })
	transport := container.NewTransport()
	w.t.Cleanup(func() {
		s.Stop()
		running.Wait()
		transport.CloseIdleConnections()
	})
	w.on(name, nil, append([]func(*call.Method){func(m *call.Method) {
		m.Container, m.URL, m.Transport = true, "http://"+l.Addr().String(), transport
	}}, options...)...)
	return a
}

func okay(text string) (*oprc.InvocationResponse, error) {
	return &oprc.InvocationResponse{Payload: []byte(text)}, nil
}

// While a container works on an object, its own writes, and other calls, do not wait for it.
func TestContainerHoldsNoTurn(t *testing.T) {
	w := newWorld(t)
	w.contain("m", func(ctx context.Context, _ *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		md, _ := metadata.FromIncomingContext(ctx)
		if err := w.write(ctx, strings.Join(md["oaas-chain"], ""), "o", "k", "from inside"); err != nil {
			return nil, err
		}
		return okay("done")
	})
	for version := range uint64(2) {
		if a := w.mustInvoke("o", "m"); string(a.Payload) != "done" || a.Version != version+1 {
			t.Errorf("got %s, version %d", a.Payload, a.Version)
		}
	}
	w.wantState("o", "k", "from inside")
}

// A result is stored under its key, and two calls with one key are one.
func TestContainerIdempotency(t *testing.T) {
	w := newWorld(t)
	var n atomic.Int64
	a := w.contain("m", func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		return okay(strconv.FormatInt(n.Add(1), 10))
	})
	var together sync.WaitGroup
	for range 16 {
		together.Go(func() {
			if answer, err := w.invoke(t.Context(), "o", "m", key("k")); err != nil || string(answer.Payload) != "1" {
				t.Errorf("got %s, %v", answer.Payload, err)
			}
		})
	}
	together.Wait()
	if got := a.calls.Load(); got != 1 {
		t.Errorf("called %d times", got)
	}
	if answer := w.mustInvoke("o", "m", key("k")); !answer.Replayed {
		t.Error("not the stored result")
	}
	_, err := w.invoke(t.Context(), "o", "m", key("k"), payload("other"))
	wantCode(t, err, fault.IdempotencyMismatch)
	if answer := w.mustInvoke("o", "m"); string(answer.Payload) != "2" {
		t.Errorf("without a key: %s", answer.Payload)
	}
	if w.state("o") != nil {
		t.Error("a stored result has made an object")
	}
}

// A failure leaves no result; who waits for the key tries for itself, or gives up in time.
func TestContainerFailureUnderKey(t *testing.T) {
	w := newWorld(t)
	hold, entered := make(gate), make(chan struct{}, 1)
	w.contain("m", func(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		if string(r.GetPayload()) == "" {
			entered <- struct{}{}
			select {
			case <-hold:
			case <-ctx.Done():
			}
		}
		return nil, status.Error(codes.Aborted, "no")
	})
	first := make(chan error, 1)
	go func() {
		_, err := w.invoke(t.Context(), "o", "m", key("k"))
		first <- err
	}()
	<-entered
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err := w.invoke(short, "o", "m", key("k"))
	wantCode(t, err, fault.DeadlineExceeded)
	close(hold)
	wantCode(t, <-first, fault.FunctionError)
	_, err = w.invoke(t.Context(), "o", "m", key("k"), payload("again"))
	wantCode(t, err, fault.FunctionError)
	if len(w.executor.once.busy) != 0 {
		t.Error("keys are left")
	}
}

// Time-outs, crashes and answers that are too long are told as those of all functions.
func TestContainerFailures(t *testing.T) {
	w := newWorld(t)
	w.contain("hang", func(ctx context.Context, _ *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		<-ctx.Done()
		return nil, ctx.Err()
	}, within(30*time.Millisecond))
	_, err := w.invoke(t.Context(), "o", "hang")
	wantCode(t, err, fault.DeadlineExceeded)
	given, cancel := context.WithCancel(t.Context())
	w.contain("giveup", func(ctx context.Context, _ *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		cancel()
		<-ctx.Done()
		return nil, ctx.Err()
	})
	_, err = w.invoke(given, "o", "giveup")
	wantCode(t, err, fault.Cancelled)
	w.contain("long", func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		return &oprc.InvocationResponse{Payload: make([]byte, 2<<20)}, nil
	})
	_, err = w.invoke(t.Context(), "o", "long")
	wantCode(t, err, fault.BadReply)
	w.on("http", nil, func(m *call.Method) { m.Container = true })
	_, err = w.invoke(t.Context(), "o", "http")
	wantCode(t, err, fault.BadReply)
	w.on("http1", nil, func(m *call.Method) { m.Container, m.Transport = true, nil })
	_, err = w.invoke(t.Context(), "o", "http1")
	wantCode(t, err, fault.FunctionUnavailable)
	w.on("nobody", nil, func(m *call.Method) { m.Container, m.Transport, m.URL = true, nil, "grpc://127.0.0.1:1" })
	_, err = w.invoke(t.Context(), "o", "nobody")
	wantCode(t, err, fault.FunctionUnavailable)
	if _, err := w.invoke(t.Context(), "o", "hang", func(c *call.Call) { c.Options = map[string]string{"a": "\xff"} }); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("got %v", err)
	}
}

// A failure that may pass is tried again as often as the method says.
func TestContainerRetries(t *testing.T) {
	w := newWorld(t)
	var a *answering
	a = w.contain("m", func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		if a.calls.Load() < 3 {
			return nil, status.Error(codes.Unavailable, "later")
		}
		return okay("at last")
	}, retries(2))
	if answer := w.mustInvoke("o", "m"); string(answer.Payload) != "at last" {
		t.Errorf("got %s", answer.Payload)
	}
}

// The ends of methods fire triggers, and those of stateless functions too.
func TestContainerTriggers(t *testing.T) {
	w := newWorld(t)
	target := &record.Target{Class: class, Object: "log", Method: "note"}
	w.configure(&record.ClassConfig{Triggers: []*record.ClassTrigger{
		{Name: "done", On: oprc.EventType_EVENT_TYPE_FUNC_COMPLETE, Target: target},
		{Name: "failed", On: oprc.EventType_EVENT_TYPE_FUNC_ERROR, Target: target},
	}})
	w.contain("m", func(_ context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		return &oprc.InvocationResponse{Status: oprc.ResponseStatus(len(r.GetPayload())), Payload: []byte("why")}, nil
	})
	for n := range 4 {
		_, err := w.invoke(t.Context(), "o", "m", payload(strings.Repeat("x", n)))
		if (err != nil) != (n > 0) {
			t.Errorf("status %d: %v", n, err)
		}
	}
	events := w.events()
	if len(events) != 4 {
		t.Fatalf("%d events: %v", len(events), events)
	}
	w.contain("f", nil, stateless)
	m, _ := w.method("f")
	c := call.Call{Ref: ref(""), Method: "f", Payload: []byte("in")}
	if answer, err := w.executor.Invoke(t.Context(), w.shard, m, c); err != nil || string(answer.Payload) != "in" {
		t.Errorf("stateless: %s, %v", answer.Payload, err)
	}
	if n := len(w.events()); n != 5 {
		t.Errorf("%d events after a stateless function", n)
	}
}
