package zenoh

import (
	"github.com/hpcclab/oaas-go/broker/zenoh/keyexpr"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// Types of the layers below that are part of this API.
type (
	// KeyExpr is a valid, canonical key expression; see NewKeyExpr.
	KeyExpr = keyexpr.KeyExpr
	// ZID is the id of a node.
	ZID = wire.ZID
	// WhatAmI is the role of a node, or a set of roles.
	WhatAmI = wire.WhatAmI
	// Timestamp is the time of a hybrid logical clock. The zero value is none.
	Timestamp = wire.Timestamp
	// EntityGlobalID names a publisher, queryable or the like: a node, and a number on it.
	EntityGlobalID = wire.EntityID
	// SourceInfo says which entity published a sample, and the how manieth it is. The zero value is none.
	SourceInfo = wire.SourceInfo
	// Priority orders messages where a link cannot send all at once. The zero value is PriorityData.
	Priority = wire.Priority
)

// The roles.
const (
	Router = wire.Router
	Peer   = wire.Peer
	Client = wire.Client
)

// The priorities, the most urgent first.
const (
	PriorityRealTime        = wire.PriorityRealTime
	PriorityInteractiveHigh = wire.PriorityInteractiveHigh
	PriorityInteractiveLow  = wire.PriorityInteractiveLow
	PriorityDataHigh        = wire.PriorityDataHigh
	PriorityData            = wire.PriorityData
	PriorityDataLow         = wire.PriorityDataLow
	PriorityBackground      = wire.PriorityBackground
)

// NewZID makes a random id.
func NewZID() ZID { return wire.NewZID() }

// NewKeyExpr makes a key expression of text that must be canonical; the error is a *keyexpr.SyntaxError.
func NewKeyExpr(s string) (KeyExpr, error) { return keyexpr.New(s) }

// NewKeyExprAutocanonized makes a key expression of text that is brought to its canonical form first.
func NewKeyExprAutocanonized(s string) (KeyExpr, error) { return keyexpr.NewAutocanonized(s) }

// MustKeyExpr is NewKeyExpr for text that is part of a program. It panics if the text is wrong.
func MustKeyExpr(s string) KeyExpr {
	k, err := keyexpr.New(s)
	if err != nil {
		panic(err)
	}
	return k
}

// CongestionControl says what becomes of a message for which the queue of a link has no room.
type CongestionControl uint8

const (
	// CongestionControlDefault is Drop for publications and Block for queries and replies.
	CongestionControlDefault CongestionControl = iota
	// CongestionControlDrop waits for a millisecond, then discards the message: the call fails with ErrCongested.
	CongestionControlDrop
	// CongestionControlBlock waits for room until the context ends, or until the link is closed as unresponsive after five seconds.
	CongestionControlBlock
	// CongestionControlBlockFirst waits as Block does, but discards messages that come while one waits.
	CongestionControlBlockFirst
)

// wire gives the form of the codec.
func (c CongestionControl) wire(fallback wire.CongestionControl) wire.CongestionControl {
	if c == CongestionControlDefault || c > CongestionControlBlockFirst {
		return fallback
	}
	return wire.CongestionControl(c - 1)
}

// Reliability says whether a link may lose a message where it knows the difference.
type Reliability uint8

// The kinds of reliability.
const (
	ReliabilityReliable Reliability = iota
	ReliabilityBestEffort
)

// Locality says on which side of a session the other party may be.
type Locality uint8

// The localities.
const (
	LocalityAny Locality = iota
	LocalitySessionLocal
	LocalityRemote
)

// QueryTarget says which queryables a query goes to.
type QueryTarget = wire.Target

// The targets.
const (
	// QueryTargetBestMatching is the nearest that is complete, or all where none is.
	QueryTargetBestMatching = wire.BestMatching
	// QueryTargetAll is every one that matches.
	QueryTargetAll = wire.All
	// QueryTargetAllComplete is every one that is complete for the query.
	QueryTargetAllComplete = wire.AllComplete
)

// ConsolidationMode says which of several replies for one key are seen.
type ConsolidationMode = wire.Consolidation

// The modes of consolidation.
const (
	// ConsolidationAuto is None if the parameters have a _time, and Latest otherwise.
	ConsolidationAuto = wire.ConsolidationAuto
	// ConsolidationNone is all of them, as they come.
	ConsolidationNone = wire.ConsolidationNone
	// ConsolidationMonotonic is each that is newer than what was seen before.
	ConsolidationMonotonic = wire.ConsolidationMonotonic
	// ConsolidationLatest is the newest, at the end.
	ConsolidationLatest = wire.ConsolidationLatest
)
