package outbox

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

var (
	pendingDesc = prometheus.NewDesc("oaas_outbox_pending", "Events that wait in the outboxes of this process.", nil, nil)
	queueDesc   = prometheus.NewDesc("odgm_events_queue_len", "The same as oaas_outbox_pending, under the name of OaaS-RS.", nil, nil)
	lagDesc     = prometheus.NewDesc("oaas_outbox_lag_seconds", "Age of the oldest event that no target has accepted yet.", nil, nil)
)

// metrics are those of all deliverers of one registerer: numbers of events are added up, the lag is that of the worst. Nil is none.
type metrics struct {
	deliveries *prometheus.CounterVec
	retries    prometheus.Counter
	dead       prometheus.Counter
	drops      prometheus.Counter

	mu       sync.Mutex
	outboxes map[*Outbox]struct{}
}

var _ prometheus.Collector = (*metrics)(nil)

// metricsOf gives the metrics of a registerer, which the first deliverer registers.
func metricsOf(r prometheus.Registerer) (*metrics, error) {
	if r == nil {
		return nil, nil
	}
	m := &metrics{
		deliveries: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oaas_outbox_delivered_total", Help: "Events that a target accepted, by kind of target.",
		}, []string{"kind"}),
		retries:  prometheus.NewCounter(prometheus.CounterOpts{Name: "oaas_outbox_retries_total", Help: "Attempts that failed and will be repeated."}),
		dead:     prometheus.NewCounter(prometheus.CounterOpts{Name: "oaas_outbox_dead_letters_total", Help: "Events moved to the dead-letter list."}),
		drops:    prometheus.NewCounter(prometheus.CounterOpts{Name: "odgm_events_queue_drops_total", Help: "The same as oaas_outbox_dead_letters_total, under the name of OaaS-RS."}),
		outboxes: map[*Outbox]struct{}{},
	}
	err := r.Register(m)
	if err == nil {
		return m, nil
	}
	if already, ok := errors.AsType[prometheus.AlreadyRegisteredError](err); ok {
		if shared, ok := already.ExistingCollector.(*metrics); ok {
			return shared, nil
		}
	}
	return nil, fmt.Errorf("register outbox metrics: %w", err)
}

func (m *metrics) attach(o *Outbox) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		m.outboxes[o] = struct{}{}
	}
}

func (m *metrics) detach(o *Outbox) {
	if m != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		delete(m.outboxes, o)
	}
}

func (m *metrics) delivered(kind string) {
	if m != nil {
		m.deliveries.WithLabelValues(kind).Inc()
	}
}

func (m *metrics) retried() {
	if m != nil {
		m.retries.Inc()
	}
}

func (m *metrics) buried() {
	if m != nil {
		m.dead.Inc()
		m.drops.Inc()
	}
}

// attached gives the deliverers of now, so that none is asked while the lock is held.
func (m *metrics) attached() []*Outbox {
	m.mu.Lock()
	defer m.mu.Unlock()
	outboxes := make([]*Outbox, 0, len(m.outboxes))
	for o := range m.outboxes {
		outboxes = append(outboxes, o)
	}
	return outboxes
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(descs chan<- *prometheus.Desc) {
	m.deliveries.Describe(descs)
	m.retries.Describe(descs)
	m.dead.Describe(descs)
	m.drops.Describe(descs)
	descs <- pendingDesc
	descs <- queueDesc
	descs <- lagDesc
}

// Collect implements prometheus.Collector. The gauges are taken when somebody looks; a shard that is just being closed counts as empty.
func (m *metrics) Collect(out chan<- prometheus.Metric) {
	m.deliveries.Collect(out)
	m.retries.Collect(out)
	m.dead.Collect(out)
	m.drops.Collect(out)
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	pending, lag := uint64(0), time.Duration(0)
	for _, o := range m.attached() {
		stats, err := o.Stats(ctx)
		if err != nil {
			o.cfg.Logger.Debug("metrics of outbox", "shard", o.cfg.Name, "error", err)
			continue
		}
		pending += stats.Pending
		lag = max(lag, stats.Lag)
	}
	out <- prometheus.MustNewConstMetric(pendingDesc, prometheus.GaugeValue, float64(pending))
	out <- prometheus.MustNewConstMetric(queueDesc, prometheus.GaugeValue, float64(pending))
	out <- prometheus.MustNewConstMetric(lagDesc, prometheus.GaugeValue, lag.Seconds())
}
