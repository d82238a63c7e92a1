package router

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// maxNodes is how many nodes a neighbour may tell of.
const maxNodes = 1 << 12

// oam reads the link state of a peer: the nodes that it is linked to itself. The rest is for the mesh of routers.
func (f *face) oam(m *wire.OAM) error {
	if m.ID != wire.OAMLinkState || f.peer.WhatAmI != wire.Peer {
		return nil
	}
	states, err := wire.DecodeLinkStates(m.Body)
	if err != nil {
		f.log.Debug("link state ignored", "error", err)
		return nil
	}
	if f.nodes == nil {
		f.nodes = map[uint64]wire.ZID{}
	}
	for _, s := range states {
		if !s.ZID.IsZero() && len(f.nodes) < maxNodes {
			f.nodes[s.PSID] = s.ZID
		}
	}
	for _, s := range states {
		if f.nodes[s.PSID] == f.peer.ZID {
			f.r.setLinks(f, f.nodesOf(s.Links))
		}
	}
	return nil
}

func (f *face) nodesOf(numbers []uint64) map[wire.ZID]struct{} {
	links := make(map[wire.ZID]struct{}, len(numbers))
	for _, n := range numbers {
		if id, known := f.nodes[n]; known {
			links[id] = struct{}{}
		}
	}
	return links
}

// linked tells whether one of two peers says that it has a link to the other. They exchange everything on it, so the router keeps out.
func linked(a, b *face) bool {
	_, there := a.links[b.peer.ZID]
	_, back := b.links[a.peer.ZID]
	return there || back
}

// setLinks takes note of the links of a peer, and tells peers what they may, or may no longer, know of each other.
func (r *Router) setLinks(f *face, links map[wire.ZID]struct{}) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var concerned []*face
	for g := range r.faces {
		_, now := links[g.peer.ZID]
		_, before := f.links[g.peer.ZID]
		if g != f && now != before {
			concerned = append(concerned, g)
		}
	}
	f.links = links
	r.generation.Add(1)
	for _, g := range concerned {
		r.settleAll(f, g)
		r.settleAll(g, f)
	}
}

// settleAll brings what one face was told in line with what is there, as far as another declared it.
func (r *Router) settleAll(from, to *face) {
	for k := range kinds {
		for _, key := range from.entities[k] {
			for _, i := range to.interests {
				switch {
				case !i.kinds[k], !i.key.IsZero() && !i.key.Intersects(key):
				case i.combined:
					r.settle(to, k, i.key)
				default:
					r.settle(to, k, key)
				}
			}
		}
	}
}
