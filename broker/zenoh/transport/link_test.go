package transport

import (
	"context"
	"errors"
	"net"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestParseEndpoint(t *testing.T) {
	e, err := ParseEndpoint("tls/[::1]:7447?prio=6-7;rel=1#bind=[::1]:0")
	if err != nil || e.Protocol != "tls" || e.Address != "[::1]:7447" || e.Metadata["prio"] != "6-7" || e.Config["bind"] != "[::1]:0" {
		t.Errorf("got %+v, %v", e, err)
	}
	if got, want := e.Locator(), "tls/[::1]:7447?prio=6-7;rel=1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
	for _, s := range []string{"unixsock-stream//run/z.sock", "inproc/a", "tcp/host:1#iface=lo", "tcp/h:1?a=b=c"} {
		if e, err := ParseEndpoint(s); err != nil || e.String() != s {
			t.Errorf("%s: got %s, %v", s, e, err)
		}
	}
	for _, s := range []string{"", "tcp", "tcp/", "/localhost:7447", "tcp/h:1?prio", "tcp/h:1#=x", "tcp/h:1#a=1;a=2"} {
		if e, err := ParseEndpoint(s); !errors.Is(err, ErrEndpoint) || !strings.Contains(err.Error(), `"`+s+`"`) {
			t.Errorf("%q: got %+v, %v", s, e, err)
		}
	}
}

// listen gives a listener that the test closes.
func listen(t testing.TB, endpoint string, c LinkConfig) Listener {
	t.Helper()
	l, err := ListenLink(t.Context(), endpoint, c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := l.Close(); err != nil {
			t.Error(err)
		}
	})
	return l
}

// connect opens a transport between an endpoint, which may have a port of 0, and whoever dials it.
func connect(t testing.TB, endpoint string, client, router Config) (c, r *Transport) {
	t.Helper()
	l := listen(t, endpoint, router.Link)
	router.WhatAmI = wire.Router
	var errR error
	var wg sync.WaitGroup
	wg.Go(func() {
		var link Link
		if link, errR = l.Accept(); errR == nil {
			r, errR = Accept(context.Background(), link, router)
		}
	})
	c, err := Dial(context.Background(), l.Endpoint(), client)
	if err != nil {
		_ = l.Close()
	}
	if wg.Wait(); err != nil || errR != nil {
		t.Fatalf("dial: %v, accept: %v", err, errR)
	}
	return c, r
}

// The same messages pass on links of every protocol, and both sides know where the other is.
func TestLinks(t *testing.T) {
	secure := newAuthority(t).files(t, "localhost", time.Hour)
	config := Config{Link: linkConfig(t, secure)}
	for _, tt := range []struct{ protocol, endpoint string }{
		{"tcp", "tcp/127.0.0.1:0"},
		{"tls", "tls/127.0.0.1:0"},
		{"quic", "quic/127.0.0.1:0"},
		{"udp", "udp/127.0.0.1:0"},
		{"ws", "ws/127.0.0.1:0"},
		{"unixsock-stream", "unixsock-stream/" + filepath.Join(t.TempDir(), "z.sock")},
		{"inproc", "inproc/links"},
	} {
		t.Run(tt.protocol, func(t *testing.T) {
			ct, rt := connect(t, tt.endpoint, config, config)
			c, r := serve(t, ct), serve(t, rt)
			if p := c.Peer(); p.Protocol != tt.protocol || p.Remote != rt.Peer().Local || !strings.HasPrefix(p.Remote, tt.protocol+"/") {
				t.Errorf("got %+v and %+v", p, r.Peer())
			}
			for _, size := range []int{1, 1 << 10, 1 << 16, 1 << 20} {
				for _, way := range [][2]*end{{c, r}, {r, c}} {
					want := strings.Repeat("x", size)
					if err := way[0].Send(t.Context(), put(want), reliably); err != nil {
						t.Fatal(err)
					}
					if got := way[1].next(t); got != want {
						t.Errorf("got %d bytes, want %d", len(got), size)
					}
				}
			}
			if err := c.Close(t.Context()); err != nil {
				t.Error(err)
			}
			if closed, ok := errors.AsType[*CloseError](r.wait(t)); !ok || closed.Reason != wire.CloseGeneric {
				t.Errorf("the other side got %v", r.Err())
			}
		})
	}
}

