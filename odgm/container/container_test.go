package container

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"

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
}

// InvokeObj answers as the test says.
func (s *server) InvokeObj(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	return s.object(ctx, r)
}

// InvokeFn answers as the test says.
func (s *server) InvokeFn(ctx context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
	return s.fn(ctx, r)
}

// start serves until the test ends.
func (s *server) start(t testing.TB) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s.address = l.Addr().String()
	g := grpc.NewServer(grpc.MaxRecvMsgSize(64 << 20))
	oprc.RegisterOprcFunctionServer(g, s)
	var running sync.WaitGroup
	running.Go(func() { _ = g.Serve(l) })
	t.Cleanup(func() {
		g.Stop()
		running.Wait()
	})
}

// ask makes the call as the grid does.
func (s *server) ask(ctx context.Context, c *call.Call) (call.Answer, error) {
	path, header, body, err := Encode(ctx, c)
	if err != nil {
		return call.Answer{}, err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+s.address+path, bytes.NewReader(body))
	if err != nil {
		return call.Answer{}, err
	}
	request.Header = header
	transport := NewTransport()
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(request)
	if err != nil {
		return call.Answer{}, err
	}
	defer response.Body.Close()
	got, err := io.ReadAll(response.Body)
	if err != nil {
		return call.Answer{}, err
	}
	return Decode("who", &Response{Status: response.StatusCode, Header: response.Header, Trailer: response.Trailer, Body: got})
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
	s.start(t)
	limit, cancel := context.WithTimeout(t.Context(), DefaultTimeout)
	defer cancel()
	ctx := trace.ContextWithSpanContext(limit, trace.NewSpanContext(trace.SpanContextConfig{
		TraceID: trace.TraceID{1}, SpanID: trace.SpanID{2}, TraceFlags: trace.FlagsSampled,
	}))
	c := call.Call{
		Ref: object.Ref{Class: "example.record", Partition: 3, ID: "42"}, Method: "m", Payload: []byte("in"), ContentType: "text/plain",
		Options: map[string]string{"accept": "*/*"}, IdempotencyKey: "key", Depth: 2,
		Chain: call.Chain{{Ref: object.Ref{Class: "a.b", ID: "x"}, Method: "outer", Call: "t"}},
	}
	answer, err := s.ask(ctx, &c)
	if err != nil || string(answer.Payload) != "out" || answer.ContentType != "text/plain" {
		t.Errorf("got %v, %v", answer, err)
	}
	same(t, methodSeen, `partition_id: 3 cls_id: "example.record" fn_id: "m" object_id: "42" numeric_object_id: 42 payload: "in"
		options { key: "accept" value: "*/*" } options { key: "content-type" value: "text/plain" }
		options { key: "traceparent" value: "00-01000000000000000000000000000000-0200000000000000-01" }`)
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
	if _, err := s.ask(ctx, &c); err != nil || methodSeen.NumericObjectId != nil || methodSeen.GetObjectId() != "order-1" {
		t.Errorf("got %v for %v", err, methodSeen)
	}
	answer, err = s.ask(context.Background(), &call.Call{Ref: object.Ref{Class: "example.record"}, Method: "f"})
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
		{"invalid", &oprc.InvocationResponse{Status: 1, Payload: []byte("fn_id 'm' not found\nmore")}, nil, fault.FunctionError, 400, "fn_id 'm' not found\nmore", "answered INVALID_REQUEST: fn_id 'm' not found"},
		{"application", &oprc.InvocationResponse{Status: 2, Payload: []byte(`{"e":1}`)}, nil, fault.FunctionError, 500, `{"e":1}`, `answered APP_ERROR: {"e":1}`},
		{"system", &oprc.InvocationResponse{Status: 3}, nil, fault.FunctionError, 502, "", "answered SYSTEM_ERROR"},
		{"unknown status", &oprc.InvocationResponse{Status: 9}, nil, fault.BadReply, 502, "", "answered with status 9; allowed are 0 to 3"},
		{"long", &oprc.InvocationResponse{Status: 2, Payload: make([]byte, 2<<20)}, nil, fault.FunctionError, 500, string(make([]byte, 2<<20)), "answered APP_ERROR"},
		{"long text", &oprc.InvocationResponse{Status: 2, Payload: []byte(long)}, nil, fault.FunctionError, 500, long, "answered APP_ERROR: " + long[:200]},
		{"not UTF-8", &oprc.InvocationResponse{Status: 2, Payload: []byte{0xff, 'a'}}, nil, fault.FunctionError, 500, "\xffa", "answered APP_ERROR: a"},
		{"gRPC unimplemented", nil, status.Error(codes.Unimplemented, "no such method"), fault.FunctionError, 501, "no such method", "no such method"},
		{"gRPC not found", nil, status.Error(codes.NotFound, "gone"), fault.FunctionError, 404, "gone", "gone"},
		{"gRPC odd text", nil, status.Error(codes.Aborted, "50 % ü\n+"), fault.FunctionError, 409, "50 % ü\n+", "50 % ü\n+"},
		{"gRPC unknown", nil, errors.New("exception"), fault.FunctionError, 502, "exception", "exception"},
		{"gRPC unavailable", nil, status.Error(codes.Unavailable, "later"), fault.FunctionUnavailable, 503, "", "no answer: later"},
		{"gRPC resource exhausted", nil, status.Error(codes.ResourceExhausted, "quota"), fault.FunctionError, 429, "quota", "quota"},
		{"gRPC deadline", nil, status.Error(codes.DeadlineExceeded, "its own"), fault.DeadlineExceeded, 504, "", "no answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := &server{object: func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
				return c.response, c.err
			}}
			s.start(t)
			_, err := s.ask(t.Context(), someCall())
			fe := fault.From(err)
			if fe == nil || fe.Code != c.code || fe.HTTPStatus() != c.http || string(fe.Body) != c.body || !strings.Contains(fe.Message, c.message) {
				t.Fatalf("got %+v", fe)
			}
			if !strings.HasPrefix(fe.Message, "who: ") {
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

// Details of a status come through.
func TestDetails(t *testing.T) {
	st, err := status.New(codes.ResourceExhausted, "quota").WithDetails(&oprc.ValData{Data: []byte("detail")})
	if err != nil {
		t.Fatal(err)
	}
	s := &server{object: func(context.Context, *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
		return nil, st.Err()
	}}
	s.start(t)
	_, err = s.ask(t.Context(), someCall())
	if got := status.Convert(errors.Unwrap(err)); !proto.Equal(got.Proto(), st.Proto()) {
		t.Errorf("got %v", got.Proto())
	}
}

// What is no answer of a container is a bad reply, and says why.
func TestBrokenAnswers(t *testing.T) {
	grpc := http.Header{"Content-Type": {"application/grpc+proto"}}
	ok := http.Header{"Grpc-Status": {"0"}}
	for text, r := range map[string]Response{
		"status 404":          {Status: 404, Header: http.Header{"Content-Type": {"text/plain"}}},
		`type "text/html"`:    {Status: 200, Header: http.Header{"Content-Type": {"text/html"}}, Trailer: ok},
		"no usable":           {Status: 200, Header: grpc, Body: make([]byte, Prefix)},
		"has no message":      {Status: 200, Header: grpc, Trailer: ok, Body: []byte{0, 0, 0, 0}},
		"is compressed":       {Status: 200, Header: grpc, Trailer: ok, Body: []byte{1, 0, 0, 0, 0}},
		"message of 2 bytes":  {Status: 200, Header: grpc, Trailer: ok, Body: []byte{0, 0, 0, 0, 2, 8}},
		"message of 0 bytes":  {Status: 200, Header: grpc, Trailer: ok, Body: make([]byte, 2*Prefix)},
		"proto":               {Status: 200, Header: grpc, Trailer: ok, Body: []byte{0, 0, 0, 0, 1, 0xff}},
		"no usable grpc-stat": {Status: 200, Header: grpc, Trailer: http.Header{"Grpc-Status": {"-1"}}},
	} {
		if _, err := Decode("who", &r); fault.CodeOf(err) != fault.BadReply || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: got %v", text, err)
		}
	}
	if _, _, _, err := Encode(t.Context(), &call.Call{Method: "m\xff"}); fault.CodeOf(err) != fault.InvalidArgument {
		t.Errorf("a call that is not UTF-8: %v", err)
	}
}

// Decode takes anything, and gives an answer or a fault.
func FuzzDecode(f *testing.F) {
	f.Add(200, "application/grpc", "0", "", "", []byte{0, 0, 0, 0, 0})
	f.Add(200, "application/grpc", "9", "a%20%zz", "CAk=", []byte{})
	f.Fuzz(func(t *testing.T, code int, contentType, grpcStatus, message, details string, body []byte) {
		_, err := Decode("who", &Response{
			Status: code, Header: http.Header{"Content-Type": {contentType}}, Body: body,
			Trailer: http.Header{"Grpc-Status": {grpcStatus}, "Grpc-Message": {message}, "Grpc-Status-Details-Bin": {details}},
		})
		if fault.CodeOf(err) == fault.Internal {
			t.Errorf("got %v", err)
		}
	})
}
