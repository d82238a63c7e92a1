// Package openapi runs schemathesis against a platform and its OpenAPI document: it makes requests of every operation, valid and not, and fails when an
// answer has a status, a type or a shape that is not documented, or is a fault of the server. It needs Python 3 and PyPI, so it runs only with
// OAAS_SCHEMATHESIS=1, as `make openapi` sets it.
package openapi

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/dev"
	"github.com/hpcclab/oaas-go/dev/control"
)

// version of schemathesis that is installed.
const version = "4.32.5"

// limits keep a run short and the same each time.
const (
	seed        = "1"
	maxExamples = "15"
	patience    = 5 * time.Minute
)

// sample is a package that the requests find something of: its names are what the configuration in schemathesis.toml puts in paths.
const sample = `{"name": "shop", "version": "1.0.0", "metadata": {"tags": ["t"]},
 "classes": [{"key": "cart", "function_bindings": [{"name": "add", "function_key": "fn"}, {"name": "price", "function_key": "fn", "stateless": true}]}],
 "functions": [{"key": "fn", "url": "URL"}]}`

func TestSchemathesis(t *testing.T) {
	if os.Getenv("OAAS_SCHEMATHESIS") == "" {
		t.Skip("needs PyPI; run: make openapi")
	}
	tool := install(t)
	function := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Oaas-Method") == "add" {
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write([]byte(`{"count":1}`))
			return
		}
		_, _ = w.Write([]byte("hello"))
	}))
	defer function.Close()
	url := platform(t)
	post(t, url+"/api/v1/packages", strings.Replace(sample, "URL", function.URL, 1))
	post(t, url+"/api/v1/deployments", `{"key": "shop-cart", "package_name": "shop", "class_key": "cart"}`)
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	config, err := filepath.Abs("schemathesis.toml")
	if err != nil {
		t.Fatal(err)
	}
	// One worker: Python 3.11 fails now and then when several threads compile.
	run := exec.CommandContext(ctx, tool, "--config-file", config, "run", url+"/openapi.json", "--url", url,
		"--seed", seed, "--generation-deterministic", "--max-examples", maxExamples, "--workers", "1", "--no-color",
		"--suppress-health-check", "all") // those are about how fast requests are made up
	run.Dir = t.TempDir() // it leaves its notes there
	out, err := run.CombinedOutput()
	if err != nil {
		t.Fatalf("schemathesis: %v\n%s", err, out)
	}
	t.Logf("%s", out[max(0, len(out)-1500):])
}

// install makes a virtual environment with schemathesis, once a machine.
func install(t *testing.T) string {
	t.Helper()
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	home := filepath.Join(cache, "oaas", "schemathesis-"+version)
	tool := filepath.Join(home, "bin", "schemathesis")
	if _, err := os.Stat(tool); err == nil {
		return tool
	}
	for _, args := range [][]string{
		{"python3", "-m", "venv", home}, {filepath.Join(home, "bin", "pip"), "install", "--quiet", "schemathesis==" + version},
	} {
		if out, err := exec.CommandContext(t.Context(), args[0], args[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%v: %v\n%s", args, err, out)
		}
	}
	return tool
}

// platform runs oaas dev until the test ends.
func platform(t *testing.T) string {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	ready, ended := make(chan string, 1), make(chan error, 1)
	go func() {
		ended <- dev.Run(ctx, dev.Config{Listen: "127.0.0.1:0", DataDir: t.TempDir(), OnReady: func(s control.Status) { ready <- s.Address }})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Errorf("the platform ended with %v", err)
		}
	})
	select {
	case url := <-ready:
		return url
	case err := <-ended:
		ended <- err
		t.Fatalf("the platform did not start: %v", err)
		return ""
	}
}

func post(t *testing.T, url, body string) {
	t.Helper()
	resp, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode >= 300 {
		t.Fatalf("POST %s: %s", url, resp.Status)
	}
}
