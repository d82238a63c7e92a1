package rpc

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"google.golang.org/grpc/codes"
)

// metrics are those of the gRPC server. Only methods that exist get here, so that labels are bounded.
type metrics struct {
	duration *prometheus.HistogramVec
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "grpc_request_duration_seconds", Help: "Time from the message of a gRPC call to its status.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"grpc_method", "grpc_code"}),
	}
	if r != nil {
		if err := r.Register(m.duration); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) done(method string, code codes.Code, took time.Duration) {
	m.duration.WithLabelValues(method, code.String()).Observe(took.Seconds())
}
