package dev

import (
	"encoding/json"
	"maps"
	"net/http"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/hpcclab/oaas-go/gateway"
	"github.com/hpcclab/oaas-go/internal/openapi"
)

// TestDocumentHasTheRoutes compares document and router both ways: paths, methods, and the parameters in paths.
func TestDocumentHasTheRoutes(t *testing.T) {
	text, err := OpenAPI("v0")
	if err != nil {
		t.Fatal(err)
	}
	var document struct {
		Paths map[string]map[string]struct {
			OperationID string
			Parameters  []struct{ Name, In string }
			Responses   map[string]any
		}
	}
	if err := json.Unmarshal(text, &document); err != nil {
		t.Fatal(err)
	}
	p, err := openPlatform(t.Context(), Config{Zenoh: "127.0.0.1:0", DataDir: t.TempDir()}.withDefaults(), t.TempDir(), "http://127.0.0.1:1", prometheus.NewRegistry())
	if err != nil {
		t.Fatal(err)
	}
	defer p.close(t.Context()) //nolint:errcheck // nothing was started
	gw, err := gateway.New(p.grid, gateway.DefaultConfig(), gateway.Options{Mount: p.routes})
	if err != nil {
		t.Fatal(err)
	}
	served := map[string]bool{}
	for _, r := range gw.Routes() {
		if r.Method != http.MethodHead && r.Method != http.MethodOptions { // those come with others
			served[r.Method+" "+openapi.Template(r.Path)] = true
		}
	}
	ids := map[string]bool{}
	part := regexp.MustCompile(`\{(\w+)\}`)
	documented := map[string]bool{}
	for path, methods := range document.Paths {
		for method, o := range methods {
			name := strings.ToUpper(method) + " " + path
			documented[name] = true
			if ids[o.OperationID] {
				t.Errorf("%s: the id %s is there twice", name, o.OperationID)
			}
			ids[o.OperationID] = true
			var inPath, described []string
			for _, m := range part.FindAllStringSubmatch(path, -1) {
				inPath = append(inPath, m[1])
			}
			for _, param := range o.Parameters {
				if param.In == "path" {
					described = append(described, param.Name)
				}
			}
			slices.Sort(inPath)
			slices.Sort(described)
			if !slices.Equal(inPath, described) {
				t.Errorf("%s: the path has %v, described are %v", name, inPath, described)
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(served)) {
		if !documented[name] {
			t.Errorf("%s is served, and not in the document", name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(documented)) {
		if !served[name] {
			t.Errorf("%s is in the document, and not served", name)
		}
	}
}
