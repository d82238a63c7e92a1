package transport

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// native is a session of the native implementation, in a process of Python. The tests with it run when OAAS_INTEROP is 1; OAAS_INTEROP_PYTHON
// names a Python that has the package eclipse-zenoh 1.10, or else python3 must.
type native struct {
	in  io.WriteCloser
	out chan string
}

func startNative(t *testing.T, mode, endpoint string) *native {
	t.Helper()
	if os.Getenv("OAAS_INTEROP") != "1" {
		t.Skip("OAAS_INTEROP is not 1")
	}
	python := os.Getenv("OAAS_INTEROP_PYTHON")
	if python == "" {
		python = "python3"
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/interop.py", mode, endpoint)
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &native{in: in, out: make(chan string, 100)}
	var wg sync.WaitGroup
	wg.Go(func() {
		for lines := bufio.NewScanner(out); lines.Scan(); {
			n.out <- lines.Text()
		}
	})
	t.Cleanup(func() {
		_ = in.Close()
		wg.Wait()
		_ = cmd.Wait()
	})
	return n
}

func (n *native) expect(t *testing.T, want string) {
	t.Helper()
	select {
	case got := <-n.out:
		if got != want {
			t.Fatalf("python said %q, want %q", got, want)
		}
	case <-time.After(20 * time.Second):
		t.Fatalf("python did not say %q", want)
	}
}

// exchange sends a message each way, small and in fragments, after both know who wants what.
func exchange(t *testing.T, e *end, python *native) {
	t.Helper()
	for _, size := range []int{3, 100_000, 5_000_000} {
		if _, err := fmt.Fprintln(python.in, size); err != nil {
			t.Fatal(err)
		}
		got := e.next(t)
		if len(got) != size {
			t.Fatalf("got %d bytes, want %d", len(got), size)
		}
		for i := range len(got) {
			if int(got[i]) != i%251 {
				t.Fatalf("byte %d of %d is %d", i, size, got[i])
			}
		}
		m := &wire.Push{Key: wire.Key("to/python/b"), Data: wire.Data{Payload: []byte(strings.Repeat("\x01", size))}}
		if err := e.Send(t.Context(), m, Delivery{QoS: wire.QoSRequest}); err != nil {
			t.Fatal(err)
		}
		python.expect(t, fmt.Sprintf("to/python/b %d %d", size, size))
	}
}

func subscribe(t *testing.T, e *end) {
	t.Helper()
	m := &wire.Declare{Kind: wire.DeclareSubscriber, ID: 1, Key: wire.Key("to/go/**"), QoS: wire.QoSDeclare}
	if err := e.Send(t.Context(), m, Delivery{QoS: m.QoS}); err != nil {
		t.Fatal(err)
	}
}

func TestInteropNativeRouter(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	endpoint := "tcp/" + free.Addr().String()
	if err := free.Close(); err != nil {
		t.Fatal(err)
	}
	python := startNative(t, "router", endpoint)
	python.expect(t, "open")
	python.expect(t, "ready")
	for _, config := range []Config{{}, {NoQoS: true}, {BatchSize: 2048}, {Resolution: 0x08}} {
		tr, err := Dial(t.Context(), endpoint, config)
		if err != nil {
			t.Fatal(err)
		}
		if tr.Peer().WhatAmI != wire.Router || tr.QoS() == config.NoQoS {
			t.Errorf("got %+v", tr.Peer())
		}
		e := serve(t, tr)
		subscribe(t, e)
		// The router answers an interest after the declaration that came before, in the same lane.
		seen := &wire.Interest{ID: 2, Mode: wire.InterestCurrent, Options: wire.InterestTokens, QoS: wire.QoSDeclare}
		if err := e.Send(t.Context(), seen, Delivery{QoS: seen.QoS}); err != nil {
			t.Fatal(err)
		}
		e.waitFinal(t)
		exchange(t, e, python)
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

func TestInteropNativeClient(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	python := startNative(t, "client", "tcp/"+listener.Addr().String())
	conn, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	tr, err := Accept(t.Context(), NewStreamLink(conn), Config{WhatAmI: wire.Router})
	if err != nil {
		t.Fatal(err)
	}
	if tr.Peer().WhatAmI != wire.Client || !tr.QoS() {
		t.Errorf("got %+v", tr.Peer())
	}
	e := serve(t, tr)
	python.expect(t, "open")
	python.expect(t, "ready")
	subscribe(t, e)
	exchange(t, e, python)
}
