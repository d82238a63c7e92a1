package router

import (
	"context"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// sink takes everything and keeps nothing.
type sink struct{}

func (sink) Send(_ context.Context, m wire.Network, _ transport.Delivery) error {
	_, err := m.AppendBinary(nil) // as a transport does, while the message is good
	return err
}
func (sink) Abort(wire.CloseReason) {}

// FuzzMessages feeds a router with whatever decodes, from two neighbours in turn, and expects that it survives, keeps to its limits and is
// empty after they are gone.
func FuzzMessages(f *testing.F) {
	seed := func(list ...wire.Network) {
		var b []byte
		for _, m := range list {
			b, _ = m.AppendBinary(b)
		}
		f.Add(b)
	}
	seed(sub(1, "a/**"), sub(2, "a/b"), putOf("a/b", "x"), undeclare(wire.UndeclareSubscriber, 1))
	seed(complete(1, "q/*"), qabl(2, "q/*"), get(1, "q/a", wire.All), replyOf(1, "q/a", "x"), final(1))
	seed(token(1, "t"), interestIn(1, wire.InterestCurrentFuture, wire.InterestTokens|wire.InterestAggregate, "**"), token(2, "t"))
	seed(declareOf(wire.DeclareKeyExpr, 1, "a"), &wire.Push{Key: wire.WireExpr{Scope: 1, Suffix: []byte("/b")}}, undeclare(wire.UndeclareKeyExpr, 1))
	seed(&wire.OAM{ID: wire.OAMLinkState, Body: []byte{1, 3, 0, 1, 2, 7, 7, 2, 0}}, interestIn(7, wire.InterestFuture, 0xff, ""))
	f.Fuzz(func(t *testing.T, b []byte) {
		limits := Limits{Declarations: 20, Interests: 10, Queries: 5, KeyLength: 64, Routes: 4}
		config, err := Config{Limits: limits}.withDefaults()
		if err != nil {
			t.Fatal(err)
		}
		r := newRouter(config)
		var faces []*face
		for range 2 {
			g := newFace(r, session, transport.Peer{ZID: wire.NewZID(), WhatAmI: wire.Peer, QoS: true}, sink{})
			r.add(g)
			faces = append(faces, g)
		}
		var d wire.Decoder
		d.ResetNetwork(b)
		for i := 0; d.More(); i++ {
			m, err := d.Next()
			if err != nil {
				break
			}
			if n, ok := m.(wire.Network); ok && faces[i%2].handle(n) != nil {
				break
			}
		}
		for _, g := range faces {
			if len(g.interests) > 10 || len(g.asked) > 5 || g.spent.declarations > 30 || g.routes > 4 {
				t.Errorf("a session has %d interests, %d queries, %d declarations, %d routes", len(g.interests), len(g.asked), g.spent.declarations, g.routes)
			}
			r.remove(g)
		}
		if s := r.Statistics(); s.Subscribers+s.Queryables+s.Tokens+s.Interests+s.Pending != 0 {
			t.Errorf("left over: %+v", s)
		}
	})
}
