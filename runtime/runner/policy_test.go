package runner

import (
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/fault"
)

func TestPolicy(t *testing.T) {
	const k = "autoscaling.knative.dev/"
	for name, test := range map[string]struct {
		spec  Spec
		check func(p policy) bool
	}{
		"Knative's defaults": {Spec{}, func(p policy) bool {
			return p.min == 0 && p.max == 0 && p.initial() == 1 && p.activation() == 1 && p.decider.TargetValue == 70 &&
				p.metric.StableWindow == time.Minute && p.metric.PanicWindow == 6*time.Second && p.idleTimeout == time.Second &&
				p.decider.ScalingMetric == "concurrency" && p.decider.PanicThreshold == 2 && p.decider.MaxScaleDownRate == 2
		}},
		"concurrency is the target": {Spec{Concurrency: 10}, func(p policy) bool { return p.decider.TargetValue == 7 }},
		"target above concurrency": {Spec{Concurrency: 10, Scaling: map[string]string{k + "target": "50", k + "target-utilization-percentage": "100"}},
			func(p policy) bool { return p.decider.TargetValue == 10 }},
		"fields":               {Spec{MinScale: 2, MaxScale: 5}, func(p policy) bool { return p.min == 2 && p.max == 5 && p.initial() == 2 }},
		"annotations win":      {Spec{MinScale: 2, MaxScale: 5, Scaling: map[string]string{k + "min-scale": "1", k + "max-scale": "3"}}, func(p policy) bool { return p.min == 1 && p.max == 3 }},
		"older spelling wins":  {Spec{MinScale: 2, Scaling: map[string]string{k + "minScale": "1"}}, func(p policy) bool { return p.min == 1 }},
		"initial":              {Spec{Scaling: map[string]string{k + "initial-scale": "3"}}, func(p policy) bool { return p.initial() == 3 && p.activation() == 1 }},
		"initial within max":   {Spec{MaxScale: 2, Scaling: map[string]string{k + "initial-scale": "3"}}, func(p policy) bool { return p.initial() == 2 }},
		"activation":           {Spec{Scaling: map[string]string{k + "activation-scale": "4"}}, func(p policy) bool { return p.activation() == 4 }},
		"window":               {Spec{Scaling: map[string]string{k + "window": "20s", k + "panic-window-percentage": "50"}}, func(p policy) bool { return p.metric.PanicWindow == 10*time.Second }},
		"least panic window":   {Spec{Scaling: map[string]string{k + "window": "6s", k + "panic-window-percentage": "1"}}, func(p policy) bool { return p.metric.PanicWindow == time.Second }},
		"panic threshold":      {Spec{Scaling: map[string]string{k + "panic-threshold-percentage": "150"}}, func(p policy) bool { return p.decider.PanicThreshold == 1.5 }},
		"rps":                  {Spec{Scaling: map[string]string{k + "metric": "rps", k + "target": "100"}}, func(p policy) bool { return p.decider.ScalingMetric == "rps" && p.decider.TargetValue == 70 }},
		"retention over grace": {Spec{Scaling: map[string]string{k + "scale-to-zero-pod-retention-period": "2m"}}, func(p policy) bool { return p.idleTimeout == 2*time.Minute }},
		"scale-down delay":     {Spec{Scaling: map[string]string{k + "scale-down-delay": "10s"}}, func(p policy) bool { return p.decider.ScaleDownDelay == 10*time.Second }},
		"algorithm":            {Spec{Scaling: map[string]string{k + "metric-aggregation-algorithm": "weightedExponential"}}, func(p policy) bool { return p.weighted }},
		"burst capacity": {Spec{Scaling: map[string]string{k + "target-burst-capacity": "-1", k + "class": "kpa.autoscaling.knative.dev"}},
			func(p policy) bool { return p.decider.TargetBurstCapacity == -1 }},
	} {
		t.Run(name, func(t *testing.T) {
			test.spec.Name = "f"
			p, err := newPolicy(test.spec, time.Second)
			if err != nil {
				t.Fatal(err)
			}
			if !test.check(p) {
				t.Errorf("%+v", p)
			}
		})
	}
}

