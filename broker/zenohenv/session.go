package zenohenv

import (
	"fmt"

	"github.com/hpcclab/oaas-go/broker/zenoh"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
)

// SessionConfig gives the configuration of a session. It reads the files that are named. A client does not listen, whatever the configuration
// says; one that has no endpoints to connect to looks for a router.
func (c *Config) SessionConfig() (zenoh.Config, error) {
	modes := map[string]zenoh.WhatAmI{"peer": zenoh.Peer, "client": zenoh.Client}
	mode, ok := modes[c.Mode]
	if !ok {
		return zenoh.Config{}, fmt.Errorf("mode: %q: a session is a peer or a client", c.Mode)
	}
	t, err := c.TransportConfig()
	if err != nil {
		return zenoh.Config{}, err
	}
	m := c.ScoutingConfig()
	config := zenoh.Config{
		ZID: t.ZID, Mode: mode, User: t.User, Password: t.Password, PasswordOf: t.PasswordOf, Transport: t,
		QueriesDefaultTimeout: millis(c.QueryTimeout),
		Connect: zenoh.ConnectConfig{
			Endpoints: c.Connect.Endpoints,
			Retry:     transport.Backoff{Initial: millis(c.Connect.Retry.Initial), Max: millis(c.Connect.Retry.Max), Factor: c.Connect.Retry.Factor},
		},
		Scouting: zenoh.ScoutingConfig{
			Timeout: millis(c.Scouting.Timeout), Delay: millis(c.Scouting.Delay),
			Multicast: zenoh.MulticastConfig{Disabled: isFalse(c.Scouting.Multicast.Enabled), Address: m.Group, Interfaces: m.Interfaces, TTL: m.TTL},
			Gossip:    zenoh.GossipConfig{Disabled: isFalse(c.Scouting.Gossip.Enabled)},
		},
	}
	stamps := c.Stamps.Enabled
	config.Timestamping = stamps != nil && (mode == zenoh.Peer && stamps.Peer || mode == zenoh.Client && stamps.Client)
	if mode == zenoh.Peer {
		config.Listen.Endpoints = c.Listen.Endpoints
	}
	return config, config.Validate()
}
