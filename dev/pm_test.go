package dev

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/pm"
)

// post sends a document and gives the status and the answer.
func (r *rig) post(path, document string) (int, string) {
	r.t.Helper()
	return r.request("POST", "/api/v1"+path, document, map[string]string{"Content-Type": "application/json"})
}

func (r *rig) mustPost(path, document string) string {
	r.t.Helper()
	status, text := r.post(path, document)
	if status >= 300 {
		r.t.Fatalf("POST %s: %d %s", path, status, text)
	}
	return text
}

const cartClass = `"classes":[{"key":"cart","function_bindings":[{"name":"add","function_key":"fn","stateless":true}]}]`

// A document that is applied runs: with a URL and with a folder of this machine; a restart serves it again, and deleting it ends it.
func TestDocumentsRun(t *testing.T) {
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("from afar")) }))
	defer function.Close()
	source := t.TempDir()
	write(t, filepath.Join(source, "server.py"), `
import http.server, os
class H(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        self.rfile.read(int(self.headers["Content-Length"])); self.send_response(200); self.end_headers(); self.wfile.write(b"from a folder")
    def do_GET(self):
        self.send_response(200); self.end_headers()
http.server.ThreadingHTTPServer(("127.0.0.1", int(os.environ["PORT"])), H).serve_forever()
`)
	data := t.TempDir()
	r, kill := fork(t, data)
	r.mustPost("/packages", `{"name":"far",`+cartClass+`,"functions":[{"key":"fn","url":"`+function.URL+`"},{"key":"unused","provision_config":{"container_image":"x"}}]}`)
	r.mustPost("/packages", `{"name":"near",`+cartClass+`,"functions":[{"key":"fn","source":"`+source+`","command":["python3","server.py"]}]}`)
	for _, name := range []string{"far", "near"} {
		r.mustPost("/deployments", `{"key":"`+name+`","package_name":"`+name+`","class_key":"cart"}`)
	}
	check := func() {
		t.Helper()
		for _, c := range []struct{ class, want string }{{"far.cart", "from afar"}, {"near.cart", "from a folder"}} {
			status, text := r.request("POST", "/api/class/"+c.class+"/0/invokes/add", "{}", nil)
			if status != http.StatusOK || text != c.want {
				t.Errorf("%s: %d %s", c.class, status, text)
			}
		}
		_, text := r.request("GET", "/api/v1/deployments", "", nil)
		for _, d := range decode[[]opackage.Deployment](t, text) {
			if d.Condition != opackage.Running {
				t.Errorf("deployment %s is %s: %+v", d.Key, d.Condition, d.Status)
			}
		}
	}
	check()
	kill()
	r, _ = fork(t, data)
	r.eventually("everything runs again", func() bool {
		_, text := r.request("GET", "/api/v1/class-runtimes?status=Available", "", nil)
		return len(decode[[]pm.Runtime](t, text)) == 2
	})
	check()
	if status, text := r.request("DELETE", "/api/v1/packages/near", "", nil); status != http.StatusConflict {
		t.Errorf("delete what is deployed: %d %s", status, text)
	}
	if status, text := r.request("DELETE", "/api/v1/deployments/near?purge=true", "", nil); status != http.StatusOK {
		t.Errorf("delete: %d %s", status, text)
	}
	if status, text := r.request("GET", "/api/class/near.cart/0/objects", "", nil); status != http.StatusNotFound {
		t.Errorf("objects of a deleted class: %d %s", status, text)
	}
	if status, _ := r.request("DELETE", "/api/v1/packages/near", "", nil); status != http.StatusNoContent {
		t.Errorf("delete the package: %d", status)
	}
}

