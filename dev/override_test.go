package dev

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"
)

// What a deployment says of a function goes before what the package says; deployments that share a function have to agree.
func TestDeploymentOverridesFunctions(t *testing.T) {
	source := t.TempDir()
	write(t, filepath.Join(source, "server.py"), `
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"])); self.send_response(200); self.end_headers()
        self.wfile.write((os.environ["WHO"] + " " + os.environ["KEPT"]).encode())
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`)
	data := t.TempDir()
	r, kill := fork(t, data)
	binding := `"function_bindings":[{"name":"m","function_key":"fn","stateless":true}]`
	pkg := func(who string) string {
		return `{"name":"p","classes":[{"key":"a",` + binding + `},{"key":"b",` + binding + `}],"functions":[{"key":"fn","config":{"WHO":"` + who +
			`","KEPT":"kept"},"source":"` + source + `","command":["python3","server.py"]}]}`
	}
	r.mustPost("/packages", pkg("base"))
	deployment := func(key, class, functions string) string {
		return `{"key":"` + key + `","package_name":"p","class_key":"` + class + `","functions":[` + functions + `]}`
	}
	answers := func(class, want string) {
		t.Helper()
		status, text := r.request("POST", "/api/class/p."+class+"/0/invokes/m", "{}", nil)
		if status != http.StatusOK || text != want {
			t.Errorf("%s: %d %s, want %s", class, status, text, want)
		}
	}
	r.mustPost("/deployments", deployment("da", "a", `{"function_key":"fn","config":{"WHO":"da"},"provision_config":{"min_scale":1,"max_concurrency":3}}`))
	answers("a", "da kept")
	r.mustPost("/deployments", deployment("db", "b", ``))
	answers("b", "da kept")
	status, text := r.post("/deployments", deployment("db", "b", `{"function_key":"fn","config":{"WHO":"db"}}`))
	if status != http.StatusConflict || !strings.Contains(text, "function fn: the deployments da and db want it with different config or provision_config") {
		t.Errorf("two that differ: %d %s", status, text)
	}
	answers("b", "da kept")
	kill()
	r, _ = fork(t, data)
	answers("a", "da kept")
	r.mustPost("/packages/p", pkg("new"))
	r.mustPost("/deployments", deployment("db", "b", ``))
	answers("a", "da kept")
	r.mustPost("/deployments", deployment("da", "a", ``))
	answers("a", "new kept")
	for functions, want := range map[string]string{
		`{"function_key":"none"}`: `functions[0].function_key`,
		`{"function_key":"fn","provision_config":{"min_scale":3,"max_scale":1}}`: `functions[0].provision_config`,
	} {
		if status, text := r.post("/deployments", deployment("da", "a", functions)); status != http.StatusBadRequest || !strings.Contains(text, want) {
			t.Errorf("%s: %d %s", functions, status, text)
		}
	}
	answers("a", "new kept")
	text = r.mustPost("/deployments", `{"key":"da","package_name":"p","class_key":"a","odgm":{"replica_count":3},"functions":[{"function_key":"fn","qos_requirement":{"availability":0.9}}]}`)
	for _, want := range []string{`"path":"odgm.replica_count"`, `"path":"functions[0]"`, `has no effect`} {
		if !strings.Contains(text, want) {
			t.Errorf("no %s among the warnings: %s", want, text)
		}
	}
}
