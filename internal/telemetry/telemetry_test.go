package telemetry

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"
	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"go.uber.org/goleak"
	"google.golang.org/grpc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func env(pairs map[string]string) func(string) string {
	return func(name string) string { return pairs[name] }
}

func TestWithoutAnEndpointNothingRuns(t *testing.T) {
	for _, e := range []map[string]string{
		nil,
		{EnvEndpoint: "http://127.0.0.1:1", EnvTracesEnabled: "false"},
		{EnvEndpoint: "http://127.0.0.1:1", EnvTracesEnabled: "0"},
	} {
		shutdown, err := Setup(t.Context(), "test", env(e))
		if err != nil {
			t.Fatal(err)
		}
		if _, off := otel.GetTracerProvider().(noop.TracerProvider); !off {
			t.Errorf("with %v the provider is %T", e, otel.GetTracerProvider())
		}
		if err := shutdown(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// receiver is a collector that keeps what it gets.
type receiver struct {
	collector.UnimplementedTraceServiceServer
	mu    sync.Mutex
	names []string
}

func (r *receiver) Export(_ context.Context, q *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, resource := range q.GetResourceSpans() {
		for _, attr := range resource.GetResource().GetAttributes() {
			r.names = append(r.names, attr.GetKey()+"="+attr.GetValue().GetStringValue())
		}
		for _, scope := range resource.GetScopeSpans() {
			for _, span := range scope.GetSpans() {
				r.names = append(r.names, span.GetName())
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

func TestSpansReachTheCollector(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	got := &receiver{}
	server := grpc.NewServer()
	collector.RegisterTraceServiceServer(server, got)
	var wg sync.WaitGroup
	wg.Go(func() { _ = server.Serve(l) })
	defer wg.Wait()
	defer server.Stop()

	before := otel.GetTracerProvider()
	defer otel.SetTracerProvider(before)
	shutdown, err := Setup(t.Context(), "named-otherwise", env(map[string]string{EnvEndpoint: l.Addr().String(), EnvServiceName: "svc"}))
	if err != nil {
		t.Fatal(err)
	}
	ctx, span := otel.Tracer("test").Start(t.Context(), "work")
	carrier := propagation.MapCarrier{}
	otel.GetTextMapPropagator().Inject(ctx, carrier)
	if !strings.Contains(carrier["traceparent"], span.SpanContext().TraceID().String()) {
		t.Errorf("propagated %v", carrier)
	}
	span.End()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	if err := shutdown(ctx); err != nil {
		t.Fatal(err)
	}
	if names := strings.Join(got.names, " "); names != "service.name=svc work" {
		t.Errorf("the collector got %q", names)
	}
}

func TestSamplers(t *testing.T) {
	for name, want := range map[string]string{
		"":                         "AlwaysOnSampler",
		"always_on":                "AlwaysOnSampler",
		"parentbased_always_on":    "AlwaysOnSampler",
		"always_off":               "AlwaysOffSampler",
		"parentbased_always_off":   "AlwaysOffSampler",
		"traceidratio":             "TraceIDRatioBased{0.25}",
		"parentbased_traceidratio": "TraceIDRatioBased{0.25}",
	} {
		sampler, err := samplerOf(env(map[string]string{EnvSampler: name, EnvSamplerArg: "0.25"}))
		if err != nil {
			t.Fatal(err)
		}
		if got := sampler.Description(); !strings.HasPrefix(got, "ParentBased{root:"+want) {
			t.Errorf("%q is %s", name, got)
		}
	}
	if sampler, err := samplerOf(env(map[string]string{EnvSampler: "traceidratio"})); err != nil || !strings.Contains(sampler.Description(), "{0.1}") {
		t.Errorf("default ratio: %v %v", sampler, err)
	}
	// A caller that is sampled is followed, whatever the ratio.
	sampler, err := samplerOf(env(map[string]string{EnvSampler: "parentbased_traceidratio", EnvSamplerArg: "0"}))
	if err != nil {
		t.Fatal(err)
	}
	parent := trace.NewSpanContext(trace.SpanContextConfig{TraceID: trace.TraceID{1}, SpanID: trace.SpanID{1}, TraceFlags: trace.FlagsSampled, Remote: true})
	for ctx, want := range map[context.Context]sdk.SamplingDecision{
		trace.ContextWithSpanContext(t.Context(), parent): sdk.RecordAndSample, t.Context(): sdk.Drop,
	} {
		if got := sampler.ShouldSample(sdk.SamplingParameters{ParentContext: ctx, TraceID: trace.TraceID{1}}); got.Decision != want {
			t.Errorf("decision %v, want %v", got.Decision, want)
		}
	}
}

func TestBadEnvironment(t *testing.T) {
	for _, e := range []map[string]string{
		{EnvTracesEnabled: "perhaps"},
		{EnvEndpoint: "ftp://host"},
		{EnvTracesEndpoint: "unix:///socket"},
		{EnvEndpoint: "host:1", EnvSampler: "sometimes"},
		{EnvEndpoint: "host:1", EnvSampler: "traceidratio", EnvSamplerArg: "2"},
		{EnvEndpoint: "host:1", EnvSampler: "traceidratio", EnvSamplerArg: "NaN"},
		{EnvEndpoint: "host:1", EnvSampler: "traceidratio", EnvSamplerArg: "half"},
	} {
		if _, err := Setup(t.Context(), "test", env(e)); err == nil || !strings.Contains(err.Error(), "allowed are") {
			t.Errorf("%v: %v", e, err)
		}
	}
	for name, value := range map[string]string{EnvLogFormat: "xml", EnvLogLevel: "loud"} {
		if _, err := Logger(&bytes.Buffer{}, env(map[string]string{name: value})); err == nil || !strings.Contains(err.Error(), value) {
			t.Errorf("%s=%s: %v", name, value, err)
		}
	}
}

func TestLogger(t *testing.T) {
	for _, c := range []struct {
		env   map[string]string
		level slog.Level
	}{
		{nil, slog.LevelInfo},
		{map[string]string{EnvLogLevel: "DEBUG"}, slog.LevelDebug},
		{map[string]string{EnvLogLevel: "error", EnvRustLog: "debug"}, slog.LevelError},
		{map[string]string{EnvRustLog: "h2=error,warn"}, slog.LevelWarn},
		{map[string]string{EnvRustLog: "trace"}, slog.LevelDebug},
		{map[string]string{EnvRustLog: "oprc=debug"}, slog.LevelInfo},
	} {
		log, err := Logger(&bytes.Buffer{}, env(c.env))
		if err != nil {
			t.Fatal(err)
		}
		if !log.Enabled(t.Context(), c.level) || log.Enabled(t.Context(), c.level-1) {
			t.Errorf("%v: not level %s", c.env, c.level)
		}
	}
	var out bytes.Buffer
	log, err := Logger(&out, env(map[string]string{EnvLogFormat: "json"}))
	if err != nil {
		t.Fatal(err)
	}
	log.Info("hello", "n", 1)
	var record map[string]any
	if err := json.Unmarshal(out.Bytes(), &record); err != nil || record["msg"] != "hello" {
		t.Errorf("%s: %v", out.String(), err)
	}
}
