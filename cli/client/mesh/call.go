package mesh

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/keys"
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
		err = keys.Check("function", call.Method)
	}
	return a, err
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
	if err := c.get(ctx, a.Key.Invoke(a.ref.ID, call.Method), a.request(call), &m); err != nil {
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
		err = keys.Check("invocation", id)
	}
	if err != nil {
		return "", err
	}
	key, err := zenoh.NewKeyExpr(a.InvokeAsync(a.ref.ID, call.Method, id).String())
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

// Times for results that are waited for.
const (
	// pollTime is between two questions for a result that nobody has.
	pollTime = 100 * time.Millisecond
	// grace is for the answer of a data grid that waited as long as it was asked to.
	grace = 5 * time.Second
)

// Result gives the result of a call that was published, waiting for it at most that long. One that nobody has is a *client.Failure with
// NO_INVOCATION; as the call may be on its way, or its data grid may have results only when they are there, that is asked again while it waits.
func (c *Client) Result(ctx context.Context, call client.Call, id string, wait time.Duration) (*client.Invocation, error) {
	a, err := placeOf(call)
	if err == nil {
		err = keys.Check("invocation", id)
	}
	if err != nil {
		return nil, err
	}
	key := a.Result(a.ref.ID, call.Method, id)
	if wait <= 0 {
		return c.result(ctx, key, "")
	}
	end := time.Now().Add(wait)
	ctx, stop := context.WithDeadline(ctx, end.Add(grace))
	defer stop()
	for {
		left := max(0, time.Until(end)).Round(time.Millisecond)
		inv, err := c.result(ctx, key, zenoh.Parameters("wait="+left.String()))
		if !client.IsNotFound(err) || left < pollTime {
			return inv, err
		}
		select {
		case <-ctx.Done():
			return nil, context.Cause(ctx)
		case <-time.After(pollTime):
		}
	}
}

// result asks once.
func (c *Client) result(ctx context.Context, key keys.Key, parameters zenoh.Parameters) (*client.Invocation, error) {
	inv := &client.Invocation{ID: key.Invocation, Object: key.Object, Method: key.Name, Status: "succeeded"}
	var m oprc.InvocationResponse
	err := c.getSelector(ctx, key.String(), parameters, nil, &m)
	if f, ok := errors.AsType[*client.Failure](err); ok {
		switch {
		case strings.HasPrefix(f.Message, "call "+key.Invocation+" has not ended"):
			inv.Status = "pending"
			return inv, nil
		case f.Code == string(fault.Cancelled):
			inv.Status, inv.Error = "cancelled", &client.Reason{Code: f.Code, Message: f.Message, Status: f.Status}
			return inv, nil
		}
		return nil, &client.Failure{Status: 404, Code: string(fault.NoInvocation), Message: "no result of call " + key.Invocation + ": " + f.Message}
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
