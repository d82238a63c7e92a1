package zenoh

import (
	"context"
	"iter"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Hello is what a node tells of itself when it is looked for.
type Hello = wire.Hello

// Scout looks for nodes of those roles, by the multicast of the configuration, until ctx ends or the caller has enough. Each node is given as
// often as it answers. The error, which comes last, is that of the network.
func Scout(ctx context.Context, config Config, what WhatAmI) iter.Seq2[Hello, error] {
	return func(yield func(Hello, error) bool) {
		for found, err := range scouting.Scout(ctx, config.scouts(), what) {
			if !yield(found.Hello, err) {
				return
			}
		}
	}
}

// scouts gives the configuration for asking the multicast group.
func (c Config) scouts() scouting.Config {
	m := c.Scouting.Multicast
	return scouting.Config{Group: m.Address, Interfaces: m.Interfaces, TTL: m.TTL, ZID: c.ZID}
}

// Transports tells of the nodes that the session is connected to, and of the links.
func (s *Session) Transports() []transport.Peer {
	var list []transport.Peer
	for _, f := range *s.faces.Load() {
		list = append(list, f.peer)
	}
	return list
}

// PeersZID gives the ids of the peers that the session is connected to.
func (s *Session) PeersZID() []ZID { return s.connectedTo(Peer) }

// RoutersZID gives the ids of the routers that the session is connected to.
func (s *Session) RoutersZID() []ZID { return s.connectedTo(Router) }

func (s *Session) connectedTo(role WhatAmI) []ZID {
	var ids []ZID
	for _, f := range *s.faces.Load() {
		if f.peer.WhatAmI == role {
			ids = append(ids, f.peer.ZID)
		}
	}
	return ids
}
