package dev

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hpcclab/oaas-go/dev/control"
)

// A function becomes a module, a process and a module again while it is called: no call fails, and the count goes on. After a restart it is served again.
func TestModuleReplacesProcess(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles Go programs")
	}
	dir, data := fromTemplate(t, "go-wasm"), t.TempDir()
	r := open(t, data)
	r.deploy(dir)
	r.mustCall("shop.counter", "a", "add", `{"by":1}`, `{"count":1}`)
	var stop atomic.Bool
	var calls atomic.Int64
	var wg sync.WaitGroup
	wg.Go(func() {
		for !stop.Load() {
			if answer, err := r.call("shop.counter", "a", "add", `{"by":1}`); err != nil {
				t.Errorf("a call while the function is replaced: %s, %v", answer, err)
				return
			}
			calls.Add(1)
		}
	})
	file := filepath.Join(dir, "oaas-package.yaml")
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	for _, runtime := range []string{"runtime: go  ", "runtime: wasm"} {
		write(t, file, strings.Replace(string(text), "runtime: wasm", runtime, 1))
		r.deploy(dir)
	}
	stop.Store(true)
	wg.Wait()
	want := calls.Load() + 1
	if got := r.entry("shop.counter", "a", "count"); got != strconv.FormatInt(want, 10) {
		t.Errorf("the count is %s after %d calls", got, want)
	}
	r.stop()
	r = open(t, data)
	r.mustCall("shop.counter", "a", "add", `{"by":1}`, `{"count":`+strconv.FormatInt(want+1, 10)+`}`)
}

func TestModulesThatAreRefused(t *testing.T) {
	dir := t.TempDir()
	write(t, filepath.Join(dir, "component.wasm"), "\x00asm\x0d\x00\x01\x00rest")
	write(t, filepath.Join(dir, "text.wasm"), "hello")
	r := open(t, t.TempDir())
	for url, want := range map[string]string{
		"component.wasm": "component (WASI preview 2)",
		"text.wasm":      "no WebAssembly module",
		"text.wasm#sha256=" + strings.Repeat("0", 64):            "it is not the module that was meant",
		"text.wasm#sha256=12":                                    "no SHA-256",
		"missing.wasm":                                           "no such file",
		"../component.wasm":                                      "leaves the project",
		"oci://registry.example/fn:1":                            "not pulled from container registries",
		"http://127.0.0.1:1/fn.wasm":                             "fetch module",
		"/api/v1/artifacts/" + strings.Repeat("0", 64):           "answered 404",
		"file://" + filepath.Join(dir, "component.wasm"):         "component (WASI preview 2)",
		"/api/v1/artifacts/12#sha256=" + strings.Repeat("0", 64): "another hash",
	} {
		write(t, filepath.Join(dir, "oaas-package.yaml"), `
name: shop
classes: [{key: cart, function_bindings: [{name: add, function_key: fn}]}]
functions: [{key: fn, function_type: WASM, provision_config: {wasm_module_url: "`+url+`"}}]
`)
		last, err := r.client.Deploy(t.Context(), dir, func(control.Progress) {})
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "fn") {
			t.Errorf("%s: %+v, %v; want %q", url, last, err, want)
		}
	}
}
