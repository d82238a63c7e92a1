package functions

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/builder"
	"github.com/hpcclab/oaas-go/runtime/wasm"
)

// The samples that are WebAssembly modules, as the platform runs them.
func TestModules(t *testing.T) {
	if testing.Short() {
		t.Skip("compiles modules")
	}
	for dir, module := range map[string]func(*testing.T) []byte{"wasm-counter": buildGo, "rust-counter": buildRust} {
		t.Run(dir, func(t *testing.T) {
			code := module(t)
			h, err := wasm.New(wasm.Config{OnLog: func(_, line string) { t.Log(line) }})
			if err != nil {
				t.Fatal(err)
			}
			defer h.Close(context.Background())
			f, err := h.Deploy(t.Context(), wasm.Spec{Name: dir, Module: code, Memory: 64 << 20})
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []struct {
				method, payload, count string
				status                 int
				result, set            string
			}{
				{"add", ``, "", 200, `{"count":1}`, "1"},
				{"add", `{"by":4}`, "1", 200, `{"count":5}`, "5"},
				{"add", `{"by":-6}`, "5", 409, "it cannot go below zero", ""},
				{"get", ``, "5", 200, `{"count":5}`, ""},
			} {
				call := &function.Call{Class: dir + ".counter", Object: "c1", Method: c.method, Payload: []byte(c.payload), ContentType: "application/json"}
				if c.count != "" {
					call.Entries = []function.Entry{{Key: "count", Value: function.Value{Data: []byte(c.count), Version: 1}}}
				}
				status, header, body := roundTrip(t, f, call)
				if status != c.status {
					t.Errorf("%s %s: status %d: %s", c.method, c.payload, status, body)
					continue
				}
				if status != http.StatusOK {
					if !strings.Contains(string(body), c.result) {
						t.Errorf("%s %s: %s", c.method, c.payload, body)
					}
					continue
				}
				reply, err := function.DecodeResponse(header.Get("Content-Type"), body, function.Limits{})
				if err != nil || string(reply.Payload) != c.result || (c.set != "") != (len(reply.Set) == 1) || c.set != "" && string(reply.Set[0].Data) != c.set {
					t.Errorf("%s %s: %s, %v", c.method, c.payload, body, err)
				}
			}
		})
	}
}

func roundTrip(t *testing.T, f http.RoundTripper, call *function.Call) (int, http.Header, []byte) {
	t.Helper()
	header, body := http.Header{}, function.EncodeCall(function.JSON, call)
	function.SetHeaders(header, function.JSON, call, &function.Meta{ID: "1"})
	req := &http.Request{Method: http.MethodPost, Header: header, Body: io.NopCloser(bytes.NewReader(body)), ContentLength: int64(len(body))}
	resp, err := f.RoundTrip(req.WithContext(t.Context()))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, text
}

func buildGo(t *testing.T) []byte {
	b := builder.Builder{Root: t.TempDir()}
	r, err := b.Build(t.Context(), builder.Request{Package: "wasm-counter", Function: "main", Dir: "wasm-counter", Runtime: "wasm"})
	if err != nil {
		t.Fatal(err)
	}
	return read(t, r.Command[0])
}

func buildRust(t *testing.T) []byte {
	libs, err := exec.Command("rustc", "--print", "target-libdir", "--target", "wasm32-wasip1").Output()
	if err != nil {
		t.Skip("needs Rust")
	}
	if _, err := os.Stat(strings.TrimSpace(string(libs))); err != nil {
		t.Skip("needs Rust's standard library for WASI: rustup target add wasm32-wasip1")
	}
	target := t.TempDir()
	cmd := exec.CommandContext(t.Context(), "cargo", "build", "--locked", "--release", "--target", "wasm32-wasip1", "--target-dir", target)
	cmd.Dir = "rust-counter"
	if out, err := cmd.CombinedOutput(); err != nil {
		if strings.Contains(string(out), "failed to download") || strings.Contains(string(out), "failed to get") {
			t.Skip("needs the crate serde_json, which cannot be fetched here")
		}
		t.Fatalf("cargo: %v\n%s", err, out)
	}
	return read(t, filepath.Join(target, "wasm32-wasip1", "release", "rust-counter.wasm"))
}

func read(t *testing.T, file string) []byte {
	t.Helper()
	code, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return code
}
