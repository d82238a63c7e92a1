package rpc

//lint:file-ignore SA1019 clients still ask for reflection by its deprecated version, so it is tested

import (
	"context"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	reflectionv1 "google.golang.org/grpc/reflection/grpc_reflection_v1"
	reflectionv1alpha "google.golang.org/grpc/reflection/grpc_reflection_v1alpha"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/descriptorpb"

	"github.com/hpcclab/oaas-go/api/oprc"
	"github.com/hpcclab/oaas-go/odgm/remote/remotetest"
)

func TestHealth(t *testing.T) {
	stopping := make(chan struct{})
	r := newRig(t, rigOptions{cfg: Config{Stopping: stopping}})
	client := healthpb.NewHealthClient(r.conn)
	check := func(service string) (healthpb.HealthCheckResponse_ServingStatus, error) {
		response, err := client.Check(r.ctx(), &healthpb.HealthCheckRequest{Service: service})
		return response.GetStatus(), err
	}
	for _, service := range []string{"", "oprc.DataService", "oprc.OprcFunction"} {
		if got, err := check(service); err != nil || got != healthpb.HealthCheckResponse_SERVING {
			t.Errorf("%q is %v, %v", service, got, err)
		}
	}
	if _, err := check("oprc.None"); status.Code(err) != codes.NotFound {
		t.Errorf("unknown service gives %v", err)
	}
	list, err := client.List(r.ctx(), &healthpb.HealthListRequest{})
	if err != nil || len(list.GetStatuses()) != 3 {
		t.Errorf("list is %v, %v", list, err)
	}

	var running sync.WaitGroup
	first := make(chan struct{})
	var seen []healthpb.HealthCheckResponse_ServingStatus
	running.Go(func() {
		s, err := client.Watch(r.ctx(), &healthpb.HealthCheckRequest{})
		if err != nil {
			t.Error(err)
			close(first)
			return
		}
		for {
			response, err := s.Recv()
			if err != nil {
				break // the server ends it
			}
			if seen = append(seen, response.GetStatus()); len(seen) == 1 {
				close(first)
			}
		}
	})
	<-first
	close(stopping)
	running.Wait()
	if want := []healthpb.HealthCheckResponse_ServingStatus{healthpb.HealthCheckResponse_SERVING, healthpb.HealthCheckResponse_NOT_SERVING}; !slices.Equal(seen, want) {
		t.Errorf("watched %v", seen)
	}
	if got, err := check(""); err != nil || got != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("while stopping it is %v, %v", got, err)
	}
}

func TestHealthOfClosedGrid(t *testing.T) {
	if remotetest.Remotely() {
		t.Skip("a client serves, whatever becomes of one of its grids")
	}
	r := newRig(t, rigOptions{})
	must(t, 0, r.grid.Close(context.Background()))
	response, err := healthpb.NewHealthClient(r.conn).Check(r.ctx(), &healthpb.HealthCheckRequest{})
	if err != nil || response.GetStatus() != healthpb.HealthCheckResponse_NOT_SERVING {
		t.Errorf("got %v, %v", response, err)
	}
	if _, err := r.data.Get(r.ctx(), &oprc.SingleObjectRequest{ClsId: class, ObjectId: new("o")}); status.Code(err) != codes.Unavailable {
		t.Errorf("closed grid gives %v", err)
	}
}

// Both versions of reflection know the services and give their descriptors.
func TestReflection(t *testing.T) {
	everywhere(t, func(t *testing.T, r *rig) {
		ctx, cancel := context.WithCancel(r.ctx())
		defer cancel()
		s, err := reflectionv1.NewServerReflectionClient(r.conn).ServerReflectionInfo(ctx)
		must(t, 0, err)
		must(t, 0, s.Send(&reflectionv1.ServerReflectionRequest{MessageRequest: &reflectionv1.ServerReflectionRequest_ListServices{}}))
		response, err := s.Recv()
		must(t, 0, err)
		var names []string
		for _, service := range response.GetListServicesResponse().GetService() {
			names = append(names, service.GetName())
		}
		want := "grpc.health.v1.Health grpc.reflection.v1.ServerReflection grpc.reflection.v1alpha.ServerReflection oprc.DataService oprc.OprcFunction"
		if got := strings.Join(names, " "); got != want {
			t.Errorf("services are %s", got)
		}
		alpha, err := reflectionv1alpha.NewServerReflectionClient(r.conn).ServerReflectionInfo(ctx)
		must(t, 0, err)
		must(t, 0, alpha.Send(&reflectionv1alpha.ServerReflectionRequest{
			MessageRequest: &reflectionv1alpha.ServerReflectionRequest_FileContainingSymbol{FileContainingSymbol: "oprc.DataService"},
		}))
		described, err := alpha.Recv()
		must(t, 0, err)
		file := &descriptorpb.FileDescriptorProto{}
		must(t, 0, proto.Unmarshal(described.GetFileDescriptorResponse().GetFileDescriptorProto()[0], file))
		if n := len(file.GetService()[0].GetMethod()); n != 12 {
			t.Errorf("DataService has %d methods", n)
		}
		cancel()
		for { // until the stream has ended
			if _, err := s.Recv(); err != nil {
				break
			}
		}
	})
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	r := newRig(t, rigOptions{cfg: Config{Registerer: registry}})
	r.set("o", "k=1")
	_, _ = r.data.Get(r.ctx(), &oprc.SingleObjectRequest{ClsId: class})
	families, err := registry.Gather()
	must(t, 0, err)
	var got []string
	for _, family := range families {
		for _, m := range family.GetMetric() {
			text := family.GetName()
			for _, label := range m.GetLabel() {
				text += " " + label.GetValue()
			}
			got = append(got, text)
		}
	}
	want := []string{"grpc_request_duration_seconds InvalidArgument /oprc.DataService/Get", "grpc_request_duration_seconds OK /oprc.DataService/Set"}
	if !slices.Equal(got, want) {
		t.Errorf("got %q", got)
	}
}
