package mesh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/cli/client/rpc"
)

// placeOf checks the parts of the key of a call.
func placeOf(call client.Call) (at, error) {
	if call.Ref.ID == "" && (call.Ref.Partition == "" || call.Ref.Partition == client.AnyPartition) {
		call.Ref.Partition = "0" // a stateless function belongs to no partition
	}
	a, err := place(call.Ref)
	if err == nil {
		err = part("function", call.Method)
	}
	return a, err
}

// callKey gives the key below which calls, or results, of a function are.
func (a at) callKey(kind, method string, more ...string) string {
	more = append([]string{kind, method}, more...)
	if a.ref.ID == "" {
		return a.key(more...)
	}
	return a.objectKey(more...)
}

func (a at) request(call client.Call) proto.Message {
	call.Ref = a.ref
	if a.ref.ID == "" {
		return rpc.Function(call, a.partition)
	}
	return rpc.Method(call, a.partition)
}

// Invoke calls a method and waits for its answer.
func (c *Client) Invoke(ctx context.Context, call client.Call) (*client.Answer, error) {
	a, err := placeOf(call)
	if err != nil {
		return nil, err
	}
	var m oprc.InvocationResponse
	if err := c.get(ctx, a.callKey("invokes", call.Method), a.request(call), &m); err != nil {
		return nil, err
	}
	return rpc.AnswerOf(&m)
}

// InvokeAsync publishes a call, and gives its id.
func (c *Client) InvokeAsync(ctx context.Context, call client.Call) (string, error) {
	return c.InvokeAs(ctx, call, call.Key)
}

// InvokeAs publishes a call with that id, or a new one if it is "". Nobody answers that, so whether anybody runs it is not told.
func (c *Client) InvokeAs(ctx context.Context, call client.Call, id string) (string, error) {
	if id == "" {
		id = newID()
	}
	a, err := placeOf(call)
	if err == nil {
		err = part("invocation", id)
	}
	if err != nil {
		return "", err
	}
	key, err := zenoh.NewKeyExpr(a.callKey("invokes", call.Method, "async", id))
	if err != nil {
		return "", fmt.Errorf("make key: %w", err)
	}
	payload, err := proto.Marshal(a.request(call))
	if err != nil {
		return "", fmt.Errorf("encode request: %w", err)
	}
	if err := c.session.Put(ctx, key, payload, &zenoh.PutOptions{CongestionControl: zenoh.CongestionControlBlock}); err != nil {
		return "", c.failure(ctx, err)
	}
	return id, nil
}

// alphabet and idSize are those of the ids that OaaS-RS makes.
const (
	alphabet = "useandom-26T198340PX75pxJACKVERYMINDBUSHWOLF_GQZbfghjklqvwyzrict"
	idSize   = 21
)

func newID() string {
	raw := make([]byte, idSize)
	_, _ = rand.Read(raw) // never fails
	for i, b := range raw {
		raw[i] = alphabet[b%byte(len(alphabet))]
	}
	return string(raw)
}

// Result gives the result of a call that was published. One that nobody has is a *client.Failure with NO_INVOCATION.
func (c *Client) Result(ctx context.Context, call client.Call, id string, wait time.Duration) (*client.Invocation, error) {
	a, err := placeOf(call)
	if err == nil {
		err = part("invocation", id)
	}
	if err != nil {
		return nil, err
	}
	if wait > 0 {
		var stop context.CancelFunc
		ctx, stop = context.WithTimeout(ctx, wait)
		defer stop()
	}
	inv := &client.Invocation{ID: id, Object: a.ref.ID, Method: call.Method, Status: "succeeded"}
	var m oprc.InvocationResponse
	err = c.get(ctx, a.callKey("results", call.Method, "async", id), nil, &m)
	if f, ok := errors.AsType[*client.Failure](err); ok {
		return nil, &client.Failure{Status: 404, Code: string(fault.NoInvocation), Message: "no result of call " + id + ": " + f.Message}
	}
	if err != nil {
		return nil, err
	}
	answer, err := rpc.AnswerOf(&m)
	if f, ok := errors.AsType[*client.Failure](err); ok {
		inv.Status, inv.Error = "failed", &client.Reason{Code: f.Code, Message: string(f.Body), Status: f.Status}
		return inv, nil
	}
	inv.Result = &client.Result{Payload: answer.Payload, ContentType: answer.ContentType}
	return inv, nil
}
