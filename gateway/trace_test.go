package gateway

import (
	"net/http"
	"strings"
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	oteltrace "go.opentelemetry.io/otel/trace"
	"go.opentelemetry.io/otel/trace/noop"

	"github.com/hpcclab/oaas-go/api/function"
)

const (
	traceID     = "4bf92f3577b34da6a3ce929d0e0e4736"
	traceparent = "Traceparent: 00-" + traceID + "-00f067aa0ba902b7-01"
)

// seenTraces gives a method that tells which traceparent it got.
func seenTraces(seen chan string) map[string]method {
	return map[string]method{"see": func(q *http.Request, _ *function.Call) (*function.Reply, error) {
		seen <- q.Header.Get(function.HeaderTraceparent)
		return &function.Reply{}, nil
	}}
}

func TestSpans(t *testing.T) {
	spans := tracetest.NewSpanRecorder()
	provider := trace.NewTracerProvider(trace.WithSpanProcessor(spans))
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	seen := make(chan string, 1)
	r := newRig(t, rigOptions{methods: seenTraces(seen)})
	r.must(http.StatusOK, http.MethodPost, record0+"/objects/o/invokes/see", "", traceparent)
	if got := <-seen; !strings.HasPrefix(got, "00-"+traceID) {
		t.Errorf("the function was told %q", got)
	}
	var server trace.ReadOnlySpan
	until(t, "the span has ended", func() bool {
		for _, s := range spans.Ended() {
			if s.SpanKind() == oteltrace.SpanKindServer {
				server = s
			}
		}
		return server != nil
	})
	if server.Name() != "POST /api/class/{cls}/{pid}/objects/{oid}/invokes/{func}" || server.SpanContext().TraceID().String() != traceID ||
		server.Parent().SpanID().String() != "00f067aa0ba902b7" || server.Status().Code == codes.Error {
		t.Errorf("span %+v", server)
	}
	attributes := attribute.NewSet(server.Attributes()...)
	if status, _ := attributes.Value("http.response.status_code"); status.AsInt64() != 200 {
		t.Errorf("attributes %v", server.Attributes())
	}
}

func TestTracesPassThroughWhileTracingIsOff(t *testing.T) {
	before := otel.GetTracerProvider()
	otel.SetTracerProvider(noop.NewTracerProvider())
	t.Cleanup(func() { otel.SetTracerProvider(before) })
	seen := make(chan string, 1)
	r := newRig(t, rigOptions{methods: seenTraces(seen)})
	if r.gateway.tracer != nil {
		t.Error("spans are made for nobody")
	}
	r.must(http.StatusOK, http.MethodPost, record0+"/objects/o/invokes/see", "", traceparent)
	if got := <-seen; !strings.HasPrefix(got, "00-"+traceID) {
		t.Errorf("the function was told %q", got)
	}
}
