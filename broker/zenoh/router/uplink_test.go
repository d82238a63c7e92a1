package router

import (
	"context"
	"strings"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// connected waits until that many uplinks of a router carry.
func connected(t *testing.T, r *Router, n int) {
	t.Helper()
	await(t, r, func(Statistics) bool { return r.carrying() == n })
}

// carrying counts the uplinks that carry.
func (r *Router) carrying() (n int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, u := range r.uplinks {
		if u.face != nil && !u.probing && !u.yielded {
			n++
		}
	}
	return n
}

// quick makes uplinks try again at once.
var quick = transport.Backoff{Initial: 10_000_000, Max: 20_000_000}

func TestUplinkCarriesBothWays(t *testing.T) {
	upper := start(t, Config{})
	above := dial(t, upper, transport.Config{})
	above.say(sub(1, "up/**"), complete(1, "qup"), token(1, "live/above"))
	above.sync()
	lower := start(t, Config{Connect: upper.Locators()})
	below := dial(t, lower, transport.Config{})
	below.say(sub(1, "down/**"), complete(1, "qdown"), token(1, "live/below"))
	below.sync()
	connected(t, lower, 1)
	await(t, lower, func(s Statistics) bool { return s.Subscribers == 2 && s.Queryables == 2 })
	await(t, upper, func(s Statistics) bool { return s.Subscribers == 2 && s.Queryables == 2 })

	above.say(putOf("down/x", "1"), putOf("up/x", "own"), get(1, "qdown", wire.BestMatching))
	below.hears("put down/x 1", "request 1 qdown")
	below.say(replyOf(1, "qdown", "yes"), final(1), putOf("up/y", "2"), get(2, "qup", wire.BestMatching))
	above.hears("reply 1 qdown yes", "final 1", "put up/y 2", "request 1 qup")
	above.say(final(1))
	below.hears("final 2")
	for _, c := range []*client{above, below} {
		c.say(interestIn(5, wire.InterestCurrentFuture, wire.InterestTokens, "live/**"))
	}
	above.hears("answer 5: token 1 live/below", "answer 5: final")
	below.hears("answer 5: token 1 live/above", "answer 5: final")
	above.hangUp()
	below.hears("no token 1")
	await(t, lower, func(s Statistics) bool { return s.Subscribers == 1 && s.Queryables == 1 && s.Tokens == 1 })
}

func TestUplinkComesBack(t *testing.T) {
	upper, err := Open(t.Context(), Config{Listen: []string{"tcp/127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	endpoint := upper.Locators()
	lower := start(t, Config{Connect: endpoint, Backoff: quick})
	below := dial(t, lower, transport.Config{})
	below.say(sub(1, "down/**"))
	below.sync()
	connected(t, lower, 1)
	if err := upper.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, lower, func(s Statistics) bool { return s.Upstreams == 0 })
	again := start(t, Config{Listen: endpoint})
	await(t, again, func(s Statistics) bool { return s.Subscribers == 1 })
	above := dial(t, again, transport.Config{})
	above.say(putOf("down/x", "1"))
	below.hears("put down/x 1")
}

func TestUplinkQueryEndsWithTheUplink(t *testing.T) {
	upper, err := Open(t.Context(), Config{Listen: []string{"tcp/127.0.0.1:0"}})
	if err != nil {
		t.Fatal(err)
	}
	lower := start(t, Config{Connect: upper.Locators(), Backoff: quick})
	above, below := dial(t, upper, transport.Config{}), dial(t, lower, transport.Config{})
	above.say(complete(1, "q"))
	await(t, lower, func(s Statistics) bool { return s.Queryables == 1 })
	below.say(get(1, "q", wire.BestMatching))
	above.hears("request 1 q")
	if err := upper.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	below.hears("final 1")
}

func TestUplinksTwoWaysToTheSamePlace(t *testing.T) {
	var log logged
	top := start(t, Config{})
	middle, err := Open(context.Background(), Config{Listen: []string{"tcp/127.0.0.1:0"}, Connect: top.Locators(), Backoff: quick})
	if err != nil {
		t.Fatal(err)
	}
	connected(t, middle, 1)
	lower := start(t, Config{Connect: []string{middle.Locators()[0], top.Locators()[0]}, Backoff: quick, Logger: logTo(&log)})
	await(t, lower, func(Statistics) bool {
		return strings.Contains(log.String(), "uplink stands by") && lower.carrying() == 1
	})
	above, below := dial(t, top, transport.Config{}), dial(t, lower, transport.Config{})
	below.say(sub(1, "k"))
	await(t, top, func(s Statistics) bool { return s.Subscribers == 1 })
	above.say(putOf("k", "1"), putOf("k", "2"))
	below.hears("put k 1", "put k 2") // each once
	if err := middle.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	await(t, lower, func(Statistics) bool { return strings.Count(log.String(), "uplink carries") == 2 })
	await(t, top, func(s Statistics) bool { return s.Sessions == 2 && s.Subscribers == 1 })
	above.say(putOf("k", "3"))
	below.hears("put k 3")
}

func TestUplinksInACircle(t *testing.T) {
	one := start(t, Config{})
	two := start(t, Config{Connect: one.Locators()})
	connected(t, two, 1)
	var log logged
	three := start(t, Config{Connect: two.Locators(), Logger: logTo(&log)})
	connected(t, three, 1)
	// What the first should have had from the beginning: a way to the third.
	u := &uplink{r: one, endpoint: three.Locators()[0], wake: make(chan struct{}, 1)}
	one.mu.Lock()
	one.uplinks = append(one.uplinks, u)
	one.mu.Unlock()
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	one.running.Go(func() { u.run(ctx) })
	await(t, one, func(Statistics) bool { one.mu.Lock(); defer one.mu.Unlock(); return u.yielded })
	if one.carrying() != 0 || two.carrying() != 1 || three.carrying() != 1 {
		t.Errorf("%d, %d, %d uplinks carry", one.carrying(), two.carrying(), three.carrying())
	}
	a, b := dial(t, one, transport.Config{}), dial(t, three, transport.Config{})
	b.say(sub(1, "k"))
	await(t, one, func(s Statistics) bool { return s.Subscribers == 1 })
	a.say(putOf("k", "1"), putOf("k", "2"))
	b.hears("put k 1", "put k 2")
}

func TestUplinkToItself(t *testing.T) {
	var log logged
	listen := freeEndpoint(t)
	r := start(t, Config{Listen: []string{listen}, Connect: []string{listen}, Backoff: quick, Logger: logTo(&log)})
	await(t, r, func(Statistics) bool { return strings.Contains(log.String(), "connection to self") })
	dial(t, r, transport.Config{}).sync()
}

// freeEndpoint gives an endpoint that nobody listens on.
func freeEndpoint(t *testing.T) string {
	t.Helper()
	l, err := transport.ListenLink(t.Context(), "tcp/127.0.0.1:0", transport.LinkConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Endpoint()
}

// Peers that are linked to each other need no router between them, and one that the router brought them twice would be wrong.
func TestRow16LinkedPeersAreNotBrokered(t *testing.T) {
	r := start(t, Config{})
	idA, idB := wire.NewZID(), wire.NewZID()
	a := dial(t, r, transport.Config{WhatAmI: wire.Peer, ZID: idA})
	b := dial(t, r, transport.Config{WhatAmI: wire.Peer, ZID: idB})
	c := dial(t, r, transport.Config{})
	for _, x := range []*client{a, b, c} {
		x.say(sub(1, "k"))
		x.sync()
	}
	a.say(interestIn(1, wire.InterestCurrentFuture, wire.InterestSubscribers|wire.InterestAggregate, "k"))
	a.hears("answer 1: sub 1 k", "answer 1: final")
	a.say(putOf("k", "brokered"))
	b.hears("put k brokered")
	c.hears("put k brokered")

	state := func(self, other wire.ZID) *wire.OAM {
		body, err := wire.AppendLinkStates(nil, []wire.LinkState{
			{PSID: 1, SN: 1, ZID: self, WhatAmI: wire.Peer, Links: []uint64{2}}, {PSID: 2, SN: 1, ZID: other, WhatAmI: wire.Peer},
		})
		if err != nil {
			t.Fatal(err)
		}
		return &wire.OAM{ID: wire.OAMLinkState, Body: body, QoS: wire.QoSDeclare}
	}
	a.say(state(idA, idB))
	a.sync()
	a.say(putOf("k", "direct"))
	c.hears("put k direct")
	b.sync() // has heard nothing
	c.hangUp()
	a.hears("no sub 1") // b is still there, but not by way of the router
	a.say(state(idA, wire.NewZID()))
	a.hears("sub 2 k")
	a.say(putOf("k", "again"))
	b.hears("put k again")
}
