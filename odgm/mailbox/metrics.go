package mailbox

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// Reasons of refusals, as the metric names them.
const (
	reasonBusy     = "busy"
	reasonDeadline = "deadline"
	reasonLoop     = "loop"
	reasonStale    = "stale"
)

type metrics struct {
	waiting prometheus.Gauge
	seconds prometheus.Histogram
	refused *prometheus.CounterVec
}

func newMetrics(r prometheus.Registerer) *metrics {
	return &metrics{
		waiting: register(r, prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "oaas_mailbox_waiting", Help: "Calls and writes that wait for the turn of an object.",
		})),
		seconds: register(r, prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "oaas_mailbox_wait_seconds", Help: "How long those waited for the turn of an object that had to wait at all.",
			Buckets: prometheus.ExponentialBuckets(0.0001, 4, 10),
		})),
		refused: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oaas_mailbox_rejected_total", Help: "Calls and writes that got no turn, by reason: busy, deadline, loop, stale.",
		}, []string{"reason"})),
	}
}

func (m *metrics) rejected(reason string) { m.refused.WithLabelValues(reason).Inc() }

// register gives the collector that is registered: the new one, or the equal one of a second set of mailboxes in the same process.
func register[C prometheus.Collector](r prometheus.Registerer, collector C) C {
	if r == nil {
		return collector
	}
	if err := r.Register(collector); err != nil {
		if known, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
			if same, ok := known.ExistingCollector.(C); ok {
				return same
			}
		}
	}
	return collector
}
