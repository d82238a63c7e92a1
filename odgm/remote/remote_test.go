package remote_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"reflect"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/api/fault"
	"github.com/hpcclab/oaas-go/api/function"
	"github.com/hpcclab/oaas-go/odgm"
	"github.com/hpcclab/oaas-go/odgm/call"
	"github.com/hpcclab/oaas-go/odgm/object"
	"github.com/hpcclab/oaas-go/odgm/remote/remotetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const name = "example.record"

// open gives a grid with a class whose method echo gives its payload back, whose method teapot refuses, and whose method hang tells of its end.
func open(t *testing.T) (grid *odgm.Grid, ended chan struct{}) {
	t.Helper()
	ended = make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		form, _ := function.CallForm(r.Header.Get("Content-Type"))
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return
		}
		c, err := function.DecodeCall(form, body, function.Limits{})
		if err != nil {
			t.Error(err)
			return
		}
		switch c.Method {
		case "hang":
			<-r.Context().Done()
			close(ended)
		case "teapot":
			w.Header().Set("Content-Type", "text/x-refusal")
			w.WriteHeader(http.StatusTeapot)
			_, _ = io.WriteString(w, "short and stout")
		default:
			w.Header().Set("Content-Type", form.ReplyType())
			_, _ = w.Write(function.EncodeReply(form, &function.Reply{Payload: c.Payload}))
		}
	}))
	transport := &http.Transport{}
	t.Cleanup(func() { transport.CloseIdleConnections(); server.Close() })
	grid, err := odgm.Open(odgm.Config{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = grid.Close(context.Background()) })
	class := odgm.Class{Name: name, Package: "example", Partitions: 3, Methods: map[string]call.Method{}}
	for _, m := range []string{"echo", "teapot", "hang"} {
		class.Methods[m] = call.Method{Name: m, Function: "fn", URL: server.URL, Transport: transport, Timeout: time.Minute}
	}
	if err := grid.Deploy(t.Context(), class); err != nil {
		t.Fatal(err)
	}
	return grid, ended
}

func at(id string) odgm.Target {
	return odgm.Target{Class: name, Partition: odgm.AnyPartition, ID: id}
}

// Faults are the same, in every field, from the grid and through a client.
func TestFaultsTravelWhole(t *testing.T) {
	grid, _ := open(t)
	client := remotetest.Link(t, grid)
	version := uint64(7)
	for _, do := range []func(g gridLike) error{
		func(g gridLike) error {
			_, err := g.Invoke(t.Context(), call.Call{Method: "teapot"}, at("a"))
			return err
		},
		func(g gridLike) error {
			_, err := g.Invoke(t.Context(), call.Call{Method: "none"}, at("a"))
			return err
		},
		func(g gridLike) error { _, _, err := g.Get(t.Context(), at("absent"), object.Everything); return err },
		func(g gridLike) error { _, _, err := g.Get(t.Context(), at("bad id"), object.Everything); return err },
		func(g gridLike) error {
			_, _, err := g.Get(t.Context(), odgm.Target{Class: name, Partition: 9, ID: "a"}, object.Everything)
			return err
		},
		func(g gridLike) error {
			_, _, err := g.Get(t.Context(), odgm.Target{Class: "no.class", ID: "a"}, object.Everything)
			return err
		},
		func(g gridLike) error {
			_, err := g.Write(t.Context(), at("a"), object.Change{Expect: object.Expect{Version: &version, Present: true}}, odgm.WriteOptions{})
			return err
		},
	} {
		want, got := fault.From(do(grid)), fault.From(do(client))
		if want == nil || got == nil || got.Code != want.Code || got.Message != want.Message || got.Status != want.Status ||
			!bytes.Equal(got.Body, want.Body) || got.ContentType != want.ContentType || got.RetryAfter != want.RetryAfter {
			t.Errorf("got %+v\nwant %+v", got, want)
		}
	}
}

type gridLike = interface {
	Get(context.Context, odgm.Target, object.Selector) (object.Object, object.Ref, error)
	Write(context.Context, odgm.Target, object.Change, odgm.WriteOptions) (odgm.Written, error)
	Invoke(context.Context, call.Call, odgm.Target) (call.Answer, error)
}

