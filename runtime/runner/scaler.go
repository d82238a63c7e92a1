package runner

import (
	"context"
	"time"

	"go.uber.org/zap"
	"k8s.io/apimachinery/pkg/types"
	autoscalerconfig "knative.dev/serving/pkg/autoscaler/config"

	"knative.dev/serving/pkg/autoscaler/aggregation"
	"knative.dev/serving/pkg/autoscaler/metrics"
	"knative.dev/serving/pkg/autoscaler/scaling"
	"knative.dev/serving/pkg/resources"
)

// Knative's intervals: a sample a second (a bucket's size), a decision every two.
const (
	sampleInterval   = autoscalerconfig.BucketSize
	samplesADecision = 2
)

// namespace stands in Knative's keys, where a cluster has the namespace of the revision.
const namespace = "local"

// trace is the least load that counts as load. Knative rounds averages down to six digits; the short calls of a quiet local function would
// vanish in that, and with them the function, long before its window is over.
const trace = 1e-6

// window is a bucket type of Knative's aggregation package.
type window interface {
	Record(now time.Time, value float64)
	WindowAverage(now time.Time) float64
}

// scaler decides how many instances a revision should have: Knative's autoscaler on our own counters, then Knative's rules for the way
// to zero. One goroutine calls record and recommend; the rest belongs to whoever holds the function's lock.
type scaler struct {
	policy policy
	unit   scaling.UniScaler
	ready  func() int

	concurrency, panicConcurrency, rps, panicRPS window
	lastBusy                                     time.Time

	// Guarded by the function's lock.
	active bool      // the revision had load within the stable window
	since  time.Time // when active changed
}

var (
	_ metrics.MetricClient       = (*scaler)(nil)
	_ resources.EndpointsCounter = (*scaler)(nil)
)

// newScaler makes the scaler of a revision that becomes active at now. ready counts its ready instances.
func newScaler(p policy, revision string, now time.Time, ready func() int) *scaler {
	s := &scaler{policy: p, ready: ready, active: true, since: now}
	bucket := func(width time.Duration) window {
		if p.weighted {
			return aggregation.NewWeightedFloat64Buckets(width, sampleInterval)
		}
		return aggregation.NewTimedFloat64Buckets(width, sampleInterval)
	}
	s.concurrency, s.panicConcurrency = bucket(p.metric.StableWindow), bucket(p.metric.PanicWindow)
	s.rps, s.panicRPS = bucket(p.metric.StableWindow), bucket(p.metric.PanicWindow)
	s.unit = scaling.New(context.Background(), namespace, revision, s, s, &s.policy.decider)
	return s
}

// record takes the load since the last sample: the average of requests present, and the number that came.
func (s *scaler) record(now time.Time, concurrency, arrived float64) {
	s.concurrency.Record(now, concurrency)
	s.panicConcurrency.Record(now, concurrency)
	s.rps.Record(now, arrived)
	s.panicRPS.Record(now, arrived)
	if concurrency > 0 || arrived > 0 {
		s.lastBusy = now
	}
}

// recommend asks Knative's autoscaler. It must not be called with the function's lock held.
func (s *scaler) recommend(now time.Time) (instances int, ok bool) {
	r := s.unit.Scale(nopLogger, now)
	return int(r.DesiredPodCount), r.ScaleValid
}

var nopLogger = zap.NewNop().Sugar()

// settle turns a recommendation into the scale to have now, given the scale so far: within the bounds, and to zero only when the revision
// was active for a stable window, and then inactive for the grace or retention period.
func (s *scaler) settle(now time.Time, recommended, current int) int {
	if n := s.policy.bound(recommended); n > 0 {
		s.wake(now)
		return n
	}
	switch {
	case current == 0:
		return 0
	case s.active && now.Sub(s.since) >= s.policy.metric.StableWindow:
		s.active, s.since = false, now
	case !s.active && now.Sub(s.since) >= s.policy.idleTimeout:
		return 0
	}
	return 1
}

// wake marks the revision active.
func (s *scaler) wake(now time.Time) {
	if !s.active {
		s.active, s.since = true, now
	}
}

// StableAndPanicConcurrency implements metrics.MetricClient.
func (s *scaler) StableAndPanicConcurrency(_ types.NamespacedName, now time.Time) (stable, panicking float64, err error) {
	return s.atLeastTrace(now, s.concurrency.WindowAverage(now)), s.panicConcurrency.WindowAverage(now), nil
}

// StableAndPanicRPS implements metrics.MetricClient.
func (s *scaler) StableAndPanicRPS(_ types.NamespacedName, now time.Time) (stable, panicking float64, err error) {
	return s.atLeastTrace(now, s.rps.WindowAverage(now)), s.panicRPS.WindowAverage(now), nil
}

func (s *scaler) atLeastTrace(now time.Time, stable float64) float64 {
	if !s.lastBusy.IsZero() && now.Sub(s.lastBusy) < s.policy.metric.StableWindow {
		return max(stable, trace)
	}
	return stable
}

// ReadyCount implements resources.EndpointsCounter.
func (s *scaler) ReadyCount() (int, error) { return s.ready(), nil }

// NotReadyCount implements resources.EndpointsCounter. The autoscaler does not use it.
func (s *scaler) NotReadyCount() (int, error) { return 0, nil }

// meter integrates the number of requests present over time, as Knative's queue proxy does. The function's lock guards it.
type meter struct {
	last    time.Time
	present int
	area    float64 // request seconds since the last sample
	arrived int
	from    time.Time
}

// advance accounts for the time until now.
func (m *meter) advance(now time.Time) {
	if d := now.Sub(m.last); d > 0 {
		m.area += d.Seconds() * float64(m.present)
		m.last = now
	}
}

func (m *meter) enter(now time.Time) {
	m.advance(now)
	m.present++
	m.arrived++
}

func (m *meter) leave(now time.Time) {
	m.advance(now)
	m.present--
}

// reset begins anew with the given number of requests present.
func (m *meter) reset(now time.Time, present int) { *m = meter{last: now, from: now, present: present} }

// sample gives the average number of requests present and the number that arrived each sample interval since the last sample.
func (m *meter) sample(now time.Time) (concurrency, arrived float64) {
	m.advance(now)
	if d := now.Sub(m.from).Seconds(); d > 0 {
		concurrency = m.area / d
		arrived = float64(m.arrived) / max(d/sampleInterval.Seconds(), 1)
	}
	m.area, m.arrived, m.from = 0, 0, now
	return concurrency, arrived
}
