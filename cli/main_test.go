package cli

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/cli/client"
	"github.com/hpcclab/oaas-go/dev"
	"github.com/hpcclab/oaas-go/dev/control"
	"github.com/hpcclab/oaas-go/runtime/oaas"
	"github.com/hpcclab/oaas-go/runtime/runner"
)

func TestMain(m *testing.M) {
	runner.MaybeRunGuard()
	goleak.VerifyTestMain(m, goleak.IgnoreCurrent()) // libraries start some in their init
}

// shop is the package that the tests work on; its functions run in the test itself.
const shop = `
name: shop
version: "1.0"
classes:
  - key: cart
    function_bindings:
      - {name: add, function_key: fn}
      - {name: total, function_key: fn, readonly: true}
      - {name: fail, function_key: fn}
      - {name: bytes, function_key: fn, readonly: true}
      - {name: greet, function_key: fn, stateless: true}
    triggers:
      - {name: watch, on: entry.updated, entry: total, condition: "int(new) >= 10", target: {class: alarm, method: ring}}
      - {name: strict, on: entry.created, entry: "note*", target: {class: alarm, object: main, method: refuse}}
  - key: alarm
    function_bindings:
      - {name: ring, function_key: fn}
      - {name: refuse, function_key: fn}
functions:
  - {key: fn, url: "FUNCTION"}
`

type cart struct {
	Total int `oaas:"total" json:"total"`
}

func (c *cart) Add(_ oaas.Context, in struct {
	Count int `json:"count"`
}) (*cart, error) {
	c.Total += in.Count
	return c, nil
}

func (c *cart) Get(oaas.Context, oaas.None) (*cart, error) { return c, nil }

func (c *cart) Fail(oaas.Context, oaas.None) (oaas.None, error) {
	return oaas.None{}, oaas.Errorf(http.StatusConflict, "the cart is full")
}

func (c *cart) Bytes(oaas.Context, oaas.None) (oaas.Payload, error) {
	return oaas.Payload{Data: []byte{0, 1, 2}, ContentType: "application/octet-stream"}, nil
}

type alarm struct {
	Rings int `oaas:"rings"`
}

func (a *alarm) Ring(oaas.Context, oaas.Change) (oaas.None, error) {
	a.Rings++
	return oaas.None{}, nil
}

func (a *alarm) Refuse(oaas.Context, oaas.Change) (oaas.None, error) {
	return oaas.None{}, oaas.Errorf(http.StatusBadRequest, "no notes please")
}

func greet(_ oaas.Context, in struct {
	Name string `json:"name"`
}) (string, error) {
	return "hello " + in.Name, nil
}

// platform runs a whole platform with the shop deployed, and gives its address and the folder of the shop.
func platform(t *testing.T) (url, dir string) {
	t.Helper()
	handler, err := oaas.NewHandler(
		oaas.Class("shop.cart", oaas.Method("add", (*cart).Add), oaas.ReadOnly("total", (*cart).Get), oaas.Method("fail", (*cart).Fail),
			oaas.ReadOnly("bytes", (*cart).Bytes)),
		oaas.Class("shop.alarm", oaas.Method("ring", (*alarm).Ring), oaas.Method("refuse", (*alarm).Refuse)),
		oaas.Stateless("shop.cart", "greet", greet),
	)
	if err != nil {
		t.Fatal(err)
	}
	function := httptest.NewServer(handler)
	t.Cleanup(function.Close)
	t.Cleanup(handler.Close)
	dir = filepath.Join(t.TempDir(), "shop")
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	text := strings.ReplaceAll(shop, "FUNCTION", function.URL)
	if err := os.WriteFile(filepath.Join(dir, "oaas-package.yaml"), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan control.Status, 1), make(chan error, 1)
	go func() {
		done <- dev.Run(ctx, dev.Config{
			Listen: "127.0.0.1:0", DataDir: t.TempDir(), OnReady: func(s control.Status) { ready <- s },
		})
	}()
	select {
	case s := <-ready:
		url = s.Address
	case err := <-done:
		cancel()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Errorf("run: %v", err)
		}
	})
	c, err := client.New(url)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if _, err := c.Deploy(t.Context(), dir, func(control.Progress) {}); err != nil {
		t.Fatal(err)
	}
	return url, dir
}

// outcome is what a command did.
type outcome struct {
	out, err string
	code     int
}

// command runs a command line of oaas with an environment of "NAME=value".
func command(t *testing.T, input string, env []string, args ...string) outcome {
	t.Helper()
	return program(t, "oaas", input, env, args...)
}

// program is command for the program of a name.
func program(t *testing.T, name, input string, env []string, args ...string) outcome {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var out, errs bytes.Buffer
	code := Run(ctx, name, args, Streams{In: strings.NewReader(input), Out: &out, Err: &errs}, lookup(env))
	return outcome{out.String(), errs.String(), code}
}

func lookup(env []string) func(string) (string, bool) {
	return func(name string) (string, bool) {
		for _, kv := range env {
			if n, v, _ := strings.Cut(kv, "="); n == name {
				return v, true
			}
		}
		return "", false
	}
}
