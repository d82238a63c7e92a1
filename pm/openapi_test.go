package pm

import (
	"testing"

	"github.com/hpcclab/oaas-go/internal/openapi"
	"github.com/hpcclab/oaas-go/internal/openapi/conform"
)

// The document describes the parameters in queries and headers that the handlers read, and no others.
func TestDocumentHasTheParameters(t *testing.T) {
	reads, err := conform.ReadsOf(".")
	if err != nil {
		t.Fatal(err)
	}
	operations := map[string]openapi.Operation{}
	for _, o := range Operations(openapi.NewSchemas()) {
		operations[o.Method+" "+o.Path] = o
	}
	for _, rt := range routes {
		for _, difference := range reads.Compare(operations[rt.method+" "+rt.path], []string{"Content-Type"}, conform.FunctionName(rt.serve)) {
			t.Errorf("%s %s: %s", rt.method, rt.path, difference)
		}
	}
}
