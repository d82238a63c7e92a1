package runner

import (
	"errors"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// instruments are the runner's metrics. What is a state (instances, queue, requests in flight) is counted when it is asked for, so that it
// costs requests nothing.
type instruments struct {
	runner                            *Runner
	coldStarts, restarts              *prometheus.CounterVec
	coldStartSeconds                  *prometheus.HistogramVec
	instances, queueDepth, inFlightOf *prometheus.Desc
}

func newInstruments(r *Runner) *instruments {
	function := []string{"function"}
	return &instruments{
		runner: r,
		coldStarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oaas_function_cold_starts_total", Help: "Starts of a function from zero because a request came.",
		}, function),
		restarts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "oaas_function_restarts_total", Help: "Starts of an instance in place of one that crashed.",
		}, function),
		coldStartSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "oaas_function_cold_start_seconds", Help: "Time from the request that woke a function until an instance was ready.",
			Buckets: []float64{.005, .01, .025, .05, .1, .15, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, function),
		instances:  prometheus.NewDesc("oaas_function_instances", "Instances of a function by state.", []string{"function", "state"}, nil),
		queueDepth: prometheus.NewDesc("oaas_function_queue_depth", "Requests that wait for an instance.", function, nil),
		inFlightOf: prometheus.NewDesc("oaas_function_in_flight", "Requests that instances work on.", function, nil),
	}
}

// collectors gives everything to register.
func (m *instruments) collectors() []prometheus.Collector {
	return []prometheus.Collector{m.coldStarts, m.restarts, m.coldStartSeconds, m}
}

func (m *instruments) register(reg prometheus.Registerer) error {
	if reg == nil {
		return nil
	}
	var errs []error
	for _, c := range m.collectors() {
		errs = append(errs, reg.Register(c))
	}
	return errors.Join(errs...)
}

func (m *instruments) unregister(reg prometheus.Registerer) {
	if reg == nil {
		return
	}
	for _, c := range m.collectors() {
		reg.Unregister(c)
	}
}

func (m *instruments) coldStart(function string, took time.Duration) {
	m.coldStarts.WithLabelValues(function).Inc()
	m.coldStartSeconds.WithLabelValues(function).Observe(took.Seconds())
}

// forget drops the series of a function that was removed.
func (m *instruments) forget(function string) {
	m.coldStarts.DeleteLabelValues(function)
	m.restarts.DeleteLabelValues(function)
	m.coldStartSeconds.DeleteLabelValues(function)
}

// Describe implements prometheus.Collector.
func (m *instruments) Describe(ch chan<- *prometheus.Desc) {
	ch <- m.instances
	ch <- m.queueDepth
	ch <- m.inFlightOf
}

// Collect implements prometheus.Collector.
func (m *instruments) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, n int, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, float64(n), labels...)
	}
	for _, s := range m.runner.Status() {
		gauge(m.instances, s.Ready, s.Name, "ready")
		gauge(m.instances, s.Starting, s.Name, "starting")
		gauge(m.instances, s.Stopping, s.Name, "stopping")
		gauge(m.queueDepth, s.Queued, s.Name)
		gauge(m.inFlightOf, s.InFlight, s.Name)
	}
}
