package rpc

import (
	"testing"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/codes"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	"go.opentelemetry.io/otel/trace/noop"
	"google.golang.org/grpc/metadata"

	"github.com/hpcclab/oaas-go/api/oprc"
)

// While tracing is on, every call is a span of its client's trace; only the server's own failures are errors.
func TestSpans(t *testing.T) {
	exporter := tracetest.NewInMemoryExporter()
	provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(exporter))
	otel.SetTracerProvider(provider)
	defer otel.SetTracerProvider(noop.NewTracerProvider())
	r := newRig(t, rigOptions{})
	ctx := metadata.AppendToOutgoingContext(r.ctx(), "traceparent", "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
	_, _ = r.data.Get(ctx, &oprc.SingleObjectRequest{ClsId: class})
	_, _ = collect(r.data.ListValues(ctx, &oprc.ListValuesRequest{ClsId: class, ObjectId: new("o")}))
	until(t, "two spans", func() bool { return len(exporter.GetSpans()) >= 2 })
	for i, name := range []string{"oprc.DataService/Get", "oprc.DataService/ListValues"} {
		span := exporter.GetSpans()[i]
		if span.Name != name || span.Parent.SpanID().String() != "00f067aa0ba902b7" || span.SpanContext.TraceID() != span.Parent.TraceID() {
			t.Errorf("span is %s of %v", span.Name, span.Parent)
		}
		if span.Status.Code != codes.Unset {
			t.Errorf("%s is an error: %v", span.Name, span.Status)
		}
	}
}
