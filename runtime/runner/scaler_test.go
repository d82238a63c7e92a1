package runner

import (
	"testing"
	"time"
)

// timeline drives a scaler through seconds of load and gives the scale at each decision.
type timeline struct {
	s     *scaler
	now   time.Time
	scale int
}

func newTimeline(t *testing.T, spec Spec, grace time.Duration) *timeline {
	t.Helper()
	spec.Name = "f"
	p, err := newPolicy(spec, grace)
	if err != nil {
		t.Fatal(err)
	}
	l := &timeline{now: time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC), scale: 1}
	l.s = newScaler(p, "f-00001", l.now, func() int { return l.scale })
	return l
}

// pass lets seconds pass with a load, and gives the scale after each decision.
func (l *timeline) pass(seconds int, concurrency, arrived float64) (scales []int) {
	for n := range seconds {
		l.now = l.now.Add(time.Second)
		l.s.record(l.now, concurrency, arrived)
		if n%samplesADecision == 1 {
			if r, ok := l.s.recommend(l.now); ok {
				l.scale = l.s.settle(l.now, r, l.scale)
			}
			scales = append(scales, l.scale)
		}
	}
	return scales
}

func TestScalerFollowsLoad(t *testing.T) {
	l := newTimeline(t, Spec{Concurrency: 10}, time.Second)
	if got := l.pass(70, 35, 100); got[len(got)-1] != 5 { // 35 requests at a time, 7 for each
		t.Errorf("scale %v", got)
	}
	if got := l.pass(120, 7, 100); got[len(got)-1] != 1 {
		t.Errorf("scale down %v", got)
	}
}

func TestScalerPanics(t *testing.T) {
	l := newTimeline(t, Spec{Concurrency: 1}, time.Second)
	l.pass(60, 0.1, 1)
	if got := l.pass(2, 40, 40); got[0] < 5 { // the stable average would want 2
		t.Errorf("scale %v", got)
	}
}

func TestScalerMax(t *testing.T) {
	l := newTimeline(t, Spec{Concurrency: 1, MaxScale: 3}, time.Second)
	if got := l.pass(20, 100, 100); got[len(got)-1] != 3 {
		t.Errorf("scale %v", got)
	}
}

func TestScalerRPS(t *testing.T) {
	l := newTimeline(t, Spec{Scaling: map[string]string{"autoscaling.knative.dev/metric": "rps", "autoscaling.knative.dev/target": "100"}}, time.Second)
	if got := l.pass(70, 0.1, 280); got[len(got)-1] != 4 { // 70 for each
		t.Errorf("scale %v", got)
	}
}

func TestScalerWayToZero(t *testing.T) {
	for name, test := range map[string]struct {
		scaling map[string]string
		grace   time.Duration
		least   time.Duration // idle time before zero
		most    time.Duration
	}{
		"window and grace": {map[string]string{"autoscaling.knative.dev/window": "10s"}, 8 * time.Second, 18 * time.Second, 24 * time.Second},
		"retention": {map[string]string{
			"autoscaling.knative.dev/window": "10s", "autoscaling.knative.dev/scale-to-zero-pod-retention-period": "30s",
		}, 8 * time.Second, 40 * time.Second, 46 * time.Second},
		"scale-down delay": {map[string]string{"autoscaling.knative.dev/window": "10s", "autoscaling.knative.dev/scale-down-delay": "20s"},
			2 * time.Second, 30 * time.Second, 40 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			l := newTimeline(t, Spec{Scaling: test.scaling}, test.grace)
			l.pass(30, 1, 1)
			idle := time.Duration(0)
			for l.scale > 0 && idle < time.Minute {
				l.pass(2, 0, 0)
				idle += 2 * time.Second
			}
			if idle < test.least || idle > test.most {
				t.Errorf("zero after %v", idle)
			}
		})
	}
}

func TestScalerKeepsTheLast(t *testing.T) {
	l := newTimeline(t, Spec{MinScale: 2}, time.Second)
	if got := l.pass(300, 0, 0); got[len(got)-1] != 2 {
		t.Errorf("min-scale 2: %v", got)
	}
	l = newTimeline(t, Spec{Scaling: map[string]string{"autoscaling.knative.dev/window": "1h"}}, time.Second)
	l.pass(2, 0.00001, 1) // a call of 10 µs: Knative's rounding would lose it
	if got := l.pass(3500, 0, 0); got[len(got)-1] != 1 {
		t.Error("one short call did not keep the function for its window")
	}
	if got := l.pass(200, 0, 0); got[len(got)-1] != 0 {
		t.Error("and not longer")
	}
}

func TestMeter(t *testing.T) {
	var m meter
	at := func(ms int) time.Time { return time.Unix(100, 0).Add(time.Duration(ms) * time.Millisecond) }
	m.reset(at(0), 1)
	m.enter(at(250))
	m.leave(at(750))
	m.leave(at(750))
	if c, n := m.sample(at(1000)); c != 1.25 || n != 1 { // 250 ms × 1 + 500 ms × 2
		t.Errorf("%v requests, %v arrived", c, n)
	}
	m.enter(at(1500))
	m.enter(at(1500))
	if c, n := m.sample(at(3000)); c != 1.5 || n != 1 { // two in two seconds
		t.Errorf("%v requests, %v arrived", c, n)
	}
	if c, n := m.sample(at(3000)); c != 0 || n != 0 {
		t.Errorf("%v requests, %v arrived in no time", c, n)
	}
}
