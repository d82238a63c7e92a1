package dev

import (
	"net/http"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/opackage"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/pm"
)

// The control API runs code as the user, so nobody but the user's own programs may reach it.
func TestControlIsForThisMachine(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "oaas-package.yaml"), "name: shop\n")
	body := `{"dir":"` + filepath.ToSlash(dir) + `"}`
	r := open(t, t.TempDir())
	for _, c := range []struct {
		name, method, path, body string
		header                   map[string]string
		want                     int
	}{
		{"a web page", "POST", control.ProjectsPath, body, map[string]string{"Origin": "http://evil.example"}, http.StatusForbidden},
		{"a web page of this machine", "POST", control.ProjectsPath, body, map[string]string{"Origin": "http://localhost:3000"}, http.StatusForbidden},
		{"a page without origin", "GET", control.ProjectsPath, "", map[string]string{"Sec-Fetch-Site": "cross-site"}, http.StatusForbidden},
		{"another name of this machine", "POST", control.ProjectsPath, body, map[string]string{"Host": "evil.example"}, http.StatusForbidden},
		{"another name, reading", "GET", control.ActivityPath, "", map[string]string{"Host": "evil.example:8080"}, http.StatusForbidden},
		{"a form", "POST", control.ProjectsPath, body, map[string]string{"Content-Type": "text/plain"}, http.StatusUnsupportedMediaType},
		{"a web page deletes", "DELETE", control.ProjectsPath + "/shop", "", map[string]string{"Origin": "null"}, http.StatusForbidden},
		{"localhost", "GET", control.ProjectsPath, "", map[string]string{"Host": "localhost:1234"}, http.StatusOK},
		{"IPv6", "GET", control.ProjectsPath, "", map[string]string{"Host": "[::1]:1234"}, http.StatusOK},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.body != "" && c.header["Content-Type"] == "" {
				c.header["Content-Type"] = "application/json"
			}
			status, text := r.request(c.method, c.path, c.body, c.header)
			if status != c.want {
				t.Errorf("got %d %s, want %d", status, text, c.want)
			}
		})
	}
	if list := projects(t, r); len(list) != 0 {
		t.Errorf("something is deployed: %+v", list)
	}
}

func TestControlBadRequests(t *testing.T) {
	r := open(t, t.TempDir())
	asJSON := map[string]string{"Content-Type": "application/json"}
	for _, c := range []struct {
		method, path, body string
		want               int
		code               string
	}{
		{"POST", control.ProjectsPath, `{"dir":`, http.StatusBadRequest, "DECODE_ERROR"},
		{"POST", control.ProjectsPath, `{"dir":1}`, http.StatusBadRequest, "DECODE_ERROR"},
		{"POST", control.ProjectsPath, `{"folder":"/x"}`, http.StatusBadRequest, "DECODE_ERROR"},
		{"POST", control.ProjectsPath, `{"dir":"relative"}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", control.ProjectsPath, `{}`, http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"POST", control.ProjectsPath, `{"dir":"` + strings.Repeat("x", maxControlBody) + `"}`, http.StatusBadRequest, "DECODE_ERROR"},
		{"DELETE", control.ProjectsPath + "/nobody", "", http.StatusNotFound, "NOT_FOUND"},
		{"DELETE", control.ProjectsPath + "/nobody?purge=perhaps", "", http.StatusBadRequest, "INVALID_ARGUMENT"},
		{"GET", control.FunctionsPath + "/nobody/logs", "", http.StatusNotFound, "NOT_FOUND"},
		{"GET", control.FunctionsPath + "/nobody/logs?tail=-1", "", http.StatusBadRequest, "INVALID_ARGUMENT"},
	} {
		status, text := r.request(c.method, c.path, c.body, asJSON)
		got := decode[map[string]control.Error](t, text)["error"]
		if status != c.want || got.Code != c.code || got.Message == "" {
			t.Errorf("%s %s %.40s: got %d %s, want %d %s", c.method, c.path, c.body, status, text, c.want, c.code)
		}
	}
}

// What OaaS-RS's clients read of a development server.
func TestCompatibleRoutes(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "oaas-package.yaml"), `
name: shop
classes: [{key: cart, function_bindings: [{name: add, function_key: fn}]}]
functions: [{key: fn, url: "http://127.0.0.1:1"}]
`)
	r := open(t, t.TempDir())
	r.deploy(dir)
	_, text := r.request("GET", "/api/v1/packages", "", nil)
	if list := decode[[]opackage.Package](t, text); len(list) != 1 || list[0].Name != "shop" || list[0].Classes[0].Key != "cart" {
		t.Errorf("packages: %s", text)
	}
	_, text = r.request("GET", "/api/v1/packages/shop", "", nil)
	if p := decode[opackage.Package](t, text); p.Name != "shop" {
		t.Errorf("package: %s", text)
	}
	_, text = r.request("GET", "/api/v1/deployments", "", nil)
	if list := decode[[]opackage.Deployment](t, text); len(list) != 1 || list[0].Condition != opackage.Running || list[0].ClassKey != "cart" {
		t.Errorf("deployments: %s", text)
	}
	_, text = r.request("GET", "/api/v1/envs", "", nil)
	envs := decode[[]struct {
		Name       string    `json:"name"`
		Health     pm.Health `json:"health"`
		GatewayURL string    `json:"gateway_url"`
	}](t, text)
	if len(envs) != 1 || envs[0].Health.Status != pm.Healthy || envs[0].GatewayURL != r.url {
		t.Errorf("envs: %s", text)
	}
	status, err := r.client.Status(t.Context())
	if err != nil || status.Address != r.url || status.DataDir != r.data || !status.Ready {
		t.Errorf("status: %+v, %v", status, err)
	}
}
