package invoke

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

type metrics struct {
	calls           *prometheus.CounterVec
	callSeconds     *prometheus.HistogramVec
	functionSeconds *prometheus.HistogramVec
	pending         *prometheus.GaugeVec

	// What calls look up each time; prometheus would hash their labels again.
	ended   rows[ending, ended]
	methods rows[methodKey, prometheus.Observer]
}

type methodKey struct{ class, method string }

type ending struct {
	methodKey
	outcome string
}

// ended counts calls of a method that ended alike.
type ended struct {
	count   prometheus.Counter
	seconds prometheus.Observer
}

// call records the end of a call.
func (m *metrics) call(class, method, outcome string, took time.Duration) {
	key := ending{methodKey{class, method}, outcome}
	row, ok := m.ended.get(key)
	if !ok {
		row = m.ended.put(key, ended{m.calls.WithLabelValues(class, method, outcome), m.callSeconds.WithLabelValues(class, method)})
	}
	row.count.Inc()
	row.seconds.Observe(took.Seconds())
}

// function records the end of an exchange with a function.
func (m *metrics) function(class, method string, took time.Duration) {
	key := methodKey{class, method}
	row, ok := m.methods.get(key)
	if !ok {
		row = m.methods.put(key, m.functionSeconds.WithLabelValues(class, method))
	}
	row.Observe(took.Seconds())
}

func newMetrics(r prometheus.Registerer) *metrics {
	buckets := prometheus.ExponentialBuckets(0.0005, 2.5, 13)
	return &metrics{
		calls: register(r, prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oaas_calls_total", Help: "Calls of methods and stateless functions, by outcome: OK or the code of the failure.",
		}, []string{"class", "method", "outcome"})),
		callSeconds: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "oaas_call_seconds", Help: "Time of calls, with waiting and commit.", Buckets: buckets,
		}, []string{"class", "method"})),
		functionSeconds: register(r, prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "oaas_function_seconds", Help: "Time from request to answer of functions, one attempt.", Buckets: buckets,
		}, []string{"class", "method"})),
		pending: register(r, prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "oaas_invocations_pending",
			Help: "Asynchronous calls that run or are about to run here; when there are more than a shard queues in memory, the others wait on disk.",
		}, []string{"class", "partition"})),
	}
}

// register gives the collector that is registered: the new one, or the equal one of a second executor in the same process.
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