func TestBadSpecs(t *testing.T) {
	const k = "autoscaling.knative.dev/"
	good := func(change func(s *Spec)) Spec {
		s := Spec{Name: "f", Command: []string{"true"}}
		change(&s)
		return s
	}
	scaling := func(kv ...string) Spec {
		return good(func(s *Spec) {
			s.Scaling = map[string]string{}
			for n := 0; n < len(kv); n += 2 {
				s.Scaling[k+kv[n]] = kv[n+1]
			}
		})
	}
	r := newRunner(t, Config{})
	for _, test := range []struct {
		spec Spec
		want []string // parts of the message
	}{
		{Spec{}, []string{`function name ""`}},
		{good(func(s *Spec) { s.Name = "a/b" }), []string{`"a/b"`}},
		{good(func(s *Spec) { s.Name = "-a" }), []string{`"-a"`}},
		{good(func(s *Spec) { s.Name = strings.Repeat("a", 254) }), []string{"253"}},
		{good(func(s *Spec) { s.Revision = "a b" }), []string{`revision "a b"`}},
		{good(func(s *Spec) { s.Command = nil }), []string{"command is empty"}},
		{good(func(s *Spec) { s.Command = []string{""} }), []string{"command is empty"}},
		{good(func(s *Spec) { s.Command = []string{"a", "b\x00"} }), []string{"NUL"}},
		{good(func(s *Spec) { s.Concurrency = -1 }), []string{"concurrency -1", "1000"}},
		{good(func(s *Spec) { s.Concurrency = 1001 }), []string{"concurrency 1001"}},
		{good(func(s *Spec) { s.StartTimeout = -1 }), []string{"start timeout"}},
		{good(func(s *Spec) { s.Dir = "/does/not/exist" }), []string{`"/does/not/exist"`}},
		{good(func(s *Spec) { s.Dir = "spec.go" }), []string{`"spec.go" is not a folder`}},
		{good(func(s *Spec) { s.Env = map[string]string{"PORT": "1"} }), []string{"PORT", "platform"}},
		{good(func(s *Spec) { s.Env = map[string]string{"K_SERVICE": "1"} }), []string{"K_SERVICE"}},
		{good(func(s *Spec) { s.Env = map[string]string{"A=B": "1"} }), []string{`"A=B"`}},
		{good(func(s *Spec) { s.Env = map[string]string{"": "1"} }), []string{`""`}},
		{good(func(s *Spec) { s.Env = map[string]string{"A": "\x00"} }), []string{"A", "NUL"}},
		{good(func(s *Spec) { s.MinScale = -1 }), []string{k + "min-scale", "-1"}},
		{good(func(s *Spec) { s.MinScale, s.MaxScale = 3, 2 }), []string{"max-scale=2", "min-scale=3"}},
		{scaling("min-scale", "x"), []string{k + "min-scale", "x"}},
		{scaling("max-scale", "-1"), []string{k + "max-scale"}},
		{scaling("window", "5s"), []string{k + "window", "6s"}},
		{scaling("window", "abc"), []string{k + "window", "abc"}},
		{scaling("window", "6.5s"), []string{k + "window"}},
		{scaling("target", "0"), []string{k + "target"}},
		{scaling("target-utilization-percentage", "101"), []string{k + "target-utilization-percentage"}},
		{scaling("target-burst-capacity", "-2"), []string{k + "target-burst-capacity"}},
		{scaling("panic-window-percentage", "0.5"), []string{k + "panic-window-percentage"}},
		{scaling("panic-threshold-percentage", "50"), []string{k + "panic-threshold-percentage"}},
		{scaling("scale-down-delay", "1.5s"), []string{k + "scale-down-delay"}},
		{scaling("scale-to-zero-pod-retention-period", "-1s"), []string{k + "scale-to-zero-pod-retention-period"}},
		{scaling("initial-scale", "0"), []string{k + "initial-scale"}},
		{scaling("activation-scale", "1"), []string{k + "activation-scale"}},
		{scaling("metric", "cpu"), []string{k + "metric", "cpu"}},
		{scaling("metric-aggregation-algorithm", "median"), []string{k + "metric-aggregation-algorithm"}},
		{scaling("class", "hpa.autoscaling.knative.dev"), []string{k + "class", "hpa.autoscaling.knative.dev", "kpa.autoscaling.knative.dev"}},
		{scaling("class", "mine.example.com"), []string{k + "class"}},
		{scaling("windw", "6s"), []string{k + "windw", k + "window"}},
		{good(func(s *Spec) { s.Scaling = map[string]string{"window": "6s"} }), []string{`"window"`, k + "window"}},
	} {
		_, err := r.Deploy(t.Context(), test.spec)
		if fault.CodeOf(err) != fault.InvalidArgument {
			t.Errorf("%+v: %v", test.spec, err)
			continue
		}
		for _, part := range test.want {
			if !strings.Contains(err.Error(), part) {
				t.Errorf("%q does not name %q", err, part)
			}
		}
		if _, ok := r.Function(test.spec.Name); ok {
			t.Errorf("%s is there after %v", test.spec.Name, err)
		}
	}
}

func TestBadConfigs(t *testing.T) {
	for _, c := range []Config{{ScaleToZeroGrace: -1}, {DrainTimeout: -1}, {StopTimeout: -1}, {QueueDepth: -1}, {LogLines: -1}} {
		if r, err := New(c); err == nil {
			_ = r.Close(t.Context())
			t.Errorf("%+v was taken", c)
		}
	}
}
