package router

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/hpcclab/oaas-go/broker/zenoh/transport"
	"github.com/hpcclab/oaas-go/broker/zenoh/wire"
)

// open starts a session whose messages go to a handler.
func open(b *testing.B, r *Router, handler func(wire.Network) error) *transport.Transport {
	b.Helper()
	t, err := transport.Dial(context.Background(), r.Locators()[0], transport.Config{})
	if err != nil {
		b.Fatal(err)
	}
	var running sync.WaitGroup
	running.Go(func() { _ = t.Serve(context.Background(), handler) })
	b.Cleanup(func() {
		t.Abort(wire.CloseGeneric)
		running.Wait()
	})
	return t
}

func nothing(wire.Network) error { return nil }

func mustSend(b *testing.B, t *transport.Transport, m wire.Network, q wire.QoS) {
	if err := t.Send(context.Background(), m, transport.Delivery{QoS: q}); err != nil {
		b.Error(err)
	}
}

// BenchmarkPush is publisher, router and subscriber over TCP on loopback, all in this process; the publisher waits when the way is full.
func BenchmarkPush(b *testing.B) {
	for _, size := range []int{8, 1 << 10, 1 << 16} {
		b.Run(fmt.Sprintf("payload=%d", size), func(b *testing.B) {
			r := start(b, Config{})
			received, n := make(chan struct{}), 0
			subscriber := open(b, r, func(m wire.Network) error {
				if _, ok := m.(*wire.Push); ok {
					if n++; n == b.N {
						close(received)
					}
				}
				return nil
			})
			mustSend(b, subscriber, sub(1, "bench/**"), wire.QoSDeclare)
			await(b, r, func(s Statistics) bool { return s.Subscribers+s.Queryables >= 1 })
			publisher := open(b, r, nothing)
			m := &wire.Push{Key: wire.Key("bench/data"), QoS: wire.QoSRequest, Data: wire.Data{Payload: make([]byte, size)}}
			b.ReportAllocs()
			b.SetBytes(int64(size))
			b.ResetTimer()
			for range b.N {
				mustSend(b, publisher, m, m.QoS)
			}
			<-received
		})
	}
}

// BenchmarkFanOut is one publication to 100 subscribers, each a session; the figure is for one delivery.
func BenchmarkFanOut(b *testing.B) {
	const fan = 100
	r := start(b, Config{})
	var left atomic.Int64
	received := make(chan struct{})
	n := int64((b.N + fan - 1) / fan * fan)
	left.Store(n)
	for i := range fan {
		t := open(b, r, func(m wire.Network) error {
			if _, ok := m.(*wire.Push); ok && left.Add(-1) == 0 {
				close(received)
			}
			return nil
		})
		mustSend(b, t, sub(1, fmt.Sprintf("bench/*/%s", []string{"*", "**"}[i%2])), wire.QoSDeclare)
		mustSend(b, t, sub(2, fmt.Sprintf("mine/%d", i)), wire.QoSDeclare)
	}
	await(b, r, func(s Statistics) bool { return s.Subscribers+s.Queryables >= fan+2 })
	publisher := open(b, r, nothing)
	m := &wire.Push{Key: wire.Key("bench/data/x"), QoS: wire.QoSRequest, Data: wire.Data{Payload: make([]byte, 64)}}
	b.ReportAllocs()
	b.ResetTimer()
	for range n / fan {
		mustSend(b, publisher, m, m.QoS)
	}
	<-received
}

// BenchmarkQuery is queries with one reply each over the router.
func BenchmarkQuery(b *testing.B) {
	for _, inFlight := range []int{1, 16} {
		b.Run(fmt.Sprintf("inflight=%d", inFlight), func(b *testing.B) {
			r := start(b, Config{})
			var answerer *transport.Transport
			ready := make(chan struct{})
			answerer = open(b, r, func(m wire.Network) error {
				if q, ok := m.(*wire.Request); ok {
					<-ready
					mustSend(b, answerer, replyOf(q.ID, "bench/data", "hello"), wire.QoSRequest)
					mustSend(b, answerer, final(q.ID), wire.QoSRequest)
				}
				return nil
			})
			close(ready)
			mustSend(b, answerer, complete(1, "bench/**"), wire.QoSDeclare)
			await(b, r, func(s Statistics) bool { return s.Subscribers+s.Queryables >= 1 })
			places := make(chan struct{}, inFlight)
			asker := open(b, r, func(m wire.Network) error {
				if _, ok := m.(*wire.ResponseFinal); ok {
					<-places
				}
				return nil
			})
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				places <- struct{}{}
				m := &wire.Request{ID: uint32(i), Key: wire.Key("bench/data"), QoS: wire.QoSRequest}
				mustSend(b, asker, m, m.QoS)
			}
			for range inFlight {
				places <- struct{}{}
			}
		})
	}
}

// BenchmarkPingPong is the way of a message to another session and back.
func BenchmarkPingPong(b *testing.B) {
	r := start(b, Config{})
	q := wire.QoS{Congestion: wire.Block, Express: true}
	message := func(key string) *wire.Push {
		return &wire.Push{Key: wire.Key(key), QoS: q, Data: wire.Data{Payload: make([]byte, 64)}}
	}
	pongs := make(chan struct{})
	ready := make(chan struct{})
	var ponger *transport.Transport
	pong := message("bench/pong")
	ponger = open(b, r, func(m wire.Network) error {
		if _, ok := m.(*wire.Push); ok {
			<-ready
			mustSend(b, ponger, pong, q)
		}
		return nil
	})
	close(ready)
	mustSend(b, ponger, sub(1, "bench/ping"), wire.QoSDeclare)
	pinger := open(b, r, func(m wire.Network) error {
		if _, ok := m.(*wire.Push); ok {
			pongs <- struct{}{}
		}
		return nil
	})
	mustSend(b, pinger, sub(1, "bench/pong"), wire.QoSDeclare)
	await(b, r, func(s Statistics) bool { return s.Subscribers+s.Queryables >= 2 })
	ping := message("bench/ping")
	b.ReportAllocs()
	b.ResetTimer()
	for range b.N {
		mustSend(b, pinger, ping, q)
		<-pongs
	}
}
