package scouting

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// onLoopback gives a group with a port that nobody else uses.
func onLoopback(t *testing.T) Config {
	t.Helper()
	interfaces, err := net.Interfaces()
	if err != nil {
		t.Fatal(err)
	}
	i := slices.IndexFunc(interfaces, func(i net.Interface) bool { return i.Flags&net.FlagLoopback != 0 })
	conn, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil || i < 0 {
		t.Fatal(err)
	}
	defer conn.Close()
	port := conn.LocalAddr().(*net.UDPAddr).Port
	return Config{Group: fmt.Sprintf("224.0.0.224:%d", port), Interfaces: []string{interfaces[i].Name}, Interval: 20 * time.Millisecond}
}

func respond(t *testing.T, c Config, h wire.Hello) {
	t.Helper()
	r, err := Listen(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := r.Serve(ctx, func() wire.Hello { return h }); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
}

func TestScout(t *testing.T) {
	c := onLoopback(t)
	for i, role := range []wire.WhatAmI{wire.Router, wire.Peer, wire.Client, wire.Peer} {
		h := wire.Hello{ZID: wire.ZID{byte(i + 1)}, WhatAmI: role, Locators: []string{fmt.Sprintf("tcp/127.0.0.1:%d", i+1)}}
		if i == 3 {
			h.Locators = nil
		}
		respond(t, c, h)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	seen := map[wire.ZID]string{}
	again := 0
	for f, err := range Scout(ctx, c, wire.Router|wire.Peer) {
		if err != nil {
			t.Fatal(err)
		}
		if seen[f.ZID] != "" {
			again++
		}
		seen[f.ZID] = f.WhatAmI.String() + " " + strings.Join(f.Locators, " ")
		if len(seen) == 2 && again > 1 { // there were further questions
			break
		}
	}
	if seen[wire.ZID{1}] != "router tcp/127.0.0.1:1" || seen[wire.ZID{2}] != "peer tcp/127.0.0.1:2" || len(seen) != 2 {
		t.Errorf("got %v", seen)
	}
}

// A node does not find itself, and stops with its context.
func TestScoutAlone(t *testing.T) {
	c := onLoopback(t)
	c.ZID = wire.ZID{1}
	respond(t, c, wire.Hello{ZID: c.ZID, WhatAmI: wire.Router, Locators: []string{"tcp/127.0.0.1:1"}})
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	for f, err := range Scout(ctx, c, wire.Router) {
		t.Errorf("got %+v, %v", f, err)
	}
}

func TestAnswer(t *testing.T) {
	ask := func(s wire.Scout) []byte {
		b, err := s.AppendBinary(nil)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	self := wire.Hello{ZID: wire.ZID{1}, WhatAmI: wire.Router, Locators: []string{"tcp/127.0.0.1:1", "tcp/10.0.0.1:1", "unixsock-stream//a", "tcp/[::1]:1"}}
	here, there := netip.MustParseAddrPort("127.0.0.1:9"), netip.MustParseAddrPort("10.0.0.9:9")
	for _, tt := range []struct {
		name string
		b    []byte
		from netip.AddrPort
		want int // locators; 0 is no answer
	}{
		{"from here", ask(wire.Scout{What: wire.Router}), here, 4},
		{"from elsewhere", ask(wire.Scout{What: wire.Router | wire.Peer}), there, 1},
		{"another role", ask(wire.Scout{What: wire.Peer}), here, 0},
		{"itself", ask(wire.Scout{What: wire.Router, ZID: self.ZID}), here, 0},
		{"another version", []byte{1, 8, 3}, here, 0},
		{"an answer", []byte{2, 9, 0, 1}, here, 0},
		{"nothing", nil, here, 0},
	} {
		var got wire.Hello
		if b := answer(tt.b, tt.from, func() wire.Hello { return self }); b != nil {
			m, err := wire.DecodeScouting(b)
			if err != nil {
				t.Fatal(err)
			}
			got = *m.(*wire.Hello)
		}
		if len(got.Locators) != tt.want {
			t.Errorf("%s: got %+v", tt.name, got)
		}
	}
}

func TestBadConfig(t *testing.T) {
	for want, c := range map[string]Config{
		"10.0.0.1:1": {Group: "10.0.0.1:1"}, "nobody": {Interfaces: []string{"nobody"}}, "no port": {Group: "224.0.0.224"}, "TTL 256": {TTL: 256},
	} {
		if _, err := Listen(t.Context(), c); err == nil || !strings.Contains(err.Error(), strings.TrimPrefix(want, "no ")) {
			t.Errorf("%s: listen: %v", want, err)
		}
		n := 0
		for _, err := range Scout(t.Context(), c, wire.Router) {
			if n++; err == nil {
				t.Errorf("%s: no error", want)
			}
		}
		if n != 1 {
			t.Errorf("%s: %d items", want, n)
		}
	}
}

func FuzzAnswer(f *testing.F) {
	f.Add([]byte{1, 9, 3})
	f.Add([]byte{1, 9, 0x0b, 1})
	f.Fuzz(func(t *testing.T, b []byte) {
		h := wire.Hello{ZID: wire.ZID{1}, WhatAmI: wire.Router, Locators: []string{"tcp/127.0.0.1:1"}}
		answer(b, netip.MustParseAddrPort("127.0.0.1:9"), func() wire.Hello { return h })
	})
}