func TestClassesAreTold(t *testing.T) {
	grid, _ := open(t)
	client := remotetest.Link(t, grid)
	want, _ := grid.Class(name)
	got, err := client.Class(name)
	for m, b := range want.Methods {
		b.URL, b.Transport = "", nil // only the grid knows
		want.Methods[m] = b
	}
	got.Disabled, want.Disabled = nil, nil
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
	if err := grid.Undeploy(t.Context(), name, true); err != nil {
		t.Fatal(err)
	}
	until(t, "removed", func() bool { _, err := client.Class(name); return fault.CodeOf(err) == fault.NoClass })
}

// The end of the caller's context reaches the function.
func TestCancel(t *testing.T) {
	grid, ended := open(t)
	client := remotetest.Link(t, grid)
	ctx, cancel := context.WithCancel(t.Context())
	time.AfterFunc(50*time.Millisecond, cancel)
	if _, err := client.Invoke(ctx, call.Call{Method: "hang"}, at("a")); fault.CodeOf(err) != fault.Cancelled {
		t.Errorf("got %v", err)
	}
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Error("the function goes on")
	}
}

func TestLargeAndMany(t *testing.T) {
	grid, _ := open(t)
	client := remotetest.Link(t, grid)
	large := bytes.Repeat([]byte("0123456789abcdef"), 1<<20)
	put := object.Change{Puts: []object.Entry{{Key: "k", Data: large}}}
	if _, err := client.Write(t.Context(), at("large"), put, odgm.WriteOptions{}); err != nil {
		t.Fatal(err)
	}
	if e, _, err := client.Entry(t.Context(), at("large"), "k"); err != nil || !bytes.Equal(e.Data, large) {
		t.Errorf("got %d bytes, %v", len(e.Data), err)
	}
	var running sync.WaitGroup
	for n := range 128 {
		running.Go(func() {
			text := fmt.Sprint(n)
			got, err := client.Invoke(t.Context(), call.Call{Method: "echo", Payload: []byte(text)}, at("o"+text))
			if err != nil || string(got.Payload) != text {
				t.Errorf("call %d gives %q, %v", n, got.Payload, err)
			}
		})
	}
	running.Wait()
}

// A server that goes and comes again: callers are told, and a stream goes on without a loss.
func TestServerGoesAndComes(t *testing.T) {
	grid, _ := open(t)
	endpoint := remotetest.Router(t)
	first := remotetest.Session(t, endpoint)
	remotetest.Serve(t, first, grid)
	client := remotetest.Client(t, remotetest.Session(t, endpoint))
	until(t, "known", func() bool { _, err := client.Class(name); return err == nil })
	changes, err := client.Subscribe(t.Context(), odgm.StreamFilter{Class: name, Partition: odgm.AnyPartition}, "")
	if err != nil {
		t.Fatal(err)
	}
	defer changes.Close()
	put := object.Change{Puts: []object.Entry{{Key: "k", Data: []byte("v")}}}
	write := func(n int) {
		t.Helper()
		if _, err := grid.Write(t.Context(), at(fmt.Sprintf("o%d", n)), put, odgm.WriteOptions{}); err != nil {
			t.Fatal(err)
		}
	}
	for n := range 50 {
		write(n)
	}
	if err := first.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	until(t, "told", func() bool {
		_, _, err := client.Get(t.Context(), at("o1"), object.Everything)
		return fault.CodeOf(err) == fault.Unavailable
	})
	for n := range 50 {
		write(50 + n) // which nobody publishes
	}
	remotetest.Serve(t, remotetest.Session(t, endpoint), grid)
	until(t, "back", func() bool { _, _, err := client.Get(t.Context(), at("o1"), object.Everything); return err == nil })
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := map[string]bool{}
	for len(seen) < 100 {
		c, err := changes.Next(ctx)
		if err != nil {
			t.Fatalf("after %d changes: %v", len(seen), err)
		}
		if seen[c.Object] {
			t.Errorf("%s comes twice", c.Object)
		}
		seen[c.Object] = true
	}
}

func until(t *testing.T, what string, met func() bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); !met(); time.Sleep(2 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("still not: %s", what)
		}
	}
}
