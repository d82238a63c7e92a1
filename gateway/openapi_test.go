package gateway

import (
	"net/http"
	"testing"

	"github.com/hpcclab/oaas-go/internal/openapi"
	"github.com/hpcclab/oaas-go/internal/openapi/conform"
)

// general are headers that many routes read, and that are no parameters of one: of HTTP, WebSocket, CloudEvents and tracing, and those by which
// functions say on whose behalf they call (docs/function-contract.md).
var general = []string{
	"Accept", "Content-Type", "Origin", "Traceparent", "Connection", "Upgrade", "Sec-WebSocket-Key", "Sec-WebSocket-Version", "SpecVersion",
	"Oaas-Chain", "Oaas-Depth", "Oaas-Timeout",
}

// The document describes the parameters in queries and headers that the handlers read, and no others.
func TestDocumentHasTheParameters(t *testing.T) {
	reads, err := conform.ReadsOf(".")
	if err != nil {
		t.Fatal(err)
	}
	handlers := map[string][]string{}
	for _, r := range dataRoutes {
		handlers[r.method+" "+r.path] = []string{conform.FunctionName(r.serve)}
	}
	for _, r := range streamRoutes {
		watch := conform.FunctionName(r.watch)
		handlers[http.MethodGet+" "+r.path+"/events"] = []string{"serveEvents", watch}
		handlers[http.MethodGet+" "+r.path+"/ws"] = []string{"serveSocket", watch}
	}
	compared := 0
	for _, o := range Operations(openapi.NewSchemas()) {
		handler := handlers[o.Method+" "+o.Path]
		if handler == nil {
			continue // health and metrics
		}
		compared++
		for _, difference := range reads.Compare(o, general, handler...) {
			t.Errorf("%s %s: %s", o.Method, o.Path, difference)
		}
	}
	if compared != len(handlers) {
		t.Errorf("%d of %d routes were compared", compared, len(handlers))
	}
}
