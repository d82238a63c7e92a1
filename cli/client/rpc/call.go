package rpc

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"google.golang.org/grpc/metadata"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/cli/client"
)

// errOnlyOthers is for what gRPC has no call for.
var errOnlyOthers = errors.New("gRPC has no asynchronous calls: use HTTP (--url) or Zenoh (-z)")

// optionContentType is the option that says what a payload is.
const optionContentType = "content-type"

// Invoke calls a method and waits for its answer. A stateless call carries partition 0, as that of OaaS-RS's command line does.
func (c *Client) Invoke(ctx context.Context, call client.Call) (*client.Answer, error) {
	if call.Key != "" {
		ctx = metadata.AppendToOutgoingContext(ctx, "idempotency-key", call.Key)
	}
	if call.Ref.ID == "" {
		answer, err := c.function.InvokeFn(ctx, Function(call, 0))
		if err != nil {
			return nil, c.failure(ctx, err)
		}
		return AnswerOf(answer)
	}
	p, err := c.partition(ctx, call.Ref)
	if err != nil {
		return nil, err
	}
	answer, err := c.function.InvokeObj(ctx, Method(call, p))
	if err != nil {
		return nil, c.failure(ctx, err)
	}
	return AnswerOf(answer)
}

// Function gives the call of a function as a message.
func Function(call client.Call, partition uint32) *oprc.InvocationRequest {
	return &oprc.InvocationRequest{
		ClsId: call.Ref.Class, PartitionId: partition, FnId: call.Method, Payload: call.Payload, Options: optionsOf(call),
	}
}

// Method gives the call of a method as a message.
func Method(call client.Call, partition uint32) *oprc.ObjectInvocationRequest {
	return &oprc.ObjectInvocationRequest{
		ClsId: call.Ref.Class, PartitionId: partition, ObjectId: &call.Ref.ID, FnId: call.Method, Payload: call.Payload, Options: optionsOf(call),
	}
}

func optionsOf(call client.Call) map[string]string {
	if call.ContentType == "" {
		return nil
	}
	return map[string]string{optionContentType: call.ContentType}
}

// statuses are the HTTP statuses that a function's own failure stands for.
var statuses = map[oprc.ResponseStatus]int{
	oprc.ResponseStatus_INVALID_REQUEST: http.StatusBadRequest,
	oprc.ResponseStatus_APP_ERROR:       http.StatusInternalServerError,
	oprc.ResponseStatus_SYSTEM_ERROR:    http.StatusBadGateway,
}

// AnswerOf reads an answer. One that is no success is a *client.Failure that has the function's words as its body.
func AnswerOf(m *oprc.InvocationResponse) (*client.Answer, error) {
	headers := m.GetHeaders()
	if m.GetStatus() == oprc.ResponseStatus_OKAY {
		return &client.Answer{
			Status: http.StatusOK, ContentType: headers[optionContentType], Headers: headers, Payload: m.GetPayload(), Empty: m.Payload == nil,
		}, nil
	}
	status, known := statuses[m.GetStatus()]
	if !known {
		status = http.StatusInternalServerError
	}
	return nil, &client.Failure{
		Status: status, Code: "FUNCTION_ERROR", Message: fmt.Sprintf("the function answered %s: %s", m.GetStatus(), m.GetPayload()),
		Body: m.GetPayload(), ContentType: headers[optionContentType],
	}
}

// InvokeAsync is not there over gRPC.
func (c *Client) InvokeAsync(context.Context, client.Call) (string, error) { return "", errOnlyOthers }

// Result is not there over gRPC.
func (c *Client) Result(context.Context, client.Call, string, time.Duration) (*client.Invocation, error) {
	return nil, errOnlyOthers
}
