package oaas_test

import (
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/runtime/oaas"
)

// The gateway sees the chain, the trace, what is left of the time, and a key that is the same at each attempt.
func TestCallsOfOtherObjects(t *testing.T) {
	var mutex sync.Mutex
	var keys []string
	gateway := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		mutex.Lock()
		defer mutex.Unlock()
		keys = append(keys, r.Header.Get("Idempotency-Key"))
		body, _ := io.ReadAll(r.Body)
		switch r.URL.EscapedPath() {
		case "/api/class/shop.stock/_/objects/apple/invokes/reserve":
			timeout, err := time.ParseDuration(r.Header.Get("Oaas-Timeout"))
			if r.Header.Get("Oaas-Chain") != "a@1" || r.Header.Get("Traceparent") != "tp" || r.Header.Get("Tracestate") != "ts" || r.Header.Get("Oaas-Depth") != "2" ||
				err != nil || timeout <= 0 || timeout > time.Minute || r.Header.Get("Content-Type") != "application/json" {
				http.Error(w, fmt.Sprint(r.Header), http.StatusTeapot)
				return
			}
			fmt.Fprintf(w, `{"got":%s}`, body)
		case "/api/class/shop.stock/3/objects/a%2Fb/invokes/reserve":
			w.WriteHeader(http.StatusConflict)
			fmt.Fprint(w, `{"error":{"code":"SOLD_OUT","message":"sold out"}}`)
		case "/api/class/shop.stock/_/invokes/price":
			fmt.Fprint(w, "plain")
		case "/api/class/shop.stock/_/objects/apple":
			fmt.Fprint(w, `{"metadata":null,"event":null,"entries":{"count":{"data":"NQ==","type":0}}}`)
		case "/api/class/shop.stock/_/objects/bad":
			fmt.Fprint(w, `{"entries":{"count":{"data":"eA==","type":0}}}`)
		default:
			http.Error(w, "no such thing: "+r.URL.Path, http.StatusNotFound)
		}
	}))
	defer gateway.Close()

	var failure error
	part := oaas.Raw("test.caller", "run", func(ctx oaas.Context, _ *function.Call) (*function.Reply, error) {
		failure = callOthers(ctx)
		return nil, failure
	})
	handler, err := oaas.NewHandler(part)
	if err != nil {
		t.Fatal(err)
	}
	defer handler.Close()
	handler.SetGateway(gateway.URL + "/")
	server := httptest.NewServer(handler)
	defer server.Close()
	meta := &function.Meta{ID: "call-1", Chain: "a@1", Traceparent: "tp", Tracestate: "ts", Depth: 2, Deadline: time.Now().Add(time.Minute)}
	call := &function.Call{Class: "test.caller", Method: "run"}
	for range 2 {
		if status, _, body := post(t, server.URL, function.Binary, call, meta); status != http.StatusOK {
			t.Fatalf("%d %s", status, body)
		}
	}
	half := len(keys) / 2
	seen := map[string]bool{}
	for i, key := range keys[:half] {
		if key != keys[half+i] {
			t.Errorf("call %d has key %q, and at the next attempt %q", i, key, keys[half+i])
		}
		if key != "" && (seen[key] || !strings.HasPrefix(key, "call-1.")) {
			t.Errorf("key %q", key)
		}
		seen[key] = true
	}
	if keys[0] == "" || keys[0] == keys[1] {
		t.Errorf("keys %q", keys)
	}
}

func callOthers(ctx oaas.Context) error {
	apple := oaas.Object("shop.stock", "apple")
	for i := range 2 {
		var out struct{ Got addInput }
		if err := ctx.Call(apple, "reserve", addInput{By: i}, &out); err != nil || out.Got.By != i {
			return fmt.Errorf("reserve: %v, %w", out, err)
		}
	}
	err := ctx.Call(oaas.Ref{Class: "shop.stock", Object: "a/b", Partition: "3"}, "reserve", nil, nil)
	var known *oaas.Error
	if !errors.As(err, &known) || known.Code != "SOLD_OUT" || oaas.StatusOf(err) != http.StatusConflict || !strings.Contains(err.Error(), "sold out") {
		return fmt.Errorf("sold out gives %w", err)
	}
	var text []byte
	if err := ctx.Call(oaas.Ref{Class: "shop.stock"}, "price", []byte("x"), &text); err != nil || string(text) != "plain" {
		return fmt.Errorf("price: %q, %w", text, err)
	}
	var number int
	if err := ctx.Call(oaas.Ref{Class: "shop.stock"}, "price", nil, &number); err == nil || !strings.Contains(err.Error(), "does not fit") {
		return fmt.Errorf("text as number gives %w", err)
	}
	if err := ctx.Call(apple, "reserve", func() {}, nil); err == nil {
		return errors.New("a function is accepted as input")
	}
	var state counter
	if err := ctx.Read(apple, &state); err != nil || state.Count != 5 {
		return fmt.Errorf("read: %v, %w", state, err)
	}
	if err := ctx.Read(oaas.Object("shop.stock", "none"), &state); oaas.StatusOf(err) != http.StatusNotFound {
		return fmt.Errorf("reading nothing gives %w", err)
	}
	if err := ctx.Read(oaas.Object("shop.stock", "bad"), &state); err == nil || !strings.Contains(err.Error(), "does not fit field Count") {
		return fmt.Errorf("reading what does not fit gives %w", err)
	}
	if ctx.Read(apple, state) == nil || ctx.Read(apple, &number) == nil || ctx.Read(apple, nil) == nil {
		return errors.New("read takes anything")
	}
	return nil
}

func TestCallWithoutGateway(t *testing.T) {
	t.Setenv(oaas.URLVariable, "")
	dead, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	address := "http://" + dead.Addr().String()
	dead.Close()
	for _, c := range []struct {
		url    string
		status int
		want   string
	}{
		{"", 500, "the address of the gateway is not known: OAAS_URL is not set"},
		{address, 503, "connection refused"},
		{"http://%zz", 500, "invalid URL escape"},
	} {
		handler, err := oaas.NewHandler(oaas.Raw("a.b", "run", func(ctx oaas.Context, _ *function.Call) (*function.Reply, error) {
			return nil, ctx.Call(oaas.Object("a.b", "c"), "d", nil, nil)
		}))
		if err != nil {
			t.Fatal(err)
		}
		handler.SetGateway(c.url)
		server := httptest.NewServer(handler)
		status, _, body := post(t, server.URL, function.JSON, &function.Call{Class: "a.b", Method: "run"}, &function.Meta{ID: "1"})
		server.Close()
		handler.Close()
		if status != c.status || !strings.Contains(string(body), c.want) {
			t.Errorf("%q: %d %s", c.url, status, body)
		}
	}
}