func TestListenerClosed(t *testing.T) {
	for _, endpoint := range []string{"tcp/127.0.0.1:0", "ws/127.0.0.1:0", "unixsock-stream/" + filepath.Join(t.TempDir(), "z.sock"), "inproc/closed"} {
		l := listen(t, endpoint, LinkConfig{})
		link, err := DialLink(t.Context(), l.Endpoint(), LinkConfig{})
		if err != nil {
			t.Fatal(err)
		}
		defer link.Close()
		accepted, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer accepted.Close()
		if err := l.Close(); err != nil {
			t.Error(err)
		}
		if _, err := l.Accept(); !errors.Is(err, net.ErrClosed) {
			t.Errorf("%s: accept after close: %v", endpoint, err)
		}
		if _, err := DialLink(t.Context(), l.Endpoint(), LinkConfig{}); err == nil || !strings.Contains(err.Error(), l.Endpoint()) {
			t.Errorf("%s: dial after close: %v", endpoint, err)
		}
	}
}

func TestBadEndpoints(t *testing.T) {
	listen(t, "inproc/taken", LinkConfig{})
	for endpoint, want := range map[string]error{
		"inproc/taken":         syscall.EADDRINUSE,
		"serial//dev/ttyS0":    errors.ErrUnsupported,
		"tcp/127.0.0.1:0#x=1":  ErrEndpoint,
		"inproc/other#x=1":     ErrEndpoint,
		"tls/127.0.0.1:0":      ErrCertificate,
		"quic/127.0.0.1:0":     ErrCertificate,
		"127.0.0.1:7447":       ErrEndpoint,
		"tcp/256.0.0.1:70000":  nil,
		"unixsock-stream//a/b": syscall.ENOENT,
	} {
		_, err := ListenLink(t.Context(), endpoint, LinkConfig{})
		if err == nil || want != nil && !errors.Is(err, want) || !strings.Contains(err.Error(), endpoint) {
			t.Errorf("%s: got %v, want %v", endpoint, err, want)
		}
	}
}

// A socket that a process left behind is taken over; one that somebody listens on is not.
func TestUnixSocketLeftBehind(t *testing.T) {
	path := filepath.Join(t.TempDir(), "z.sock")
	left, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	left.SetUnlinkOnClose(false)
	if err := left.Close(); err != nil {
		t.Fatal(err)
	}
	listen(t, "unixsock-stream/"+path, LinkConfig{})
	if _, err := ListenLink(t.Context(), "unixsock-stream/"+path, LinkConfig{}); !errors.Is(err, syscall.EADDRINUSE) {
		t.Errorf("got %v", err)
	}
}

func TestLocators(t *testing.T) {
	for endpoint, want := range map[string]string{
		"tcp/10.0.0.1:7447#bind=x": "tcp/10.0.0.1:7447", "tcp/host:1?rel=1": "tcp/host:1?rel=1", "unixsock-stream//a/b": "unixsock-stream//a/b", "inproc/a": "",
	} {
		got, err := Locators(endpoint)
		if err != nil || strings.Join(got, " ") != want {
			t.Errorf("%s: got %v, %v", endpoint, got, err)
		}
	}
	for _, endpoint := range []string{"tcp/[::]:7447", "tcp/0.0.0.0:7447", "tcp/:7447"} {
		got, err := Locators(endpoint)
		if err != nil || !slices.Contains(got, "tcp/127.0.0.1:7447") || slices.Contains(got, endpoint) {
			t.Errorf("%s: got %v, %v", endpoint, got, err)
		}
	}
}
