package rpc

import (
	"context"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// function serves oprc.OprcFunction.
type function struct {
	oprc.UnimplementedOprcFunctionServer
	grid Grid
}

// InvokeFn calls a stateless function of a class. Such a function belongs to no partition: one that the class does not have does no harm.
func (f *function) InvokeFn(ctx context.Context, r *oprc.InvocationRequest) (*oprc.InvocationResponse, error) {
	c, err := message.Call(headerOf(ctx), r.GetFnId(), r.GetPayload(), r.GetOptions())
	if err != nil {
		return nil, err
	}
	t := odgm.Target{Class: r.GetClsId(), Partition: int(r.GetPartitionId() & message.MaxPartition)}
	answer, err := f.grid.Invoke(ctx, c, t)
	if fault.CodeOf(err) == fault.NoPartition {
		t.Partition = 0
		answer, err = f.grid.Invoke(ctx, c, t)
	}
	return message.Response(&answer, err)
}

// InvokeObj calls a method of an object.
func (f *function) InvokeObj(ctx context.Context, r *oprc.ObjectInvocationRequest) (*oprc.InvocationResponse, error) {
	t, _, err := message.Target(r.GetClsId(), int64(r.GetPartitionId()), r.ObjectId, r.NumericObjectId)
	if err != nil {
		return nil, err
	}
	c, err := message.Call(headerOf(ctx), r.GetFnId(), r.GetPayload(), r.GetOptions())
	if err != nil {
		return nil, err
	}
	answer, err := f.grid.Invoke(ctx, c, t)
	return message.Response(&answer, err)
}
