package endpoint

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/propagation"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/broker/zenoh"
)

// metrics are those of an endpoint.
type metrics struct{ duration *prometheus.HistogramVec }

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	m := &metrics{prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Name: "odgm_zenoh_request_duration_seconds", Help: "Time from a query or publication on Zenoh to its end.",
		Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}, []string{"operation", "code"})}
	if r != nil {
		if err := r.Register(m.duration); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

func (m *metrics) done(operation string, err error, took time.Duration) {
	code := "OK"
	if err != nil {
		code = string(fault.CodeOf(err))
	}
	m.duration.WithLabelValues(operation, code).Observe(took.Seconds())
}

func mapCarrier(m map[string]string) propagation.MapCarrier { return m }

func messagingAttributes(key zenoh.KeyExpr) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("messaging.system", "zenoh"), attribute.String("messaging.destination.name", key.String())}
}
