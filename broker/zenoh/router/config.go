package router

import (
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/scouting"
	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Config says what a router does. The zero value listens nowhere and refuses nothing.
type Config struct {
	// Listen has the endpoints on which sessions are accepted, for example tcp/[::]:7447; see transport.ListenLink.
	Listen []string
	// Connect has the endpoints of other routers, ours or zenohd, that this one dials. Each is dialled again, with Backoff, when it is lost.
	// What is behind this router can then be reached from there, and the reverse. See DESIGN.md for routers with several ways to each other.
	Connect []string
	Backoff transport.Backoff

	// Transport says how sessions are opened. Its ZID is that of the router; WhatAmI and Admit are set by the router, and MaxMessageSize is
	// 128 MiB if it is zero.
	Transport transport.Config
	Limits    Limits
	// SlowSessions says what becomes of messages that must not be dropped when a session does not take them.
	SlowSessions SlowPolicy

	// NoTimestamps leaves samples without the router's time when they have none.
	NoTimestamps bool
	// QueryTimeout is for queries that do not say how long they may take; 10 s.
	QueryTimeout time.Duration

	// Scouting, if not nil, answers those who look for routers on the local network.
	Scouting *scouting.Config
	// AdminSpace answers queries below @/<zid>/router.
	AdminSpace bool
	// Metadata is shown in the admin space; it must be something that encoding/json takes.
	Metadata any
	// Access says who may do what. Nil allows everything.
	Access *Access

	Logger *slog.Logger // nil discards
}

// SlowPolicy says what becomes of messages that must not be dropped for a session whose queue is full. Messages that may be dropped are.
type SlowPolicy uint8

const (
	// BlockSender makes their sender wait, and closes the slow session as unresponsive after Transport.BlockTimeout.
	BlockSender SlowPolicy = iota
	// DropMessages drops them too, so that no session ever waits for another.
	DropMessages
)

// Limits bound what one session may make the router keep. Zero fields have defaults.
type Limits struct {
	Sessions   int // sessions at once; 1000
	Handshakes int // sessions that are being opened at once; 100

	KeyLength    int // bytes of a key expression; 4096
	Declarations int // subscribers, queryables, tokens and key expressions of a session; 65536
	Interests    int // of a session; 16384
	Memory       int // bytes that what a session declared takes, roughly; 64 MiB
	Queries      int // of a session that wait for their replies; 16384
	Backlog      int // declarations and ends of queries that wait for a session to take them; 262144
	Routes       int // keys whose routes are remembered for a session; 4096
}

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

func (l Limits) withDefaults() (Limits, error) {
	l.Sessions = orDefault(l.Sessions, 1000)
	l.Handshakes = orDefault(l.Handshakes, 100)
	l.KeyLength = orDefault(l.KeyLength, 4096)
	l.Declarations = orDefault(l.Declarations, 1<<16)
	l.Interests = orDefault(l.Interests, 1<<14)
	l.Memory = orDefault(l.Memory, 64<<20)
	l.Queries = orDefault(l.Queries, 1<<14)
	l.Backlog = orDefault(l.Backlog, 1<<18)
	l.Routes = orDefault(l.Routes, 4096)
	for name, v := range map[string]int{
		"sessions": l.Sessions, "handshakes": l.Handshakes, "key length": l.KeyLength, "declarations": l.Declarations,
		"interests": l.Interests, "memory": l.Memory, "queries": l.Queries, "backlog": l.Backlog, "routes": l.Routes,
	} {
		if v < 0 {
			return l, fmt.Errorf("limits: %s: %d is negative", name, v)
		}
	}
	return l, nil
}

// maxMessage is how large messages in fragments may be if nobody says so. The default of transports, 1 GiB, is too much for each of a thousand
// sessions that nobody knows.
const maxMessage = 128 << 20

func (c Config) withDefaults() (Config, error) {
	var err error
	if c.Limits, err = c.Limits.withDefaults(); err != nil {
		return c, err
	}
	if c.SlowSessions > DropMessages {
		return c, fmt.Errorf("slow sessions: %d is no policy", c.SlowSessions)
	}
	if c.QueryTimeout = orDefault(c.QueryTimeout, 10*time.Second); c.QueryTimeout < 0 {
		return c, errors.New("query timeout: negative")
	}
	if c.Transport.ZID.IsZero() {
		c.Transport.ZID = wire.NewZID()
	}
	c.Transport.WhatAmI = wire.Router
	c.Transport.MaxMessageSize = orDefault(c.Transport.MaxMessageSize, maxMessage)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Access != nil {
		if err := c.Access.Validate(); err != nil {
			return c, fmt.Errorf("access: %w", err)
		}
	}
	return c, nil
}