// What this machine cannot run is refused in words, and nothing is left of it.
func TestDocumentsThatCannotRun(t *testing.T) {
	r := open(t, t.TempDir())
	for name, c := range map[string]struct{ function, want string }{
		"image":    {`"provision_config":{"container_image":"img:1"}`, "has only a container image, which oaas dev does not run"},
		"relative": {`"source":"here"`, `but a document has no folder that it could be relative to`},
		"nothing":  {`"description":"x"`, "has nothing to run; give it url:, or an absolute source:"},
		"nowhere":  {`"source":"/no/such/folder"`, "/no/such/folder"},
	} {
		r.mustPost("/packages", `{"name":"`+name+`",`+cartClass+`,"functions":[{"key":"fn",`+c.function+`}]}`)
		status, text := r.post("/deployments", `{"key":"d","package_name":"`+name+`","class_key":"cart"}`)
		if status < 400 || !strings.Contains(text, c.want) {
			t.Errorf("%s: %d %s", name, status, text)
		}
		if status, _ := r.request("GET", "/api/v1/deployments/d", "", nil); status != http.StatusNotFound {
			t.Errorf("%s: the deployment is there: %d", name, status)
		}
		if _, text := r.request("GET", "/api/v1/class-runtimes", "", nil); text != "[]" {
			t.Errorf("%s: runs: %s", name, text)
		}
	}
}

// Two classes of one package are two deployments, which come and go by themselves.
func TestClassesOfOnePackage(t *testing.T) {
	r := open(t, t.TempDir())
	r.mustPost("/packages", `{"name":"p","classes":[{"key":"a","function_bindings":[{"name":"m","function_key":"fn"}]},
		{"key":"b","function_bindings":[{"name":"m","function_key":"fn"}]}],"functions":[{"key":"fn","url":"http://127.0.0.1:1"}]}`)
	served := func() string {
		var names []string
		_, text := r.request("GET", "/api/v1/class-runtimes", "", nil)
		for _, runtime := range decode[[]pm.Runtime](t, text) {
			names = append(names, runtime.ClassKey)
		}
		return strings.Join(names, " ")
	}
	r.mustPost("/deployments", `{"key":"da","package_name":"p","class_key":"a"}`)
	if got := served(); got != "p.a" {
		t.Errorf("served: %s", got)
	}
	r.mustPost("/deployments", `{"key":"db","package_name":"p","class_key":"b"}`)
	r.mustPost("/deployments", `{"key":"da","package_name":"p","class_key":"a"}`)
	if got := served(); got != "p.a p.b" {
		t.Errorf("served: %s", got)
	}
	if status, text := r.request("PUT", "/api/class/p.b/0/objects/x/entries/k", "v", nil); status != http.StatusOK {
		t.Errorf("an object: %d %s", status, text)
	}
	if status, _ := r.request("DELETE", "/api/v1/deployments/da", "", nil); status != http.StatusOK {
		t.Errorf("delete: %d", status)
	}
	if got := served(); got != "p.b" {
		t.Errorf("served: %s", got)
	}
	if got := r.entry("p.b", "x", "k"); got != "v" {
		t.Errorf("the object's entry is %q", got)
	}
}

