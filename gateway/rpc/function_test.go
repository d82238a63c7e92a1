package rpc

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/fault"
	wire "github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
)

func TestCalls(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		for _, c := range []struct {
			method, payload string
			options         map[string]string
			want            string
		}{
			{"mecho", "hi", map[string]string{"content-type": "text/plain", "accept": "*/*"}, `payload: "hi" headers { key: "content-type" value: "text/plain" }`},
			{"store", "5", nil, `payload: "5"`},
			{"teapot", "", nil, `status: APP_ERROR payload: "short and stout" headers { key: "content-type" value: "text/x-refusal" }`},
			{"invalid", "", nil, `status: INVALID_REQUEST payload: "not so" headers { key: "content-type" value: "text/x-refusal" }`},
			{"broken", "", nil, `status: SYSTEM_ERROR payload: "downstream" headers { key: "content-type" value: "text/x-refusal" }`},
			{"echo", "stateless", nil, `payload: "stateless"`}, // the object does not matter
		} {
			got, err := r.fn.InvokeObj(r.ctx(), &oprc.ObjectInvocationRequest{
				ClsId: class, PartitionId: 1, ObjectId: new("O"), FnId: c.method, Payload: []byte(c.payload), Options: c.options,
			})
			if must(t, 0, err); strings.HasPrefix(c.want, "status") || c.method != "echo" {
				same(t, got, c.want)
			} else if string(got.GetPayload()) != c.payload {
				t.Errorf("%s gives %v", c.method, got)
			}
		}
		if dump := r.dump(); dump != `example.record/1/o v1 stored="5"/0 <nil>`+"\n" {
			t.Errorf("stored are %s", dump)
		}
		for _, partition := range []uint32{0, 1, 7, 1 << 20} { // such a function belongs to no partition
			got, err := r.fn.InvokeFn(r.ctx(), &oprc.InvocationRequest{
				ClsId: class, PartitionId: partition, FnId: "echo", Payload: []byte("x"), Options: map[string]string{"content-type": "text/plain"},
			})
			must(t, 0, err)
			same(t, got, `payload: "x" headers { key: "content-type" value: "text/plain" }`)
		}
	})
}

// A call that is repeated with its key gives the stored result, and has one effect.
func TestIdempotencyKey(t *testing.T) {
	r := newRig(t, rigOptions{})
	ctx := metadata.AppendToOutgoingContext(r.ctx(), "idempotency-key", "once")
	invoke := func(payload string) (*oprc.InvocationResponse, error) {
		return r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "store", Payload: []byte(payload)})
	}
	first, err := invoke("5")
	must(t, 0, err)
	same(t, first, `payload: "5"`)
	again, err := invoke("5")
	must(t, 0, err)
	if string(again.GetPayload()) != "5" || again.GetHeaders()["oaas-replayed"] != "true" {
		t.Errorf("repeated call gives %v", again)
	}
	_, err = invoke("6")
	if reason, _ := detailsOf(status.Convert(err)); status.Code(err) != codes.FailedPrecondition || reason != "IDEMPOTENCY_MISMATCH" {
		t.Errorf("another payload gives %v", err)
	}
	if dump := r.dump(); dump != `example.record/0/o v1 stored="5"/0 <nil>`+"\n" {
		t.Errorf("stored are %s", dump)
	}
}

// The client's trace goes on to the function, and so does the chain: a function's own gRPC calls re-enter.
func TestTraceAndChain(t *testing.T) {
	const trace = "4bf92f3577b34da6a3ce929d0e0e4736"
	var r *rig
	r = newRig(t, rigOptions{methods: map[string]method{
		"trace": recordMethods["trace"],
		"outer": func(req *http.Request, c *wire.Call) (*wire.Reply, error) {
			ctx := metadata.AppendToOutgoingContext(req.Context(), "oaas-chain", req.Header.Get(wire.HeaderChain))
			_, err := r.data.SetValue(ctx, &oprc.SetKeyRequest{
				ClsId: c.Class, PartitionId: int32(c.Partition), ObjectId: &c.Object, Key: new("inner"), Value: &oprc.ValData{Data: []byte("1")},
			})
			if err != nil {
				return nil, refusal{http.StatusTeapot, err.Error()}
			}
			return &wire.Reply{Payload: []byte("done")}, nil
		},
	}})
	ctx := metadata.AppendToOutgoingContext(r.ctx(), "traceparent", "00-"+trace+"-00f067aa0ba902b7-01")
	got, err := r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "trace"})
	must(t, 0, err)
	if text := string(got.GetPayload()); !strings.HasPrefix(text, "00-"+trace+"-") || !strings.Contains(text, " external ") {
		t.Errorf("the function saw %q", text)
	}
	// Clients of OaaS-RS may have it in the options; the metadata count where both are.
	options := map[string]string{"traceparent": "00-" + trace + "-00f067aa0ba902b7-01"}
	got, err = r.fn.InvokeObj(r.ctx(), &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "trace", Options: options})
	must(t, 0, err)
	if text := string(got.GetPayload()); !strings.HasPrefix(text, "00-"+trace+"-") {
		t.Errorf("of the options the function saw %q", text)
	}
	options["traceparent"] = "00-11111111111111111111111111111111-00f067aa0ba902b7-01"
	got, err = r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "trace", Options: options})
	must(t, 0, err)
	if text := string(got.GetPayload()); !strings.HasPrefix(text, "00-"+trace+"-") {
		t.Errorf("of both the function saw %q", text)
	}
	got, err = r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "outer"})
	must(t, 0, err)
	same(t, got, `payload: "done"`)
	if dump := r.dump(); dump != `example.record/0/o v1 inner="1"/0 <nil>`+"\n" {
		t.Errorf("stored are %s", dump)
	}
}

