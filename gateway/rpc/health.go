package rpc

import (
	"context"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	healthpb "google.golang.org/grpc/health/grpc_health_v1"
	"google.golang.org/grpc/status"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// health serves grpc.health.v1: the services serve when the grid does.
type health struct {
	healthpb.UnimplementedHealthServer
	grid     Grid
	stopping <-chan struct{}
}

// healthServices are the names that can be asked for; the empty one is the server as a whole.
var healthServices = []string{"", oprc.DataService_ServiceDesc.ServiceName, oprc.OprcFunction_ServiceDesc.ServiceName}

// healthEvery is how often a watched status is looked at.
const healthEvery = 500 * time.Millisecond

func (h *health) status(service string) (healthpb.HealthCheckResponse_ServingStatus, bool) {
	known := false
	for _, name := range healthServices {
		known = known || name == service
	}
	if !known {
		return healthpb.HealthCheckResponse_SERVICE_UNKNOWN, false
	}
	select {
	case <-h.stopping:
		return healthpb.HealthCheckResponse_NOT_SERVING, true
	default:
	}
	if h.grid.Ready() != nil {
		return healthpb.HealthCheckResponse_NOT_SERVING, true
	}
	return healthpb.HealthCheckResponse_SERVING, true
}

// Check gives the status of a service.
func (h *health) Check(_ context.Context, r *healthpb.HealthCheckRequest) (*healthpb.HealthCheckResponse, error) {
	now, known := h.status(r.GetService())
	if !known {
		return nil, status.Errorf(codes.NotFound, "unknown service %q; known are %q", r.GetService(), healthServices[1:])
	}
	return &healthpb.HealthCheckResponse{Status: now}, nil
}

// List gives the status of every service.
func (h *health) List(context.Context, *healthpb.HealthListRequest) (*healthpb.HealthListResponse, error) {
	all := &healthpb.HealthListResponse{Statuses: map[string]*healthpb.HealthCheckResponse{}}
	for _, name := range healthServices {
		now, _ := h.status(name)
		all.Statuses[name] = &healthpb.HealthCheckResponse{Status: now}
	}
	return all, nil
}

// Watch sends the status of a service, and again whenever it changes, until the client goes or the server stops.
func (h *health) Watch(r *healthpb.HealthCheckRequest, out grpc.ServerStreamingServer[healthpb.HealthCheckResponse]) error {
	ticker := time.NewTicker(healthEvery)
	defer ticker.Stop()
	last := healthpb.HealthCheckResponse_UNKNOWN
	for {
		now, _ := h.status(r.GetService())
		if now != last {
			if err := out.Send(&healthpb.HealthCheckResponse{Status: now}); err != nil {
				return err
			}
			last = now
		}
		select {
		case <-out.Context().Done():
			return status.FromContextError(out.Context().Err()).Err()
		case <-h.stopping:
			if last != healthpb.HealthCheckResponse_NOT_SERVING && last != healthpb.HealthCheckResponse_SERVICE_UNKNOWN {
				return out.Send(&healthpb.HealthCheckResponse{Status: healthpb.HealthCheckResponse_NOT_SERVING})
			}
			return nil
		case <-ticker.C:
		}
	}
}
