package e2e

import (
	"context"
	"encoding/hex"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/grpc"
)

// span is what a trace needs of a span; ids are hexadecimal.
type span struct {
	trace, id, parent, name string
}

// spans is an OTLP collector that keeps what it gets.
type spans struct {
	collector.UnimplementedTraceServiceServer

	mu  sync.Mutex
	all map[string]span
}

// Export takes a batch.
func (s *spans) Export(_ context.Context, request *collector.ExportTraceServiceRequest) (*collector.ExportTraceServiceResponse, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, resource := range request.GetResourceSpans() {
		for _, scope := range resource.GetScopeSpans() {
			for _, one := range scope.GetSpans() {
				id := hex.EncodeToString(one.GetSpanId())
				s.all[id] = span{hex.EncodeToString(one.GetTraceId()), id, hex.EncodeToString(one.GetParentSpanId()), one.GetName()}
			}
		}
	}
	return &collector.ExportTraceServiceResponse{}, nil
}

// of gives the spans of a trace by id.
func (s *spans) of(trace string) map[string]span {
	s.mu.Lock()
	defer s.mu.Unlock()
	found := map[string]span{}
	for id, one := range s.all {
		if one.trace == trace {
			found[id] = one
		}
	}
	return found
}

func newCollector(t *testing.T) (*spans, string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s, server := &spans{all: map[string]span{}}, grpc.NewServer()
	collector.RegisterTraceServiceServer(server, s)
	done := make(chan error, 1)
	go func() { done <- server.Serve(l) }()
	t.Cleanup(func() {
		server.Stop()
		if err := <-done; err != nil {
			t.Errorf("collector: %v", err)
		}
	})
	return s, "http://" + l.Addr().String()
}

// TestOneTrace follows a client's trace through the gateway, the mailbox, a function, a call that the function makes, and the call of a
// trigger on what the function has changed.
func TestOneTrace(t *testing.T) {
	const trace, root = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
	collected, endpoint := newCollector(t)
	p := newPlatform(t)
	p.env = []string{"OTEL_EXPORTER_OTLP_ENDPOINT=" + endpoint, "OTEL_TRACES_SAMPLER=parentbased_always_on", "OTEL_BSP_SCHEDULE_DELAY=100"}
	var mu sync.Mutex
	seen := map[string]string{} // traceparent by method
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		method := r.Header.Get("Ce-Subject")
		mu.Lock()
		seen[method] = r.Header.Get("Traceparent")
		mu.Unlock()
		reply := `{}`
		if method == "change" {
			reply = `{"set":{"x":{"text":"1"}}}`
			request, err := http.NewRequest(http.MethodPost, p.url(methodPath("trace.thing", "other", "nested")), nil)
			if err != nil {
				t.Error(err)
				return
			}
			for _, name := range []string{"Traceparent", "Oaas-Chain", "Oaas-Depth"} {
				request.Header.Set(name, r.Header.Get(name))
			}
			if response, err := client.Do(request); err != nil || response.StatusCode != http.StatusOK {
				t.Errorf("nested call: %v %v", response, err)
			} else {
				_, _ = io.Copy(io.Discard, response.Body)
				response.Body.Close()
			}
		}
		w.Header().Set("Content-Type", "application/vnd.oaas.reply+json")
		fmt.Fprint(w, reply)
	}))
	t.Cleanup(function.Close)
	p.start()
	p.deploy("trace", stubPackage("trace", function.URL,
		"triggers: [{name: changed, on: entry.created, entry: x, target: {class: thing, method: triggered, object: target}}]",
		"{name: change, function_key: fn}", "{name: nested, function_key: fn}", "{name: triggered, function_key: fn}", "{name: kept, function_key: fn}"))
	parent := "00-" + trace + "-" + root + "-01"
	if a := p.call("trace.thing", "source", "change", nil, "Traceparent", parent); a.status != http.StatusOK {
		t.Fatal(a)
	}
	if a := p.call("trace.thing", "source", "kept", nil, "Traceparent", parent, "Prefer", "respond-async"); a.status != http.StatusAccepted {
		t.Fatal(a)
	}
	methods := []string{"change", "nested", "triggered", "kept"}
	p.until("all methods were called", func() bool {
		mu.Lock()
		defer mu.Unlock()
		return len(seen) == len(methods)
	})
	mu.Lock()
	defer mu.Unlock()
	for _, method := range methods {
		p.until(method+" is part of the client's trace, back to the client's span", func() bool {
			return leadsTo(collected.of(trace), seen[method], root)
		})
	}
	all := collected.of(trace)
	// What the function did is below its own span.
	parts := strings.Split(seen["change"], "-")
	if !leadsTo(all, seen["nested"], parts[2]) {
		t.Errorf("the nested call %s is not below the call %s that made it: %v", seen["nested"], seen["change"], all)
	}
	names := map[string]int{}
	for _, one := range all {
		names[one.name]++
		if one.parent != root && all[one.parent].id == "" {
			t.Errorf("span %v has a parent that is not there", one)
		}
	}
	if names["POST /api/class/{cls}/{pid}/objects/{oid}/invokes/{func}"] != 3 || names["mailbox"] != 4 || names["function"] != 4 {
		t.Errorf("the spans are %v", names)
	}
}

// leadsTo reports whether the span of a traceparent has an ancestor.
func leadsTo(all map[string]span, traceparent, ancestor string) bool {
	parts := strings.Split(traceparent, "-")
	if len(parts) != 4 {
		return false
	}
	for id := parts[2]; id != ""; id = all[id].parent {
		if id == ancestor {
			return true
		}
	}
	return false
}
