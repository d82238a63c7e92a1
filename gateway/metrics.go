package gateway

import (
	"fmt"
	"maps"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics are those of the HTTP server. The label http_route is the template of the path, so that ids do not make new series.
type metrics struct {
	requests *prometheus.CounterVec
	active   *prometheus.GaugeVec
	duration *prometheus.HistogramVec
	errors   *prometheus.CounterVec

	idAttempts, idRejected prometheus.Counter
}

func newMetrics(r prometheus.Registerer) (*metrics, error) {
	route := []string{"http_method", "http_route"}
	outcome := append(route[:2:2], "http_status_code")
	m := &metrics{
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_requests_total", Help: "Requests that were answered.",
		}, route),
		active: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "http_active_connections", Help: "Requests that are being answered.",
		}, route),
		duration: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "http_request_duration_seconds", Help: "Time from the headers of a request to the end of its answer.",
			Buckets: []float64{.0001, .00025, .0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, outcome),
		errors: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "http_errors_total", Help: "Answers with a status of 400 or more.",
		}, outcome),
		idAttempts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_string_id_attempt_total", Help: "Object ids in paths.",
		}),
		idRejected: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gateway_string_id_rejected_total", Help: "Object ids in paths that are not valid.",
		}),
	}
	for _, c := range []prometheus.Collector{m.requests, m.active, m.duration, m.errors, m.idAttempts, m.idRejected} {
		if err := r.Register(c); err != nil {
			return nil, fmt.Errorf("register metrics: %w", err)
		}
	}
	return m, nil
}

// routeMetrics are the metrics of one route, found once and not at each request.
type routeMetrics struct {
	all           *metrics
	method, route string
	requests      prometheus.Counter
	active        prometheus.Gauge

	outcomes atomic.Pointer[map[int]*outcomeMetrics]
	mu       sync.Mutex // of those who replace outcomes
}

type outcomeMetrics struct {
	duration prometheus.Observer
	errors   prometheus.Counter // nil below 400
}

func (m *metrics) of(method, route string) *routeMetrics {
	r := &routeMetrics{
		all: m, method: method, route: route,
		requests: m.requests.WithLabelValues(method, route),
		active:   m.active.WithLabelValues(method, route),
	}
	r.outcomes.Store(&map[int]*outcomeMetrics{})
	return r
}

// done counts an answer.
func (r *routeMetrics) done(status int, took time.Duration) {
	o := (*r.outcomes.Load())[status]
	if o == nil {
		o = r.outcome(status)
	}
	r.requests.Inc()
	o.duration.Observe(took.Seconds())
	if o.errors != nil {
		o.errors.Inc()
	}
}

// outcome makes the metrics of a status that the route gives for the first time.
func (r *routeMetrics) outcome(status int) *outcomeMetrics {
	r.mu.Lock()
	defer r.mu.Unlock()
	known := *r.outcomes.Load()
	if o := known[status]; o != nil {
		return o
	}
	code := strconv.Itoa(status)
	o := &outcomeMetrics{duration: r.all.duration.WithLabelValues(r.method, r.route, code)}
	if status >= 400 {
		o.errors = r.all.errors.WithLabelValues(r.method, r.route, code)
	}
	more := maps.Clone(known)
	more[status] = o
	r.outcomes.Store(&more)
	return o
}
