package runner

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/pkg/kmap"
	"knative.dev/serving/pkg/apis/autoscaling"
	autoscalingv1alpha1 "knative.dev/serving/pkg/apis/autoscaling/v1alpha1"
	autoscalerconfig "knative.dev/serving/pkg/autoscaler/config"
	"knative.dev/serving/pkg/autoscaler/scaling"
	kpa "knative.dev/serving/pkg/reconciler/autoscaling/kpa/resources"
	kparesources "knative.dev/serving/pkg/reconciler/autoscaling/resources"

	"github.com/hpcclab/oaas-go/api/fault"
)

// policy is what the annotations of a revision come to, computed by Knative's own code from Knative's own defaults.
type policy struct {
	decider     scaling.DeciderSpec
	metric      autoscalingv1alpha1.MetricSpec
	weighted    bool          // weighted-exponential averages instead of linear ones
	min, max    int           // bounds of the scale; max 0 = none
	idleTimeout time.Duration // from inactive to the end of the last instance: the longer of grace and retention period
}

// annotations are the keys that a function may carry, each with its older spelling.
var annotations = []kmap.KeyPriority{
	autoscaling.ClassAnnotation, autoscaling.MinScaleAnnotation, autoscaling.MaxScaleAnnotation, autoscaling.InitialScaleAnnotation,
	autoscaling.ActivationScale, autoscaling.MetricAnnotation, autoscaling.TargetAnnotation, autoscaling.TargetUtilizationPercentageAnnotation,
	autoscaling.TargetBurstCapacityAnnotation, autoscaling.WindowAnnotation, autoscaling.PanicWindowPercentageAnnotation,
	autoscaling.PanicThresholdPercentageAnnotation, autoscaling.ScaleDownDelayAnnotation,
	autoscaling.ScaleToZeroPodRetentionPeriodAnnotation, autoscaling.MetricAggregationAlgorithmAnnotation,
}

// newPolicy validates the scaling of a spec. Its errors name the key.
func newPolicy(spec Spec, grace time.Duration) (policy, error) {
	config, err := autoscalerconfig.NewConfigFromMap(nil)
	if err != nil {
		return policy{}, fault.Wrap(fault.Internal, err, "autoscaler defaults")
	}
	config.ScaleToZeroGracePeriod = grace
	keys, err := spec.annotations()
	if err != nil {
		return policy{}, err
	}
	if err := autoscaling.ValidateAnnotations(context.Background(), config, keys); err != nil {
		return policy{}, fault.New(fault.InvalidArgument, "function %s: scaling: %s", spec.Name, strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	pa := &autoscalingv1alpha1.PodAutoscaler{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: spec.Name, Annotations: keys},
		Spec: autoscalingv1alpha1.PodAutoscalerSpec{
			ContainerConcurrency: int64(spec.Concurrency), Reachability: autoscalingv1alpha1.ReachabilityReachable,
		},
	}
	low, high := pa.ScaleBounds(config)
	metric := kparesources.MakeMetric(pa, "", config)
	p := policy{
		decider: kpa.MakeDecider(pa, config).Spec, metric: metric.Spec,
		weighted: metric.AggregationAlgorithm() == autoscaling.MetricAggregationAlgorithmWeightedExponential,
		min:      int(low), max: int(high), idleTimeout: grace,
	}
	if d, ok := pa.ScaleToZeroPodRetention(); ok {
		p.idleTimeout = max(grace, d)
	}
	return p, nil
}

// annotations gives the keys as Knative would find them on the revision: those of the user, over those that the plain fields stand for.
func (s Spec) annotations() (map[string]string, error) {
	for _, key := range slices.Sorted(maps.Keys(s.Scaling)) {
		if !slices.ContainsFunc(annotations, func(k kmap.KeyPriority) bool { return slices.Contains(k, key) }) {
			return nil, fault.New(fault.InvalidArgument, "function %s: scaling: unknown key %q: want one of %s", s.Name, key, annotationNames())
		}
	}
	if key, class, ok := autoscaling.ClassAnnotation.Get(s.Scaling); ok && class != autoscaling.KPA {
		return nil, fault.New(fault.InvalidArgument, "function %s: scaling: %s: %q is not supported: want %s, or leave it out",
			s.Name, key, class, autoscaling.KPA)
	}
	keys := maps.Clone(s.Scaling)
	if keys == nil {
		keys = map[string]string{}
	}
	keys[autoscaling.ClassAnnotationKey] = autoscaling.KPA
	if _, _, ok := autoscaling.MinScaleAnnotation.Get(keys); !ok && s.MinScale != 0 {
		keys[autoscaling.MinScaleAnnotationKey] = strconv.Itoa(s.MinScale)
	}
	if _, _, ok := autoscaling.MaxScaleAnnotation.Get(keys); !ok && s.MaxScale != 0 {
		keys[autoscaling.MaxScaleAnnotationKey] = strconv.Itoa(s.MaxScale)
	}
	return keys, nil
}

func annotationNames() string {
	names := make([]string, len(annotations))
	for i, k := range annotations {
		names[i] = k[0]
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// bound keeps a scale within min and max.
func (p policy) bound(n int) int {
	n = max(n, p.min)
	if p.max > 0 {
		n = min(n, p.max)
	}
	return n
}

// initial gives how many instances a new revision begins with.
func (p policy) initial() int { return p.bound(max(1, int(p.decider.InitialScale))) }

// activation gives how many instances a function at zero starts when a request comes.
func (p policy) activation() int { return p.bound(max(1, int(p.decider.ActivationScale))) }
