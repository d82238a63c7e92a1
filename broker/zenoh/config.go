package zenoh

import (
	"fmt"
	"log/slog"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
)

// Config says how a session is opened. The zero value is a peer that listens on a port that the system chooses and finds others by multicast,
// as in the other implementations. Zero fields have the defaults that are named with them.
type Config struct {
	ZID  ZID     // random; never used twice at once
	Mode WhatAmI // Peer, or Client

	Connect  ConnectConfig
	Listen   ListenConfig
	Scouting ScoutingConfig

	// User and Password are what the session says when it dials. PasswordOf, if not nil, makes those who dial a peer prove that they know one.
	User, Password string
	PasswordOf     func(user string) (password string, ok bool)

	Timestamping          bool          // stamp each publication that has no timestamp
	QueriesDefaultTimeout time.Duration // of gets that do not say; 10 s

	Handlers Handlers

	// Transport has the parameters of transports, and of the links below them, such as TLS. ZID, WhatAmI, user and passwords are overwritten
	// with those above.
	Transport transport.Config

	Logger *slog.Logger // nil discards
}

// ConnectConfig says whom a session dials.
type ConnectConfig struct {
	// Endpoints are the places of routers, one of which a client connects to, and of nodes, all of which a peer connects to. A client without
	// any looks for a router by scouting.
	Endpoints []string
	// Timeout is how long Open tries to connect a client. 0 is to try each endpoint once, and less than 0 is until the context ends. Peers do
	// not wait: they go on trying in the background.
	Timeout time.Duration
	// Retry spaces attempts: 1 s, twice as long each time, at most 4 s.
	Retry transport.Backoff
}

// ListenConfig says where a peer listens.
type ListenConfig struct {
	Endpoints []string // tcp/[::]:0; empty but not nil is nowhere
}

// ScoutingConfig says how nodes are found that no endpoint names.
type ScoutingConfig struct {
	Timeout   time.Duration // how long a client looks for a router; 3 s
	Delay     time.Duration // how long Open of a peer waits for first connections; 500 ms, less than 0 is not at all
	Multicast MulticastConfig
	Gossip    GossipConfig
}

// MulticastConfig is about asking a multicast group.
type MulticastConfig struct {
	Disabled   bool
	Address    string   // 224.0.0.224:7446
	Interfaces []string // names; empty is all
	TTL        int      // 1
	Mute       bool     // do not answer others
}

// GossipConfig is about what nodes that are connected tell of others.
type GossipConfig struct {
	Disabled bool
}

// Handlers bounds the queue in front of each closure.
type Handlers struct {
	Queue    int           // values; 1024
	Bytes    int           // of payloads and attachments; 64 MiB. One that is larger is queued when nothing else is.
	Patience time.Duration // how long a session waits for a full queue before it discards; 1 s
}

// NewConfigDefault gives the defaults, which are those of the zero value too.
func NewConfigDefault() Config { return Config{} }

// withDefaults fills in what is zero.
func (c Config) withDefaults() Config {
	setDefault(&c.ZID, ZID{}, NewZID)
	orElse(&c.Mode, Peer)
	orElse(&c.QueriesDefaultTimeout, 10*time.Second)
	orElse(&c.Scouting.Timeout, 3*time.Second)
	orElse(&c.Scouting.Delay, 500*time.Millisecond)
	orElse(&c.Handlers.Queue, 1024)
	orElse(&c.Handlers.Bytes, 64<<20)
	orElse(&c.Handlers.Patience, time.Second)
	if c.Listen.Endpoints == nil && c.Mode == Peer {
		c.Listen.Endpoints = []string{"tcp/[::]:0"}
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	c.Transport.ZID, c.Transport.WhatAmI = c.ZID, c.Mode
	c.Transport.User, c.Transport.Password, c.Transport.PasswordOf = c.User, c.Password, c.PasswordOf
	return c
}

func orElse[T comparable](v *T, fallback T) {
	setDefault(v, *new(T), func() T { return fallback })
}

func setDefault[T comparable](v *T, none T, fallback func() T) {
	if *v == none {
		*v = fallback()
	}
}

// Validate tells what is wrong with a configuration; the error is ErrInvalidConfig.
func (c Config) Validate() error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{ErrInvalidConfig}, a...)...)
	}
	switch {
	case c.Mode != 0 && c.Mode != Peer && c.Mode != Client:
		return fail("mode %q: a session is a client or a peer", c.Mode)
	case c.Mode == Client && len(c.Listen.Endpoints) > 0:
		return fail("listen.endpoints %q: a client does not listen", c.Listen.Endpoints)
	case c.Mode == Client && len(c.Connect.Endpoints) == 0 && c.Scouting.Multicast.Disabled:
		return fail("a client without connect.endpoints needs scouting.multicast")
	case c.QueriesDefaultTimeout < 0:
		return fail("queries_default_timeout %v is negative", c.QueriesDefaultTimeout)
	case c.Handlers.Queue < 0, c.Handlers.Bytes < 0, c.Handlers.Patience < 0:
		return fail("the limits of handlers %+v must not be negative", c.Handlers)
	case c.Password != "" && c.User == "":
		return fail("a password without a user")
	}
	for _, list := range [][]string{c.Connect.Endpoints, c.Listen.Endpoints} {
		for _, endpoint := range list {
			if _, err := transport.ParseEndpoint(endpoint); err != nil {
				return fmt.Errorf("%w: %w", ErrInvalidConfig, err)
			}
		}
	}
	return nil
}