// Cancelled and expired calls end on both sides, and change nothing.
func TestGivenUp(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		expired, cancel := context.WithTimeout(r.ctx(), 50*time.Millisecond)
		defer cancel()
		hang := &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "hang"}
		if _, err := r.fn.InvokeObj(expired, hang); status.Code(err) != codes.DeadlineExceeded {
			t.Errorf("expired call gives %v", err)
		}
		given, cancel := context.WithCancel(r.ctx())
		var running sync.WaitGroup
		running.Go(func() {
			if _, err := r.fn.InvokeObj(given, hang); status.Code(err) != codes.Canceled {
				t.Errorf("cancelled call gives %v", err)
			}
		})
		cancel()
		running.Wait()
		// the object is free again
		_, err := r.fn.InvokeObj(r.ctx(), &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "store", Payload: []byte("1")})
		must(t, 0, err)
		if dump := r.dump(); dump != `example.record/0/o v1 stored="1"/0 <nil>`+"\n" {
			t.Errorf("stored are %s", dump)
		}
	})
}

// A call whose client sets no deadline gets that of the server.
func TestServerTimeout(t *testing.T) {
	for _, http := range []bool{false, true} {
		t.Run(fmt.Sprint("http=", http), func(t *testing.T) {
			r := newRig(t, rigOptions{http: http, cfg: Config{Timeout: 50 * time.Millisecond}})
			_, err := r.fn.InvokeObj(context.Background(), &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "hang"})
			if status.Code(err) != codes.DeadlineExceeded {
				t.Errorf("got %v", err)
			}
		})
	}
}

// failing is a grid whose calls fail in a given way.
type failing struct {
	Grid
	invoke func() error
}

// Invoke fails.
func (f *failing) Invoke(context.Context, call.Call, odgm.Target) (call.Answer, error) {
	return call.Answer{}, f.invoke()
}

// What a container says, as a response or as a gRPC error, reaches a gRPC caller as it was.
func TestFailuresOfContainers(t *testing.T) {
	invalid := fault.New(fault.FunctionError, "function container grpc://x, method m: answered INVALID_REQUEST: bad")
	invalid.Status, invalid.Body, invalid.ContentType = http.StatusBadRequest, []byte("bad"), "text/plain"
	bare := fault.New(fault.FunctionError, "function f, method m: answered 500")
	for _, c := range []struct {
		err     error
		want    string
		code    codes.Code
		message string
	}{
		{err: invalid, want: `status: INVALID_REQUEST payload: "bad" headers { key: "content-type" value: "text/plain" }`},
		{err: bare, want: `status: SYSTEM_ERROR payload: "function f, method m: answered 500" headers { key: "content-type" value: "text/plain; charset=utf-8" }`},
		{err: fault.Wrap(fault.FunctionError, status.Error(codes.DataLoss, "it is gone"), "function container x"), code: codes.DataLoss, message: "it is gone"},
		{err: fault.New(fault.FunctionUnavailable, "no answer"), code: codes.Unavailable, message: "no answer"},
		{err: fault.New(fault.BadReply, "not a reply"), code: codes.Internal, message: "not a reply"},
		{err: fault.New("OF_A_NEWER_RELEASE", "new"), code: codes.Internal, message: "new"},
		{err: fmt.Errorf("wait: %w", context.DeadlineExceeded), code: codes.DeadlineExceeded, message: "deadline: wait: context deadline exceeded"},
	} {
		r := newRig(t, rigOptions{wrap: func(g Grid) Grid { return &failing{g, func() error { return c.err }} }})
		got, err := r.fn.InvokeFn(r.ctx(), &oprc.InvocationRequest{ClsId: class, FnId: "echo"})
		if st := status.Convert(err); st.Code() != c.code || st.Message() != c.message {
			t.Errorf("%v gives %v", c.err, st)
		}
		if c.want != "" && err == nil {
			same(t, got, c.want)
		}
	}
}

// A panic is one INTERNAL and one log record, and the server goes on.
func TestPanic(t *testing.T) {
	for _, http := range []bool{false, true} {
		t.Run(fmt.Sprint("http=", http), func(t *testing.T) {
			r := newRig(t, rigOptions{http: http, wrap: func(g Grid) Grid { return &failing{g, func() error { panic("secret") }} }})
			_, err := r.fn.InvokeFn(r.ctx(), &oprc.InvocationRequest{ClsId: class, FnId: "echo"})
			st := status.Convert(err)
			if reason, _ := detailsOf(st); st.Code() != codes.Internal || strings.Contains(st.Message(), "secret") || reason != "INTERNAL" {
				t.Errorf("got %v", st)
			}
			if log := r.log.String(); strings.Count(log, "handler panicked") != 1 || !strings.Contains(log, "secret") || strings.Count(log, "\n") != 1 {
				t.Errorf("logged:\n%s", log)
			}
			r.set("o", "k=1")
		})
	}
}
