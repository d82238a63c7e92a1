package scouting

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"sync"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Bounds of what a Gossip remembers of others. Neighbours are remembered in any case.
const (
	maxNodes    = 1 << 12
	maxLocators = 16 // of a node
)

// Gossip is what a node knows of others from those it is linked to: who they are and where they can be reached. A node tells a new neighbour of
// itself and its other neighbours (Introduce), and the other neighbours of the new one (About); so all meet, and nothing is told twice.
type Gossip struct {
	mu    sync.Mutex
	nodes map[wire.ZID]*node
	next  uint64 // number of the next node
}

// node is what is known of one.
type node struct {
	wire.LinkState
	neighbour bool
}

// NewGossip begins with the node itself.
func NewGossip(self wire.Hello) *Gossip {
	g := &Gossip{nodes: map[wire.ZID]*node{}, next: 1}
	g.nodes[self.ZID] = &node{LinkState: wire.LinkState{SN: 1, ZID: self.ZID, WhatAmI: self.WhatAmI, Locators: self.Locators}}
	return g
}

// Neighbour is one that this node is linked to.
type Neighbour struct {
	gossip *Gossip
	zid    wire.ZID
	names  map[uint64]wire.ZID // what its numbers stand for
}

// Join adds a neighbour.
func (g *Gossip) Join(zid wire.ZID, role wire.WhatAmI) *Neighbour {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.add(wire.LinkState{ZID: zid, WhatAmI: role}).neighbour = true
	return &Neighbour{gossip: g, zid: zid, names: map[uint64]wire.ZID{}}
}

// Leave tells that the link to a neighbour has ended.
func (n *Neighbour) Leave() {
	n.gossip.mu.Lock()
	defer n.gossip.mu.Unlock()
	delete(n.gossip.nodes, n.zid)
}

// add is called with the lock held, and gives the node of a state that has an id.
func (g *Gossip) add(s wire.LinkState) *node {
	known := g.nodes[s.ZID]
	if known == nil {
		s.PSID, s.Links, s.Weights = g.next, nil, nil // numbers of the neighbour's mean nothing here
		g.next++
		known = &node{LinkState: s}
		g.nodes[s.ZID] = known
	}
	return known
}

// Introduce gives what to tell a new neighbour: of this node and its other neighbours.
func (n *Neighbour) Introduce() (*wire.OAM, error) {
	return n.gossip.message(func(s *node) bool { return s.PSID == 0 || s.neighbour && s.ZID != n.zid && len(s.Locators) > 0 })
}

// About gives what to tell the others of a neighbour, or nil if nothing is known that would help them.
func (n *Neighbour) About() (*wire.OAM, error) {
	m, err := n.gossip.message(func(s *node) bool { return s.ZID == n.zid && len(s.Locators) > 0 })
	if len(m.Body) <= 1 {
		return nil, err
	}
	return m, err
}

func (g *Gossip) message(which func(*node) bool) (*wire.OAM, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	var list []wire.LinkState
	for s := range maps.Values(g.nodes) {
		if which(s) {
			list = append(list, s.LinkState)
		}
	}
	slices.SortFunc(list, func(a, b wire.LinkState) int { return cmp.Compare(a.PSID, b.PSID) })
	body, err := wire.AppendLinkStates(nil, list)
	return &wire.OAM{ID: wire.OAMLinkState, Body: body, QoS: wire.QoSDeclare}, err
}

// Learn reads what a neighbour tells, and gives the nodes of which it is new where they can be reached, this one never. When the neighbour itself
// is among them, it is time to tell the others (About). Other messages of operation and maintenance teach nothing.
func (n *Neighbour) Learn(m *wire.OAM) ([]wire.Hello, error) {
	if m.ID != wire.OAMLinkState || m.HasValue {
		return nil, nil
	}
	list, err := wire.DecodeLinkStates(m.Body)
	if err != nil {
		return nil, fmt.Errorf("gossip: %w", err)
	}
	n.gossip.mu.Lock()
	defer n.gossip.mu.Unlock()
	var news []wire.Hello
	for _, s := range list {
		s.Locators = s.Locators[:min(len(s.Locators), maxLocators)]
		if n.resolve(&s) && n.gossip.update(s) {
			news = append(news, wire.Hello{ZID: s.ZID, WhatAmI: n.gossip.nodes[s.ZID].WhatAmI, Locators: s.Locators})
		}
	}
	return news, nil
}

// resolve finds out whom a state is about, from what the neighbour said before.
func (n *Neighbour) resolve(s *wire.LinkState) bool {
	if s.ZID.IsZero() {
		s.ZID = n.names[s.PSID]
		return !s.ZID.IsZero()
	}
	if len(n.names) < maxNodes {
		n.names[s.PSID] = s.ZID
	}
	return true
}

// update takes over what is newer than what is known, and tells whether it says anew where a node can be reached.
func (g *Gossip) update(s wire.LinkState) bool {
	known := g.nodes[s.ZID]
	switch {
	case known == nil && (len(g.nodes) >= maxNodes || len(s.Locators) == 0):
		return false
	case known == nil:
		g.add(s)
		return true
	case known.PSID == 0 || known.SN >= s.SN && len(known.Locators) > 0:
		return false
	}
	known.SN = s.SN
	if s.WhatAmI != 0 {
		known.WhatAmI = s.WhatAmI
	}
	if len(s.Locators) == 0 || slices.Equal(known.Locators, s.Locators) {
		return false
	}
	known.Locators = s.Locators
	return true
}
