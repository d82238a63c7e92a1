package endpoint

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"time"

	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/broker/keys"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/message"
	"github.com/hpcclab/oaas-go/odgm/record"
)

// callOf reads the call of a method or function. The key says which; a message that names another one is refused, and one that names none is taken.
func (c *class) callOf(k keys.Key, payload []byte, beside map[string]string) (call.Call, odgm.Target, error) {
	if payload == nil {
		return call.Call{}, odgm.Target{}, fault.New(fault.InvalidArgument, "Payload must not be empty")
	}
	t, err := c.target(k)
	if err != nil {
		return call.Call{}, t, err
	}
	var m interface {
		proto.Message
		GetClsId() string
		GetFnId() string
		GetOptions() map[string]string
		GetPayload() []byte
	}
	var id string
	if k.Object == "" {
		m = &oprc.InvocationRequest{}
		err = proto.Unmarshal(payload, m)
	} else {
		r := &oprc.ObjectInvocationRequest{}
		err = proto.Unmarshal(payload, r)
		id, _ = oprc.ObjectID(r.ObjectId, r.NumericObjectId)
		m = r
	}
	if err != nil {
		return call.Call{}, t, fault.Wrap(fault.DecodeError, err, "failed to decode payload")
	}
	for _, named := range []struct{ what, inMessage, inKey string }{
		{"class", m.GetClsId(), c.name}, {"function", m.GetFnId(), k.Name}, {"object", keys.CanonicalID(id), k.Object},
	} {
		if named.inMessage != "" && named.inMessage != named.inKey {
			return call.Call{}, t, fault.New(fault.InvalidArgument, "the message names the %s %q, its key the %s %q: they must be the same",
				named.what, message.Shortened(named.inMessage), named.what, message.Shortened(named.inKey))
		}
	}
	options := m.GetOptions()
	made, err := message.Call(func(name string) string {
		if value := beside[name]; value != "" {
			return value
		}
		return options[name]
	}, k.Name, m.GetPayload(), options)
	if made.ContentType == "" {
		made.ContentType = beside[keys.ContentType]
	}
	return made, t, err
}

// traced continues the trace that the options of a call carry, as clients of OaaS-RS have it, if none came beside it.
func traced(ctx context.Context, beside map[string]string, c *call.Call) context.Context {
	if beside[keys.Traceparent] == "" && c.Options[keys.Traceparent] != "" {
		return propagator.Extract(ctx, mapCarrier(c.Options))
	}
	return ctx
}

// invoke runs a method or function. The answer is always an InvocationResponse.
func (r *request) invoke(ctx context.Context) error {
	c, t, err := r.class.callOf(r.key, r.query.Payload(), r.beside)
	if keys.IsWild(r.key.Name) {
		err = fault.New(fault.InvalidArgument, "name one function: %q may be several", r.key.Name)
	}
	if err != nil {
		return r.reply(ctx, &oprc.InvocationResponse{Status: oprc.ResponseStatus_INVALID_REQUEST, Payload: []byte(err.Error())}, codeOf(err))
	}
	answer, err := r.e.invoke(traced(ctx, r.beside, &c), c, t)
	if t.ID != "" && t.Partition == odgm.AnyPartition {
		r.at(odgm.PartitionOf(t.ID, r.class.spec.Load().Partitions))
	}
	known := codeOf(err)
	if err == nil {
		known = version(answer.Version)
	}
	return r.reply(ctx, responseOf(&answer, err), known)
}

// invoke runs a call. A function belongs to no partition: one that the class does not have does no harm.
func (e *Endpoint) invoke(ctx context.Context, c call.Call, t odgm.Target) (call.Answer, error) {
	answer, err := e.grid.Invoke(ctx, c, t)
	if t.ID == "" && fault.CodeOf(err) == fault.NoPartition {
		t.Partition = 0
		return e.grid.Invoke(ctx, c, t)
	}
	return answer, err
}

func codeOf(err error) map[string]string {
	if err == nil {
		return nil
	}
	return map[string]string{keys.Code: string(fault.CodeOf(err))}
}