// A data folder of a release before the Package Manager starts as it was, also after a crash in the middle of the migration.
func TestOldDataFolder(t *testing.T) {
	function := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer function.Close()
	data, dir := t.TempDir(), t.TempDir()
	file := "name: old\nclasses: [{key: cart, function_bindings: [{name: add, function_key: fn}]}]\nfunctions: [{key: fn, url: \"" + function.URL + "\"}]\n"
	write(t, filepath.Join(dir, "oaas-package.yaml"), file)
	p, err := opackage.ParseYAML([]byte(file))
	if err != nil {
		t.Fatal(err)
	}
	list, err := json.Marshal([]map[string]any{{"dir": dir, "deployed": "2026-01-02T03:04:05.123456789Z", "package": p, "functions": map[string]any{}, "source": "x"}})
	if err != nil {
		t.Fatal(err)
	}
	for _, again := range []bool{false, true} {
		write(t, filepath.Join(data, projectsName), string(list)) // the second time as if it had not been renamed
		r := open(t, data)
		r.eventually("the old project runs", func() bool {
			_, text := r.request("GET", "/api/v1/deployments/old-cart", "", nil)
			return strings.Contains(text, `"condition":"RUNNING"`)
		})
		if status, text := r.request("GET", "/api/v1/packages/old", "", nil); status != http.StatusOK || !strings.Contains(text, function.URL) {
			t.Errorf("again %v: package: %d %s", again, status, text)
		}
		if _, text := r.request("GET", "/api/v1/class-runtimes", "", nil); len(decode[[]pm.Runtime](t, text)) != 1 {
			t.Errorf("again %v: runtimes %s", again, text)
		}
		if _, err := os.Stat(filepath.Join(data, migratedName)); err != nil {
			t.Error(err)
		}
		if list := projects(t, r); len(list) != 1 || list[0].Dir != dir {
			t.Errorf("projects %+v", list)
		}
		r.stop()
	}
	for _, bad := range []string{"", "{", "[{}]", `[{"package":{}}]`, `{"a":1}`, "\x00"} {
		folder := t.TempDir()
		write(t, filepath.Join(folder, projectsName), bad)
		err := Run(t.Context(), Config{Listen: "127.0.0.1:0", DataDir: folder})
		if err == nil || !strings.Contains(err.Error(), projectsName) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

// The proxy leads to the gateway, and to nothing that is protected.
func TestGatewayProxy(t *testing.T) {
	r := open(t, t.TempDir())
	r.mustPost("/packages", `{"name":"p",`+cartClass+`,"functions":[{"key":"fn","url":"http://127.0.0.1:1"}]}`)
	r.mustPost("/deployments", `{"key":"d","package_name":"p","class_key":"cart"}`)
	if status, text := r.request("PUT", "/api/gateway/api/class/p.cart/0/objects/x/entries/k%3A1", "v", nil); status != http.StatusOK {
		t.Errorf("write: %d %s", status, text)
	}
	for path, want := range map[string]int{
		"/api/gateway/api/class/p.cart/0/objects/x/entries/k%3A1": 200, "/api/gateway/env/local-dev/api/class/p.cart/0/objects?limit=1": 200,
		"/api/gateway/env/mars/api/class": 404, "/api/gateway/api/v1/packages": 404, "/api/gateway/api/gateway/healthz": 404, "/api/gateway/healthz": 200,
		"/api/gateway/nope": 404, "/api/gateway//api/v1/packages": 404, "/api/gateway/%2Fapi/v1/packages": 404, "/api/gateway/api/%76%31/packages": 404,
	} {
		if status, text := r.request("GET", path, "", map[string]string{"Origin": "http://evil.example"}); status != want {
			t.Errorf("%s: %d %s, want %d", path, status, text, want)
		}
	}
}

// After kill -9 in the middle of a deployment the old one or the new one is there, whole.
func TestKilledWhileDeploying(t *testing.T) {
	source, data := t.TempDir(), t.TempDir()
	write(t, filepath.Join(source, "run.sh"), "exec python3 -m http.server --bind 127.0.0.1 $PORT\n")
	r, kill := fork(t, data)
	r.mustPost("/packages", `{"name":"p",`+cartClass+`,"functions":[{"key":"fn","source":"`+source+`","build":["sh","-c","echo x >> built; test -e go || sleep 60"],"command":["sh","run.sh"]}]}`)
	done := make(chan struct{})
	go func() {
		defer close(done)
		resp, err := http.Post(r.url+"/api/v1/deployments", "application/json", strings.NewReader(`{"key":"d","package_name":"p","class_key":"cart"}`))
		if err == nil {
			resp.Body.Close()
		}
	}()
	r.eventually("the build has begun", func() bool { _, err := os.Stat(filepath.Join(source, "built")); return err == nil })
	if _, text := r.request("GET", "/api/v1/deployments/d", "", nil); !strings.Contains(text, `"condition":"DEPLOYING"`) {
		t.Errorf("while it is deployed: %s", text)
	}
	kill()
	<-done
	write(t, filepath.Join(source, "go"), "")
	r, _ = fork(t, data)
	r.eventually("it is finished", func() bool {
		_, text := r.request("GET", "/api/v1/deployments/d", "", nil)
		return strings.Contains(text, `"condition":"RUNNING"`)
	})
}
