// Package transport carries network messages of Zenoh between two nodes. It makes links of every protocol (DialLink, ListenLink), opens a
// transport over one from either side (Dial, Accept; Set for nodes that do both), packs messages into batches, cuts large ones into fragments,
// numbers what it sends and checks the numbers of what it gets, keeps the link alive and notices when the other side is gone.
//
// Guarantees: messages of one priority and reliability arrive in the order of Send, or not at all; a message handed to Serve's handler is
// whole. A peer can make a transport hold at most Config.MaxMessageSize bytes of unfinished messages, and its own queue is bounded by
// Config.QueueSize batches a priority. A transport ends once, with an error that says why, and tells the other side the reason where that can
// be known. Nothing runs in the background but Serve, and what listeners of ws, udp and quic need until they and their links are closed.
package transport

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Config says how this side opens transports. Zero fields have the defaults of the native implementation.
type Config struct {
	ZID        wire.ZID
	WhatAmI    wire.WhatAmI
	Lease      time.Duration // how long the other side shall wait for a sign of life; 10 s
	KeepAlives int           // signs of life in a lease; 4
	BatchSize  uint16        // 65535
	Resolution wire.Resolution
	NoQoS      bool // do not offer, or accept, a lane for each priority

	MaxMessageSize int           // of fragments put together; 1 GiB
	QueueSize      int           // batches that wait for the link, in each priority; 16
	OpenTimeout    time.Duration // of the whole handshake; 10 s
	DropAfter      time.Duration // how long a message that may be dropped waits for room; 1 ms
	BlockTimeout   time.Duration // how long one that may not waits before the transport is closed as unresponsive; 5 s

	// User and Password, if not empty, are said when dialling.
	User, Password string
	// PasswordOf, if not nil, gives the password of a user, and makes it necessary to know one when accepting.
	PasswordOf func(user string) (password string, ok bool)
	// Admit, if not nil, may refuse a peer that did everything else right when accepting. The peer is told the reason of a *CloseError.
	Admit func(Peer) error
	// Expect, if not zero, is the only peer that a transport is opened to when dialling.
	Expect wire.ZID
	// Link says how links are dialled.
	Link LinkConfig

	// enter is asked before this side says its last word in a handshake, with the context of that.
	enter func(context.Context, Peer) error
}

// Peer is what a transport knows of the other side.
type Peer struct {
	ZID     wire.ZID
	WhatAmI wire.WhatAmI
	User    string // that the peer proved to be, when accepting
	QoS     bool   // it offered a lane for each priority
	LinkInfo
}

func (c Config) withDefaults() (Config, error) {
	if c.ZID.IsZero() {
		c.ZID = wire.NewZID()
	}
	if c.WhatAmI == 0 {
		c.WhatAmI = wire.Client
	}
	if c.Resolution == 0 {
		c.Resolution = wire.DefaultResolution
	}
	c.Lease = orDefault(c.Lease, 10*time.Second)
	c.KeepAlives = orDefault(c.KeepAlives, 4)
	c.BatchSize = orDefault(c.BatchSize, wire.MaxBatchSize)
	c.MaxMessageSize = orDefault(c.MaxMessageSize, 1<<30)
	c.QueueSize = orDefault(c.QueueSize, 16)
	c.OpenTimeout = orDefault(c.OpenTimeout, defaultOpenTimeout)
	c.DropAfter = orDefault(c.DropAfter, time.Millisecond)
	c.BlockTimeout = orDefault(c.BlockTimeout, 5*time.Second)
	switch {
	case c.BatchSize < minBatch:
		return c, fmt.Errorf("batch size %d: less than %d", c.BatchSize, minBatch)
	case c.Lease < time.Millisecond, c.KeepAlives < 1, c.MaxMessageSize < 1, c.QueueSize < 1:
		return c, errors.New("lease, keep alives, message size and queue size must be positive")
	}
	return c, nil
}

// defaultOpenTimeout is that of Config.OpenTimeout.
const defaultOpenTimeout = 10 * time.Second

// minBatch leaves room for a few bytes behind the headers of a fragment.
const minBatch = 64

func orDefault[T comparable](v, fallback T) T {
	var zero T
	if v == zero {
		return fallback
	}
	return v
}

// Errors of transports.
var (
	// ErrExpired is for a peer that was silent for the time of its lease.
	ErrExpired = errors.New("lease expired")
	// ErrCongested is for a message that was dropped because the link is slower than its senders.
	ErrCongested = errors.New("message dropped: link congested")
	// ErrUnresponsive is for a peer that did not take a message in time that must not be dropped.
	ErrUnresponsive = errors.New("peer unresponsive")
	// ErrClosed is for the use of a transport after its end.
	ErrClosed = errors.New("transport closed")
	// ErrProtocol is for a peer that does not keep to the protocol.
	ErrProtocol = errors.New("protocol violated")
	// ErrAuth is for a peer that did not prove who it is, or did not ask for it.
	ErrAuth = errors.New("authentication failed")
)

// CloseError tells that the other side, or Abort or Config.Admit on this side, closed the transport for that reason.
type CloseError struct{ Reason wire.CloseReason }

// Error names the reason.
func (e *CloseError) Error() string { return "transport closed: " + e.Reason.String() }

// reasonOf gives what the other side is told.
func reasonOf(err error) wire.CloseReason {
	closed, isClose := errors.AsType[*CloseError](err)
	_, isDecode := errors.AsType[*wire.DecodeError](err)
	switch {
	case isClose:
		return closed.Reason
	case isDecode, errors.Is(err, ErrProtocol):
		return wire.CloseInvalid
	case errors.Is(err, ErrExpired):
		return wire.CloseExpired
	case errors.Is(err, ErrUnresponsive):
		return wire.CloseUnresponsive
	}
	return wire.CloseGeneric
}
