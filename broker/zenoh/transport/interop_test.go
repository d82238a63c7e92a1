package transport

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
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

func needNative(t *testing.T) {
	t.Helper()
	if os.Getenv("OAAS_INTEROP") != "1" {
		t.Skip("OAAS_INTEROP is not 1")
	}
}

func startNative(t *testing.T, settings ...map[string]any) *native {
	t.Helper()
	needNative(t)
	python := os.Getenv("OAAS_INTEROP_PYTHON")
	if python == "" {
		python = "python3"
	}
	all := map[string]any{"scouting/multicast/enabled": false, "listen/endpoints": []string{}, "connect/timeout_ms": 3000}
	for _, s := range settings {
		maps.Copy(all, s)
	}
	text, err := json.Marshal(all)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/interop.py", string(text))
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
func exchange(t *testing.T, e *end, python *native, sizes ...int) {
	t.Helper()
	for _, size := range sizes {
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

// Settings of native sessions.
func routerAt(endpoint string) map[string]any {
	return map[string]any{"mode": "router", "listen/endpoints": []string{endpoint}}
}

func clientOf(endpoint string) map[string]any {
	return map[string]any{"mode": "client", "connect/endpoints": []string{endpoint}}
}

func tlsSettings(f TLSFiles) map[string]any {
	const under = "transport/link/tls/"
	return map[string]any{
		under + "root_ca_certificate": f.RootCACertificate, under + "listen_certificate": f.ListenCertificate, under + "listen_private_key": f.ListenPrivateKey,
		under + "connect_certificate": f.ConnectCertificate, under + "connect_private_key": f.ConnectPrivateKey, under + "enable_mtls": f.EnableMTLS,
	}
}

// freeEndpoint gives one that nobody listens on.
func freeEndpoint(t *testing.T, protocol string) string {
	t.Helper()
	if protocol == "unixsock-stream" {
		return protocol + "/" + filepath.Join(t.TempDir(), "z.sock")
	}
	l, err := ListenLink(t.Context(), map[bool]string{true: "udp", false: "tcp"}[protocol == "udp"]+"/127.0.0.1:0", LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, address, _ := strings.Cut(l.Endpoint(), "/")
	return protocol + "/" + address
}

// join says what this side subscribes to, and waits until the native router knows it: the answer to an interest comes after what was said
// before, in the same lane.
func join(t *testing.T, e *end) {
	t.Helper()
	subscribe(t, e)
	seen := &wire.Interest{ID: 2, Mode: wire.InterestCurrent, Options: wire.InterestTokens, QoS: wire.QoSDeclare}
	if err := e.Send(t.Context(), seen, Delivery{QoS: seen.QoS}); err != nil {
		t.Fatal(err)
	}
	e.waitFinal(t)
}

var (
	allSizes   = []int{3, 100_000, 5_000_000, 16 << 20}
	smallSizes = []int{3, 30_000} // what a datagram can carry
)

func TestInteropNativeRouter(t *testing.T) {
	endpoint := freeEndpoint(t, "tcp")
	python := startNative(t, routerAt(endpoint))
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
		join(t, e)
		exchange(t, e, python, allSizes...)
		if err := e.Close(t.Context()); err != nil {
			t.Error(err)
		}
	}
}

// acceptNative accepts the transport of a native session.
func acceptNative(t *testing.T, l Listener, config Config) *Transport {
	t.Helper()
	link, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	config.WhatAmI = orDefault(config.WhatAmI, wire.Router)
	tr, err := Accept(t.Context(), link, config)
	if err != nil {
		t.Fatal(err)
	}
	return tr
}

// Every protocol of links, with the native implementation on either side.
func TestInteropLinks(t *testing.T) {
	a := newAuthority(t)
	ours, theirs := a.files(t, "gopher", time.Hour), a.files(t, "python", time.Hour)
	for _, tt := range []struct {
		name, protocol string
		ours, theirs   TLSFiles
		sizes          []int
	}{
		{"tcp", "tcp", TLSFiles{}, TLSFiles{}, allSizes},
		{"tls", "tls", ours, theirs, allSizes},
		{"mtls", "tls", ours.with(mutual), theirs.with(mutual), allSizes},
		{"ws", "ws", TLSFiles{}, TLSFiles{}, allSizes},
		{"udp", "udp", TLSFiles{}, TLSFiles{}, smallSizes},
		{"unixsock-stream", "unixsock-stream", TLSFiles{}, TLSFiles{}, allSizes},
	} {
		config := Config{Link: linkConfig(t, tt.ours)}
		settings := map[string]any{}
		if tt.protocol == "tls" {
			settings = tlsSettings(tt.theirs)
		}
		check := func(t *testing.T, p Peer) {
			want := ""
			if tt.ours.EnableMTLS {
				want = "python"
			}
			if p.Protocol != tt.protocol || p.CertName != want && (p.WhatAmI != wire.Router || p.CertName != "python") {
				t.Errorf("got %+v", p)
			}
		}
		t.Run(tt.name+" to the native router", func(t *testing.T) {
			endpoint := freeEndpoint(t, tt.protocol)
			python := startNative(t, routerAt(endpoint), settings)
			python.expect(t, "open")
			python.expect(t, "ready")
			tr, err := Dial(t.Context(), endpoint, config)
			if err != nil {
				t.Fatal(err)
			}
			check(t, tr.Peer())
			e := serve(t, tr)
			join(t, e)
			exchange(t, e, python, tt.sizes...)
			if err := e.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
		t.Run(tt.name+" from the native client", func(t *testing.T) {
			l := listen(t, zeroPort(freeEndpoint(t, tt.protocol)), config.Link)
			python := startNative(t, clientOf(l.Endpoint()), settings)
			tr := acceptNative(t, l, config)
			check(t, tr.Peer())
			e := serve(t, tr)
			python.expect(t, "open")
			python.expect(t, "ready")
			subscribe(t, e)
			exchange(t, e, python, tt.sizes...)
		})
	}
}

// zeroPort lets the system choose the port.
func zeroPort(endpoint string) string {
	if i := strings.LastIndexByte(endpoint, ':'); i >= 0 {
		return endpoint[:i] + ":0"
	}
	return endpoint
}

func TestInteropUserAndPassword(t *testing.T) {
	file := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(file, []byte("alice:secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	const under = "transport/auth/usrpwd/"
	endpoint := freeEndpoint(t, "tcp")
	python := startNative(t, routerAt(endpoint), map[string]any{under + "dictionary_file": file, under + "user": "router", under + "password": "x"})
	python.expect(t, "open")
	python.expect(t, "ready")
	tr, err := Dial(t.Context(), endpoint, Config{User: "alice", Password: "secret"})
	if err != nil {
		t.Fatal(err)
	}
	e := serve(t, tr)
	join(t, e)
	exchange(t, e, python, 3)
	for _, bad := range []Config{{}, {User: "alice", Password: "wrong"}, {User: "bob", Password: "secret"}} {
		if _, err := Dial(t.Context(), endpoint, bad); err == nil {
			t.Errorf("user %q with password %q is welcome", bad.User, bad.Password)
		}
	}

	l := listen(t, "tcp/127.0.0.1:0", LinkConfig{})
	users := Config{WhatAmI: wire.Router, PasswordOf: func(user string) (string, bool) { return "secret", user == "alice" }}
	python = startNative(t, clientOf(l.Endpoint()), map[string]any{under + "user": "alice", under + "password": "secret"})
	if tr := acceptNative(t, l, users); tr.Peer().User != "alice" {
		t.Errorf("got %+v", tr.Peer())
	} else {
		serve(t, tr)
	}
	python.expect(t, "open")
	for _, settings := range []map[string]any{{}, {under + "user": "alice", under + "password": "wrong"}} {
		python := startNative(t, clientOf(l.Endpoint()), settings)
		link, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Accept(t.Context(), link, users); !errors.Is(err, ErrAuth) {
			t.Errorf("%v: got %v", settings, err)
		}
		go func() { // it may try again
			for {
				link, err := l.Accept()
				if err != nil {
					return
				}
				_, _ = Accept(context.Background(), link, users)
			}
		}()
		python.expect(t, "failed")
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		l = listen(t, "tcp/127.0.0.1:0", LinkConfig{})
	}
}

// A native peer that dials us while we dial it has one transport with us, whichever it is.
func TestInteropSimultaneousConnect(t *testing.T) {
	needNative(t)
	for round := range 4 {
		self := newNode(t, "tcp/127.0.0.1:0", byte(round+1))
		there := freeEndpoint(t, "tcp")
		python := startNative(t, map[string]any{
			"mode": "peer", "listen/endpoints": []string{there}, "connect/endpoints": []string{self.listener.Endpoint()},
		})
		self.wg.Go(func() { // as soon as it listens
			for self.Len() == 0 && self.ctx.Err() == nil {
				self.keep(self.Dial(self.ctx, there, self.config))
			}
		})
		python.expect(t, "open")
		python.expect(t, "ready")
		tr := <-self.transports
		if self.Len() != 1 || tr.Err() != nil {
			t.Errorf("%d transports, %v", self.Len(), tr.Err())
		}
		m := &wire.Push{Key: wire.Key("to/python/b"), Data: wire.Data{Payload: []byte{1, 2}}}
		if err := tr.Send(t.Context(), m, reliably); err != nil {
			t.Fatal(err)
		}
		python.expect(t, "to/python/b 2 3")
		self.stop(t)
	}
}