// responseOf gives the answer of a call in any case. A container's gRPC error is an application error, as in OaaS-RS; what the caller can mend is an
// invalid request, and the rest a system error.
func responseOf(answer *call.Answer, err error) *oprc.InvocationResponse {
	response, err := message.Response(answer, err)
	if err == nil {
		return response
	}
	fe := fault.From(err)
	text, kind := fe.Message, oprc.ResponseStatus_SYSTEM_ERROR
	switch {
	case message.IsStatus(err):
		text, kind = status.Convert(err).Message(), oprc.ResponseStatus_APP_ERROR
	case fe.HTTPStatus() == http.StatusBadRequest:
		kind = oprc.ResponseStatus_INVALID_REQUEST
	}
	return &oprc.InvocationResponse{
		Status: kind, Payload: []byte(text), Headers: map[string]string{message.OptionContentType: "text/plain; charset=utf-8"},
	}
}

// parameterWait has a result waited for: a duration such as 5s.
const parameterWait = "wait"

// result answers with the result of a call that nobody waited for. While it runs that is an error; with the parameter wait the answer waits for its end.
func (r *request) result(ctx context.Context) error {
	t, err := r.class.target(r.key)
	if err != nil {
		return err
	}
	waiting, wait := ctx, false
	if text, ok := r.query.Parameters().Get(parameterWait); ok {
		d, err := time.ParseDuration(text)
		if err != nil || d < 0 {
			return fault.New(fault.InvalidArgument, "parameter wait: %q is no duration such as 5s", message.Shortened(text))
		}
		var cancel context.CancelFunc
		waiting, cancel = context.WithTimeout(ctx, d)
		defer cancel()
		wait = true
	}
	if t.ID != "" && t.Partition == odgm.AnyPartition {
		t.Partition = int(odgm.PartitionOf(t.ID, r.class.spec.Load().Partitions))
		r.key.Partition = strconv.Itoa(t.Partition)
	}
	inv, err := r.e.grid.Invocation(waiting, t.Class, t.Partition, r.key.Invocation, wait)
	if t.ID == "" && fault.CodeOf(err) == fault.NoPartition {
		inv, err = r.e.grid.Invocation(waiting, t.Class, 0, r.key.Invocation, wait)
	}
	switch {
	case err != nil:
		return err
	case inv.GetMethod() != r.key.Name || inv.GetObject() != t.ID:
		return fault.New(fault.NoInvocation, "no call %s of %s on this key", inv.GetId(), r.key.Name)
	}
	response, err := outcomeOf(inv)
	if err != nil {
		return err
	}
	return r.reply(ctx, response, version(inv.GetOutcome().GetVersion()))
}

// outcomeOf gives what a call gave that has ended.
func outcomeOf(inv *record.Invocation) (*oprc.InvocationResponse, error) {
	outcome := inv.GetOutcome()
	switch inv.GetState() {
	case record.InvocationState_INVOCATION_STATE_PENDING:
		return nil, fault.New(fault.Unavailable, "call %s has not ended; ask again, or with the parameter wait, as in ?wait=5s", inv.GetId())
	case record.InvocationState_INVOCATION_STATE_CANCELLED:
		return nil, fault.New(fault.Cancelled, "call %s was cancelled", inv.GetId())
	}
	var err error
	if f := outcome.GetFailure(); f != nil {
		fe := fault.New(fault.Code(f.GetCode()), "%s", f.GetMessage())
		fe.Status, fe.Body, fe.ContentType = int(f.GetStatus()), f.GetBody(), f.GetContentType()
		err = fe
	}
	response := responseOf(&call.Answer{Payload: outcome.GetPayload(), ContentType: outcome.GetContentType()}, err)
	response.InvocationId = inv.GetId()
	return response, nil
}

// submit takes a call that nobody waits for. Its id is that of the key, so that it runs once however often it comes.
func (c *class) submit(ctx context.Context, k keys.Key, payload []byte, beside map[string]string) error {
	made, t, err := c.callOf(k, payload, beside)
	if err != nil {
		return err
	}
	made.Invocation = k.Invocation
	ctx = traced(ctx, beside, &made)
	_, err = c.e.grid.InvokeAsync(ctx, made, t)
	if t.ID == "" && fault.CodeOf(err) == fault.NoPartition {
		t.Partition = 0
		_, err = c.e.grid.InvokeAsync(ctx, made, t)
	}
	if err != nil {
		return fmt.Errorf("call %s: %w", k.Invocation, err)
	}
	return nil
}
