package rpc

import (
	"context"
	"errors"
	"net/http"

	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
)

// function serves oprc.OprcFunction.
type function struct {
	oprc.UnimplementedOprcFunctionServer
	grid Grid
}

// maxIdempotencyKey bounds the key, as in the gateway.
const maxIdempotencyKey = 1024

// InvokeFn calls a stateless function of a class. Such a function belongs to no partition: one that the class does not have does no harm.
func (f *function) InvokeFn(ctx context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
	c, err := newCall(ctx, r.GetFnId(), r.GetPayload(), r.GetOptions())
	if err != nil {
		return nil, err
	}
	t := odgm.Target{Class: r.GetClsId(), Partition: int(r.GetPartitionId() & maxPartition)}
	answer, err := f.grid.Invoke(ctx, c, t)
	if fault.CodeOf(err) == fault.NoPartition {
		t.Partition = 0
		answer, err = f.grid.Invoke(ctx, c, t)
	}
	return respond(&answer, err)
}

// InvokeObj calls a method of an object.
func (f *function) InvokeObj(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	t, _, err := target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return nil, err
	}
	c, err := newCall(ctx, r.GetFnId(), r.GetPayload(), r.GetOptions())
	if err != nil {
		return nil, err
	}
	answer, err := f.grid.Invoke(ctx, c, t)
	return respond(&answer, err)
}

// optionContentType is the option that says what the payload is.
const optionContentType = "content-type"

// newCall makes a call of a request and its metadata.
func newCall(ctx context.Context, method string, payload []byte, options map[string]string) (call.Call, error) {
	md, _ := metadata.FromIncomingContext(ctx)
	opt, err := writeOptions(md)
	if err != nil {
		return call.Call{}, err
	}
	c := call.Call{
		Method: method, Payload: payload, Options: options, ContentType: options[optionContentType],
		Chain: opt.Chain, Depth: opt.Depth, Caller: "external", IdempotencyKey: first(md, metaIdempotencyKey),
	}
	if n := len(c.Chain); n > 0 {
		c.Caller = c.Chain[n-1].Ref.String() + "/" + c.Chain[n-1].Method
	}
	if n := len(c.IdempotencyKey); n > maxIdempotencyKey {
		return call.Call{}, invalid(fault.InvalidArgument, metaIdempotencyKey, "the idempotency key has %d bytes; allowed are %d", n, maxIdempotencyKey)
	}
	return c, nil
}

// respond gives the answer of a function. Its own failures are answers too: with a status, and what it said as payload. A failure of the platform is
// an error, and so is a gRPC error that the function answered with.
func respond(answer *call.Answer, err error) (*oprc.InvocationResponse, error) {
	if err == nil {
		response := &oprc.InvocationResponse{Payload: answer.Payload, Headers: headersOf(answer.ContentType)}
		if answer.Replayed {
			if response.Headers == nil {
				response.Headers = map[string]string{}
			}
			response.Headers["oaas-replayed"] = "true"
		}
		return response, nil
	}
	fe := fault.From(err)
	_, passed := errors.AsType[interface {
		error
		GRPCStatus() *status.Status
	}](err)
	kind, own := failureOf(fe)
	if passed || !own {
		return nil, err
	}
	response := &oprc.InvocationResponse{Payload: fe.Body, Status: kind, Headers: headersOf(fe.ContentType)}
	if len(fe.Body) == 0 {
		response.Payload, response.Headers = []byte(fe.Message), headersOf("text/plain; charset=utf-8")
	}
	return response, nil
}

// failureOf gives the status of a function's own failure; own is false for those of the platform.
func failureOf(fe *fault.Error) (kind oprc.ResponseStatus, own bool) {
	if fe.Code != fault.FunctionError {
		return 0, false
	}
	switch fe.HTTPStatus() {
	case http.StatusBadRequest:
		return oprc.ResponseStatus_INVALID_REQUEST, true
	case http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return oprc.ResponseStatus_SYSTEM_ERROR, true
	}
	return oprc.ResponseStatus_APP_ERROR, true
}

func headersOf(contentType string) map[string]string {
	if contentType == "" {
		return nil
	}
	return map[string]string{optionContentType: contentType}
}
