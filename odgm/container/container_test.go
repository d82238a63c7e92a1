package container

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.opentelemetry.io/otel/trace"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/encoding/prototext"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// server is a function container.
type server struct {
	oprc.UnimplementedOprcFunctionServer
	address string
	object  func(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error)
	fn      func(ctx context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error)
	conns   atomic.Int64
}

// InvokeObj answers as the test says.
func (s *server) InvokeObj(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	return s.object(ctx, r)
}

// InvokeFn answers as the test says.
func (s *server) InvokeFn(ctx context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
	return s.fn(ctx, r)
}

// start serves on the address, or on a free one, until the test ends or stop is called.
func (s *server) start(t testing.TB, address string) (stop func()) {
	t.Helper()
	l, err := net.Listen("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	g := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	oprc.RegisterOprcFunctionServer(g, s)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(&counting{l, &s.conns}) })
	stop = func() {
		g.Stop()
		running.Wait()
	}
	t.Cleanup(stop)
	return stop
}

func (s *server) url() string { return "grpc://" + s.address }

// counting counts the connections that are accepted.
type counting struct {
	net.Listener
	n *atomic.Int64
}

// Accept counts.
func (c *counting) Accept() (net.Conn, error) {
	conn, err := c.Listener.Accept()
	if err == nil {
		c.n.Add(1)
	}
	return conn, err
}

func newPool(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p := New(cfg)
	t.Cleanup(func() {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	})
	return p
}

func same(t *testing.T, got proto.Message, text string) {
	t.Helper()
	want := got.ProtoReflect().New().Interface()
	if err := prototext.Unmarshal([]byte(text), want); err != nil {
		t.Fatal(err)
	}
	if !proto.Equal(got, want) {
		t.Errorf("got\n  %v\nwant\n  %v", got, want)
	}
}

// The request has what OaaS-RS sends, an id that is a number in both forms; metadata carry trace, chain and key.
func TestRequest(t *testing.T) {
	var methodSeen *oprc.ObjectInvocationRequest
	var functionSeen *oprc.InvocationRequest
	var md metadata.MD
	var limited bool
	s := &server{
		object: func(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
			methodSeen = r
			md, _ = metadata.FromIncomingContext(ctx)
			_, limited = ctx.Deadline()
			return &oprc.InvocationResponse{Payload: []byte("out"), Headers: map[string]string{"Content-Type": "text/plain", "x": "y"}}, nil
		},
		fn: func(_ context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
			functionSeen = r
			return &oprc.InvocationResponse{}, nil
		},
	}
	s.start(t, "127.0.0.1:0")
	p := newPool(t, Config{})
	ctx := trace.ContextWithSpanContext(context.Background(), trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	c := call.Call{
		Ref: object.Ref{Class: "example.record", Partition: 3, ID: "42"}, Method: "m", Payload: []byte("in"), ContentType: "text/plain",
		Options: map[string]string{"accept": "*/*"}, IdempotencyKey: "key", Depth: 2,
		Chain: call.Chain{{Ref: object.Ref{Class: "a.b", ID: "x"}, Method: "outer", Call: "t"}},
	}
	answer, err := p.Invoke(ctx, s.url(), &c)
	if err != nil || string(answer.Payload) != "out" || answer.ContentType != "text/plain" {
		t.Errorf("got %v, %v", answer, err)
	}
	same(t, methodSeen, `partition_id: 3 cls_id: "example.record" fn_id: "m" object_id: "42" numeric_object_id: 42 payload: "in"
		options { key: "accept" value: "*/*" } options { key: "content-type" value: "text/plain" }`)
	for key, want := range map[string]string{
		"traceparent": "00-01000000000000000000000000000000-0200000000000000-01", "oaas-chain": c.Chain.String(), "oaas-depth": "2", "idempotency-key": "key",
	} {
		if got := strings.Join(md[key], " "); got != want {
			t.Errorf("metadata %s is %q, want %q", key, got, want)
		}
	}
	if !limited || len(c.Options) != 1 {
		t.Errorf("limited %v, options of the call %v", limited, c.Options)
	}
	c.Ref.ID = "order-1"
	if _, err := p.Invoke(ctx, s.url()+"/", &c); err != nil || methodSeen.NumericObjectId != nil || methodSeen.GetObjectId() != "order-1" {
		t.Errorf("got %v for %v", err, methodSeen)
	}
	answer, err = p.Invoke(context.Background(), s.url(), &call.Call{Ref: object.Ref{Class: "example.record"}, Method: "f"})
	if err != nil || answer.Payload != nil || answer.ContentType != "" {
		t.Errorf("got %v, %v", answer, err)
	}
	same(t, functionSeen, `cls_id: "example.record" fn_id: "f"`)
}

// Every answer gets its fault.
func TestAnswers(t *testing.T) {
	long := strings.Repeat("x", 1000)
	for _, c := range []struct {
		name     string
		response *oprc.InvocationResponse
		err      error
		code     fault.Code
		http     int
		body     string
		message  string
	}{
		{"invalid", &oprc.InvocationResponse{Status: 1, Payload: []byte("fn_id 'm' not found\nmore")}, nil, fault.InvalidArgument, 400, "fn_id 'm' not found\nmore", "answered INVALID_REQUEST: fn_id 'm' not found"},
		{"application", &oprc.InvocationResponse{Status: 2, Payload: []byte(`{"e":1}`)}, nil, fault.FunctionError, 500, `{"e":1}`, `answered APP_ERROR: {"e":1}`},
		{"system", &oprc.InvocationResponse{Status: 3}, nil, fault.FunctionError, 502, "", "answered SYSTEM_ERROR"},
		{"unknown status", &oprc.InvocationResponse{Status: 9}, nil, fault.BadReply, 502, "", "answered with status 9; allowed are 0 to 3"},
		{"too long", &oprc.InvocationResponse{Payload: make([]byte, 2<<20)}, nil, fault.BadReply, 502, "", "received message larger than max"},
		{"long text", &oprc.InvocationResponse{Status: 2, Payload: []byte(long)}, nil, fault.FunctionError, 500, long, "answered APP_ERROR: " + long[:200]},
		{"not UTF-8", &oprc.InvocationResponse{Status: 2, Payload: []byte{0xff, 'a'}}, nil, fault.FunctionError, 500, "\xffa", "answered APP_ERROR: a"},
		{"gRPC unimplemented", nil, status.Error(codes.Unimplemented, "no such method"), fault.FunctionError, 501, "no such method", "no such method"},
		{"gRPC not found", nil, status.Error(codes.NotFound, "gone"), fault.FunctionError, 404, "gone", "gone"},
		{"gRPC unknown", nil, errors.New("exception"), fault.FunctionError, 502, "exception", "exception"},
		{"gRPC unavailable", nil, status.Error(codes.Unavailable, "later"), fault.FunctionUnavailable, 503, "", "no answer: later"},
		{"gRPC resource exhausted", nil, status.Error(codes.ResourceExhausted, "quota"), fault.FunctionError, 429, "quota", "quota"},
		{"gRPC deadline", nil, status.Error(codes.DeadlineExceeded, "its own"), fault.DeadlineExceeded, 504, "", "no answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &server{object: func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
				return c.response, c.err
			}}
			s.start(t, "127.0.0.1:0")
			_, err := newPool(t, Config{MaxReply: 1 << 20}).Invoke(t.Context(), s.url(), someCall())
			fe := fault.From(err)
			if fe == nil || fe.Code != c.code || fe.HTTPStatus() != c.http || string(fe.Body) != c.body || !strings.Contains(fe.Message, c.message) {
				t.Fatalf("got %+v", fe)
			}
			if !strings.Contains(fe.Message, "function container "+s.url()+", method m") {
				t.Errorf("message %q does not say who", fe.Message)
			}
			if want := status.Convert(c.err); c.code == fault.FunctionError && c.err != nil && status.Convert(errors.Unwrap(err)).Message() != want.Message() {
				t.Errorf("the status is lost: %v", err)
			}
		})
	}
}

