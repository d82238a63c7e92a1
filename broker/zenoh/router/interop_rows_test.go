package router

import (
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/internal/zproxy"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// TestInteropRow02ThousandSubscribers has native subscribers with all forms of wildcards, in a client and in a peer.
func TestInteropRow02ThousandSubscribers(t *testing.T) {
	for _, mode := range []string{"client", "peer"} {
		t.Run(mode, func(t *testing.T) {
			interop(t)
			r := start(t, Config{})
			a, b := startNative(t, "client", r.Locators(), nil), startNative(t, mode, r.Locators(), nil)
			b.do(do("many", 1000, "many"))
			await(t, r, func(s Statistics) bool { return s.Subscribers == 5 }) // one for each key that they have
			a.do(do("put", "many/a/x", 1))
			b.expect("all heard")
		})
	}
}

// TestInteropRow17TLS has native clients of our router over TLS, with and without certificates of their own.
func TestInteropRow17TLS(t *testing.T) {
	interop(t)
	ca, foreign := newAuthority(t), newAuthority(t)
	settings := func(a *authority, name string) map[string]any {
		const under = "transport/link/tls/"
		m := map[string]any{under + "root_ca_certificate_base64": base64Of(ca.pem), "connect/timeout_ms": 1000, "connect/exit_on_failure": true}
		if a != nil {
			cert, key := a.issue(t, name)
			maps.Copy(m, map[string]any{under + "connect_certificate_base64": base64Of(cert), under + "connect_private_key_base64": base64Of(key), under + "enable_mtls": true})
		}
		return m
	}
	for _, tt := range []struct {
		name   string
		mutual bool
		client map[string]any
		ok     bool
	}{
		{"TLS", false, settings(nil, ""), true},
		{"mutual TLS", true, settings(ca, "device-1"), true},
		{"mutual TLS without a certificate", true, settings(nil, ""), false},
		{"mutual TLS with one of another authority", true, settings(foreign, "device-1"), false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cert, key := ca.issue(t, "router")
			link, err := transport.TLSFiles{RootCACertificate: ca.pem, ListenCertificate: cert, ListenPrivateKey: key, EnableMTLS: tt.mutual}.LinkConfig()
			if err != nil {
				t.Fatal(err)
			}
			var log logged
			r := start(t, Config{Listen: []string{"tls/127.0.0.1:0"}, Transport: transport.Config{Link: link}, Logger: logTo(&log)})
			if !tt.ok {
				tryNative(t, "client", r.Locators(), tt.client).refused()
				if !strings.Contains(log.String(), "certificate") {
					t.Errorf("the log does not tell why: %s", log.String())
				}
				return
			}
			talk(t, startNative(t, "client", r.Locators(), tt.client), startNative(t, "client", r.Locators(), tt.client))
		})
	}
}

// TestInteropProxy has native clients whose bytes come in pieces, late, or no more.
func TestInteropProxy(t *testing.T) {
	for name, way := range map[string]zproxy.Way{
		"split everywhere": {Chunk: 1},
		"split and late":   {Chunk: 700, Delay: time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			interop(t)
			r := start(t, Config{})
			a, b := startNative(t, "client", throughProxy(t, r, way), nil), startNative(t, "client", r.Locators(), nil)
			b.do(do("sub", "k/**"))
			a.do(do("sub", "back"))
			await(t, r, func(s Statistics) bool { return s.Subscribers == 2 })
			for _, size := range []int{50, 70_000} {
				text := fmt.Sprintf("(%d bytes) stamped", size)
				a.do(do("put", "k/a", size))
				b.expect("sample k/** PUT k/a " + text)
				b.do(do("put", "back", size))
				a.expect("sample back PUT back " + text)
			}
		})
	}
	for name, silent := range map[string][2]zproxy.Way{
		"nothing comes up":         {{Swallow: true}, {}},
		"nothing comes either way": {{Swallow: true}, {Swallow: true}},
	} {
		t.Run("half open: "+name, func(t *testing.T) {
			interop(t)
			r := start(t, Config{Transport: transport.Config{Lease: time.Second}})
			p, err := zproxy.Listen(r.Locators()[0])
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { _ = p.Close() })
			watcher := dial(t, r, transport.Config{})
			watcher.say(interestIn(1, wire.InterestFuture, wire.InterestTokens, "live/**"))
			watcher.sync()
			a := startNative(t, "client", []string{p.Endpoint()}, map[string]any{"transport/link/tx/lease": 1000})
			a.do(do("token", "live/a"))
			watcher.hears("token 1 live/a")
			p.Set(silent[0], silent[1])
			watcher.hears("no token 1")
			p.Refuse(true) // so that no connection of before is there when bytes flow again
			p.Cut()
			p.Set(zproxy.Way{}, zproxy.Way{})
			p.Refuse(false)
			watcher.hears("token 2 live/a") // it connects again by itself
			await(t, r, func(s Statistics) bool { return s.Sessions == 2 })
		})
	}
}

func base64Of(text string) string { return base64.StdEncoding.EncodeToString([]byte(text)) }

func throughProxy(t *testing.T, r *Router, way zproxy.Way) []string {
	t.Helper()
	p, err := zproxy.Listen(r.Locators()[0])
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = p.Close() })
	p.Set(way, way)
	return []string{p.Endpoint()}
}

// TestInteropRow19 has native advanced publishers and subscribers: history, detection of late publishers, and heartbeats go through our router.
func TestInteropRow19(t *testing.T) {
	interop(t)
	r := start(t, Config{})
	a, b := startNative(t, "client", r.Locators(), map[string]any{"timestamping/enabled": true}), startNative(t, "client", r.Locators(), nil)
	a.do(do("advpub", "adv/k"))
	a.do(do("advput", "adv/k", "1", "2", "3"))
	b.tell("advsub", "adv/**")
	history := []string{b.next(), b.next(), b.next(), b.next()}
	history = slices.DeleteFunc(history, func(line string) bool { return line == "done advsub" }) // which comes before, after or between
	if want := []string{"sample adv/k 1", "sample adv/k 2", "sample adv/k 3"}; !slices.Equal(history, want) {
		t.Fatalf("python said %q, want %q", history, want)
	}
	a.do(do("advput", "adv/k", "4"))
	b.expect("sample adv/k 4")
	late := startNative(t, "client", r.Locators(), map[string]any{"timestamping/enabled": true})
	late.do(do("advpub", "adv/late"))
	late.do(do("advput", "adv/late", "5"))
	b.expect("sample adv/late 5")
}
