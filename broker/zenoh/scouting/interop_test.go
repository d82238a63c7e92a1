package scouting

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/internal/native"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

func multicast(c Config) native.Settings {
	const under = "scouting/multicast/"
	return native.Settings{under + "enabled": true, under + "interface": c.Interfaces[0], under + "address": c.Group}
}

func TestInteropScout(t *testing.T) {
	native.Need(t)
	c := onLoopback(t)
	native.Start(t, native.Router("tcp/127.0.0.1:0"), multicast(c)).Open(t)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for f, err := range Scout(ctx, c, wire.Router) {
		if err != nil || f.WhatAmI != wire.Router || len(f.Locators) == 0 {
			t.Fatalf("got %+v, %v", f, err)
		}
		tr, err := transport.Dial(ctx, f.Locators[0], transport.Config{Expect: f.ZID})
		if err != nil {
			t.Fatal(err)
		}
		_ = tr.Close(canceled(t)) // nobody serves it
		return
	}
	t.Error("nobody answered")
}

// canceled gives a context that has ended, for closing a transport that nobody serves.
func canceled(t *testing.T) context.Context {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	return ctx
}

func TestInteropRespond(t *testing.T) {
	native.Need(t)
	c := onLoopback(t)
	h := wire.Hello{ZID: wire.NewZID(), WhatAmI: wire.Router, Locators: []string{"tcp/127.0.0.1:1234", "ws/127.0.0.1:1235"}}
	respond(t, c, h)
	python := native.Start(t, multicast(c), native.Settings{"scout": "router"})
	if got, want := python.Next(t), "hello "+h.ZID.String()+" router "+strings.Join(h.Locators, " "); got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two native peers that know only us find each other by what we tell, and we learn where they are.
func TestInteropGossip(t *testing.T) {
	native.Need(t)
	l, err := transport.ListenLink(t.Context(), "tcp/127.0.0.1:0", transport.LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	g := newGossiper(l.Endpoint())
	g.wg.Go(func() { g.accept(ctx, l) })
	t.Cleanup(func() { cancel(); l.Close(); g.wg.Wait() })
	a := native.Start(t, native.Peer("tcp/127.0.0.1:0", l.Endpoint())).Open(t)
	native.Start(t, native.Peer("tcp/127.0.0.1:0", l.Endpoint())).Open(t)
	for range 2 {
		select {
		case h := <-g.learned:
			if h.WhatAmI != wire.Peer || !strings.HasPrefix(h.Locators[0], "tcp/127.0.0.1:") {
				t.Errorf("learned %+v", h)
			}
		case <-time.After(20 * time.Second):
			t.Fatal("nothing was learned")
		}
	}
	b := native.Start(t, native.Peer("tcp/127.0.0.1:0", l.Endpoint())).Open(t)
	deadline := time.Now().Add(20 * time.Second)
	for got := ""; got == "" && time.Now().Before(deadline); { // until b is linked to a
		b.Put(t, "to/python/x", 3)
		select {
		case got = <-a.Said():
			if got != native.Sum("to/python/x", []byte{0, 1, 2}) {
				t.Fatalf("got %q", got)
			}
			return
		case <-time.After(100 * time.Millisecond):
		}
	}
	t.Error("the peers did not find each other")
}

// gossiper is a peer that does nothing but gossip.
type gossiper struct {
	*Gossip
	config  transport.Config
	learned chan wire.Hello
	wg      sync.WaitGroup

	mu    sync.Mutex
	links map[*Neighbour]*transport.Transport
}

func newGossiper(locator string) *gossiper {
	config := transport.Config{ZID: wire.NewZID(), WhatAmI: wire.Peer}
	return &gossiper{
		Gossip: NewGossip(wire.Hello{ZID: config.ZID, WhatAmI: wire.Peer, Locators: []string{locator}}), config: config,
		learned: make(chan wire.Hello, 10), links: map[*Neighbour]*transport.Transport{},
	}
}

func (g *gossiper) accept(ctx context.Context, l transport.Listener) {
	for {
		link, err := l.Accept()
		if err != nil {
			return
		}
		g.wg.Go(func() { g.serve(ctx, link) })
	}
}

func (g *gossiper) serve(ctx context.Context, link transport.Link) {
	tr, err := transport.Accept(ctx, link, g.config)
	if err != nil {
		return
	}
	n := g.Join(tr.Peer().ZID, tr.Peer().WhatAmI)
	defer n.Leave()
	g.mu.Lock()
	g.links[n] = tr
	g.mu.Unlock()
	if m, err := n.Introduce(); err == nil {
		_ = tr.Send(ctx, m, transport.Delivery{QoS: m.QoS})
	}
	_ = tr.Serve(ctx, func(m wire.Network) error {
		switch m := m.(type) {
		case *wire.OAM:
			return g.hear(n, m)
		case *wire.Interest: // of which we have nothing
			final := &wire.Declare{Kind: wire.DeclareFinal, InterestID: m.ID, Answer: true, QoS: wire.QoSDeclare}
			return tr.Send(ctx, final, transport.Delivery{QoS: final.QoS, NoWait: true})
		}
		return nil
	})
}

func (g *gossiper) hear(n *Neighbour, m *wire.OAM) error {
	news, err := n.Learn(m)
	if err != nil {
		return err
	}
	for _, h := range news {
		g.learned <- h
		if h.ZID != n.zid {
			continue
		}
		about, err := n.About()
		if err != nil {
			return err
		}
		g.mu.Lock()
		for other, tr := range g.links {
			if other != n {
				_ = tr.Send(context.Background(), about, transport.Delivery{QoS: about.QoS, NoWait: true})
			}
		}
		g.mu.Unlock()
	}
	return nil
}