func someCall() *call.Call {
	return &call.Call{Ref: object.Ref{Class: "example.record", ID: "o"}, Method: "m"}
}

func TestBadAddresses(t *testing.T) {
	p := newPool(t, Config{})
	for _, address := range []string{"", "grpc://", "http://host:1", "grpc://host/path", "grpc://host:1?x=1", "grpc://user@host:1", "grpc://host:port", "grpc://%zz"} {
		if _, err := p.Invoke(t.Context(), address, someCall()); fault.CodeOf(err) != fault.FunctionUnavailable {
			t.Errorf("%q gives %v", address, err)
		}
	}
	for address, want := range map[string]string{"grpc://host": "host:80", "grpc://host:50051/": "host:50051", "grpc://[::1]": "[::1]:80"} {
		if got, err := hostOf(address); err != nil || got != want {
			t.Errorf("%q gives %q, %v", address, got, err)
		}
	}
	if Serves("http://x") || Serves("grpc://") || !Serves("grpc://x") {
		t.Error("the scheme is not told")
	}
}

// Nobody listens: the call fails soon, and with the right fault.
func TestNobodyListens(t *testing.T) {
	s := &server{}
	s.start(t, "127.0.0.1:0")()
	_, err := newPool(t, Config{}).Invoke(t.Context(), s.url(), someCall())
	if fault.CodeOf(err) != fault.FunctionUnavailable {
		t.Errorf("got %v", err)
	}
}

