package scouting

import (
	"errors"
	"fmt"
	"slices"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// member is a node of a network that has only gossip: links carry messages at once.
type member struct {
	*Gossip
	hello wire.Hello
	links map[wire.ZID]*Neighbour
}

type network map[wire.ZID]*member

func (n network) add(zid byte, locators ...string) *member {
	h := wire.Hello{ZID: wire.ZID{zid}, WhatAmI: wire.Peer, Locators: locators}
	m := &member{Gossip: NewGossip(h), hello: h, links: map[wire.ZID]*Neighbour{}}
	n[h.ZID] = m
	return m
}

// link connects two nodes, as a session would, and everybody that they hear of.
func (n network) link(t *testing.T, a, b *member) {
	t.Helper()
	if a.links[b.hello.ZID] != nil {
		return
	}
	a.links[b.hello.ZID] = a.Join(b.hello.ZID, b.hello.WhatAmI)
	b.links[a.hello.ZID] = b.Join(a.hello.ZID, a.hello.WhatAmI)
	for _, way := range [][2]*member{{a, b}, {b, a}} {
		m, err := way[0].links[way[1].hello.ZID].Introduce()
		if err != nil {
			t.Fatal(err)
		}
		n.tell(t, way[0], way[1], m)
	}
}

func (n network) tell(t *testing.T, from, to *member, m *wire.OAM) {
	t.Helper()
	news, err := to.links[from.hello.ZID].Learn(m)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range news {
		if h.ZID != from.hello.ZID {
			n.link(t, to, n[h.ZID])
			continue
		}
		about, err := to.links[h.ZID].About()
		if err != nil || about == nil {
			t.Fatal(about, err)
		}
		for zid := range to.links {
			if zid != h.ZID {
				n.tell(t, to, n[zid], about)
			}
		}
	}
}

// Peers that are linked to one of them all find each other, whatever the order; one without locators finds the others.
func TestGossipMeshes(t *testing.T) {
	n := network{}
	var all []*member
	for i := byte(1); i <= 5; i++ {
		locators := []string{fmt.Sprintf("tcp/10.0.0.%d:7447", i)}
		if i == 3 {
			locators = nil
		}
		all = append(all, n.add(i, locators...))
	}
	for _, m := range all[1:] {
		n.link(t, all[0], m)
	}
	for _, m := range all {
		if len(m.links) != 4 {
			t.Errorf("node %s has %d links", m.hello.ZID, len(m.links))
		}
	}
}

func oam(t *testing.T, list ...wire.LinkState) *wire.OAM {
	t.Helper()
	body, err := wire.AppendLinkStates(nil, list)
	if err != nil {
		t.Fatal(err)
	}
	return &wire.OAM{ID: wire.OAMLinkState, Body: body}
}

func TestLearn(t *testing.T) {
	self := wire.Hello{ZID: wire.ZID{1}, WhatAmI: wire.Peer, Locators: []string{"tcp/self:1"}}
	g := NewGossip(self)
	n := g.Join(wire.ZID{2}, wire.Peer)
	state := func(zid byte, sn uint64, locators ...string) wire.LinkState {
		return wire.LinkState{PSID: uint64(zid) + 100, SN: sn, ZID: wire.ZID{zid}, WhatAmI: wire.Peer, Locators: locators, Links: []uint64{102}}
	}
	unnamed := state(3, 5, "tcp/c:9")
	unnamed.ZID = wire.ZID{}
	unknown := unnamed
	unknown.PSID = 7
	for _, tt := range []struct {
		name  string
		state wire.LinkState
		news  int
	}{
		{"the neighbour", state(2, 1, "tcp/b:1"), 1},
		{"the same", state(2, 1, "tcp/b:1"), 0},
		{"nothing new", state(2, 2, "tcp/b:1"), 0},
		{"another place", state(2, 3, "tcp/b:2"), 1},
		{"old", state(2, 2, "tcp/b:1"), 0},
		{"this node", state(1, 99, "tcp/evil:1"), 0},
		{"somebody", state(3, 4, "tcp/c:1"), 1},
		{"by number only", unnamed, 1},
		{"an unknown number", unknown, 0},
		{"nowhere", state(4, 1), 0},
	} {
		news, err := n.Learn(oam(t, tt.state))
		if err != nil || len(news) != tt.news {
			t.Errorf("%s: got %+v, %v", tt.name, news, err)
		}
	}
	m, err := n.Introduce()
	if err != nil {
		t.Fatal(err)
	}
	list, err := wire.DecodeLinkStates(m.Body)
	if err != nil || len(list) != 1 || list[0].ZID != self.ZID || !slices.Equal(list[0].Locators, self.Locators) {
		t.Errorf("only neighbours are handed on: %+v, %v", list, err)
	}
	if n.Leave(); g.nodes[wire.ZID{2}] != nil {
		t.Error("a neighbour that left is remembered")
	}
	if _, err := n.Learn(&wire.OAM{ID: wire.OAMLinkState, Body: []byte{0xff}}); err == nil {
		t.Error("rubbish was learned")
	}
	if _, ok := errors.AsType[*wire.DecodeError](err); ok {
		t.Error(err)
	}
	if news, err := n.Learn(&wire.OAM{ID: 9, Body: []byte{0xff}}); news != nil || err != nil {
		t.Errorf("another message: %v, %v", news, err)
	}
}

func TestGossipIsBounded(t *testing.T) {
	g := NewGossip(wire.Hello{ZID: wire.ZID{1}, WhatAmI: wire.Peer})
	n := g.Join(wire.ZID{2}, wire.Peer)
	for i := range 2 * maxNodes {
		zid := wire.ZID{9, byte(i), byte(i >> 8)}
		s := wire.LinkState{PSID: uint64(i), SN: 1, ZID: zid, WhatAmI: wire.Peer, Locators: slices.Repeat([]string{"tcp/x:1"}, 200)}
		if _, err := n.Learn(oam(t, s)); err != nil {
			t.Fatal(err)
		}
	}
	if len(g.nodes) > maxNodes || len(n.names) > maxNodes {
		t.Errorf("%d nodes and %d names", len(g.nodes), len(n.names))
	}
	for _, s := range g.nodes {
		if len(s.Locators) > maxLocators {
			t.Fatalf("%d locators", len(s.Locators))
		}
	}
}
