package invoke

import (
	"testing"

	"go.opentelemetry.io/otel"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/record"
)

func TestOneTraceFromCallerToFunction(t *testing.T) {
	recorder := tracetest.NewSpanRecorder()
	provider := sdk.NewTracerProvider(sdk.WithSpanProcessor(recorder))
	former := otel.GetTracerProvider()
	otel.SetTracerProvider(provider)
	t.Cleanup(func() { otel.SetTracerProvider(former) })

	w := newWorld(t)
	var parents []string
	w.reply("add", func(r *request) *function.Reply {
		parents = append(parents, r.meta.Traceparent)
		reply := add(r)
		reply.Events = []function.Event{{Type: "added"}}
		return reply
	})
	ctx, root := provider.Tracer("test").Start(t.Context(), "root")
	trace := root.SpanContext().TraceID().String()
	if _, err := w.invoke(ctx, "x", "add"); err != nil {
		t.Fatal(err)
	}
	a := w.async()
	inv, err := a.Submit(ctx, call.Call{Ref: ref("x"), Method: "add"})
	if err != nil {
		t.Fatal(err)
	}
	await(t, a, inv.GetId(), record.InvocationState_INVOCATION_STATE_SUCCEEDED)
	root.End()

	spans := map[string]int{}
	for _, s := range recorder.Ended() {
		if s.SpanContext().TraceID().String() != trace {
			t.Errorf("span %s is in another trace", s.Name())
		}
		spans[s.Name()]++
		if s.Name() == "function" {
			want := "00-" + trace + "-" + s.SpanContext().SpanID().String() + "-01"
			if parents[0] != want {
				t.Errorf("the function got traceparent %s, want %s", parents[0], want)
			}
			parents = parents[1:]
		}
	}
	if spans["mailbox"] != 2 || spans["function"] != 2 {
		t.Errorf("spans %v", spans)
	}
	for _, ev := range w.events() {
		if len(ev.GetTraceparent()) != 55 || ev.GetTraceparent()[3:35] != trace {
			t.Errorf("the event has traceparent %q", ev.GetTraceparent())
		}
	}
}