// Cancelled and expired calls end at once on both sides.
func TestGivenUp(t *testing.T) {
	ended := make(chan struct{}, 3)
	s := &server{object: func(ctx context.Context, _ *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		<-ctx.Done()
		ended <- struct{}{}
		return nil, ctx.Err()
	}}
	s.start(t, "127.0.0.1:0")
	expired, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if _, err := newPool(t, Config{}).Invoke(expired, s.url(), someCall()); fault.CodeOf(err) != fault.DeadlineExceeded {
		t.Errorf("expired call gives %v", err)
	}
	<-ended
	if _, err := newPool(t, Config{Timeout: 50 * time.Millisecond}).Invoke(context.Background(), s.url(), someCall()); fault.CodeOf(err) != fault.DeadlineExceeded {
		t.Errorf("call without a deadline gives %v", err)
	}
	<-ended
	given, cancel := context.WithCancel(t.Context())
	time.AfterFunc(20*time.Millisecond, cancel)
	if _, err := newPool(t, Config{}).Invoke(given, s.url(), someCall()); fault.CodeOf(err) != fault.Cancelled {
		t.Errorf("cancelled call gives %v", err)
	}
	cancel()
}

// All calls to a container share a connection, which comes back after a restart.
func TestConnections(t *testing.T) {
	answer := func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		return &oprc.InvocationResponse{Payload: []byte("x")}, nil
	}
	s := &server{object: answer}
	stop := s.start(t, "127.0.0.1:0")
	p := newPool(t, Config{})
	var running sync.WaitGroup
	for range 16 {
		running.Go(func() {
			for range 20 {
				if _, err := p.Invoke(t.Context(), s.url(), someCall()); err != nil {
					t.Error(err)
				}
			}
		})
	}
	running.Wait()
	if n := s.conns.Load(); n != 1 {
		t.Errorf("%d connections", n)
	}
	stop()
	again := &server{object: answer}
	again.start(t, s.address)
	deadline := time.Now().Add(20 * time.Second)
	for {
		_, err := p.Invoke(t.Context(), s.url(), someCall())
		if err == nil {
			break
		}
		if fault.CodeOf(err) != fault.FunctionUnavailable || time.Now().After(deadline) {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
}

func TestClosed(t *testing.T) {
	p := New(Config{})
	for range 2 {
		if err := p.Close(); err != nil {
			t.Error(err)
		}
	}
	_, err := p.Invoke(t.Context(), "grpc://localhost:1", someCall())
	if fe := fault.From(err); fe.Code != fault.Unavailable || fe.HTTPStatus() != http.StatusServiceUnavailable {
		t.Errorf("got %v", err)
	}
}
