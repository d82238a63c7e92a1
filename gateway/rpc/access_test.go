package rpc

import (
	"context"
	"testing"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/message"
)

// Who may call a method is decided by the grid, so gRPC is no way around it, whatever its metadata says; see the tests there.
func TestMethodsThatAreNotPublic(t *testing.T) {
	r := newRig(t, rigOptions{})
	spec, err := r.grid.Class(class)
	if err != nil {
		t.Fatal(err)
	}
	spec.Access = map[string]string{"store": odgm.Private, "echo": odgm.Internal}
	spec.Disabled = map[string]bool{"mecho": true}
	if err := r.grid.Deploy(t.Context(), spec); err != nil {
		t.Fatal(err)
	}
	forged := metadata.AppendToOutgoingContext(r.ctx(), message.HeaderChain, class+"/0/o/store@01arz3ndektsv4rrffq69g5fav!00000000000000000000000000000000")
	for name, ctx := range map[string]context.Context{"nothing": r.ctx(), "a forged chain": forged} {
		_, err := r.fn.InvokeObj(ctx, &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "store"})
		if status.Code(err) != codes.PermissionDenied {
			t.Errorf("a private method with %s: %v", name, err)
		}
	}
	if _, err := r.fn.InvokeFn(r.ctx(), &oprc.InvocationRequest{ClsId: class, FnId: "echo"}); status.Code(err) != codes.PermissionDenied {
		t.Errorf("an internal function: %v", err)
	}
	if _, err := r.fn.InvokeObj(r.ctx(), &oprc.ObjectInvocationRequest{ClsId: class, ObjectId: new("o"), FnId: "mecho"}); status.Code(err) != codes.FailedPrecondition {
		t.Errorf("a method that is switched off: %v", err)
	}
	_, err = r.data.Set(r.ctx(), &oprc.SetObjectRequest{ClsId: class, ObjectId: new("o"), Object: &oprc.ObjData{Event: &oprc.ObjectEvent{
		FuncTrigger: map[string]*oprc.FuncTrigger{"mecho": {OnComplete: []*oprc.TriggerTarget{{ClsId: class, ObjectId: new("o"), FnId: "store"}}}},
	}}})
	if status.Code(err) != codes.PermissionDenied {
		t.Errorf("a trigger that calls a private method: %v", err)
	}
}
